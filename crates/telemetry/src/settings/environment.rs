//! Reads [`TelemetrySettings`] from environment variables.

use super::{LogFormat, OtlpSettings, TelemetrySettings, TraceSampler, UnknownLogFormat};
use std::time::Duration;
use thiserror::Error;

/// A variable of ours that holds nonsense. Those of OpenTelemetry are only warned of, as its
/// standard asks.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// `HEDDLE_LOG_FORMAT` is none of the formats.
    #[error("failed to read HEDDLE_LOG_FORMAT")]
    LogFormat(#[source] UnknownLogFormat),
}

/// Variables by name. What is empty counts as unset, as OpenTelemetry's standard asks.
pub(super) struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup }
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }
}

impl TelemetrySettings {
    /// Reads the environment of this process.
    ///
    /// | variable | field |
    /// | --- | --- |
    /// | `HEDDLE_LOG`, else `RUST_LOG` | `log_filter` |
    /// | `HEDDLE_LOG_FORMAT` | `log_format` |
    /// | `NO_COLOR` (any value) | `no_color` |
    /// | `HEDDLE_SPANS` | `span_filter` |
    /// | `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_EXPORTER`, `OTEL_BSP_*` | `otlp` |
    /// | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `sampler` |
    /// | `OTEL_SERVICE_NAME` | `service_name` |
    /// | `OTEL_RESOURCE_ATTRIBUTES` | `resource_attributes` |
    /// | `OTEL_SDK_DISABLED` | no `otlp`, and traces that start here are not sampled |
    ///
    /// # Errors
    /// [`SettingsError`] names the variable that holds nonsense.
    pub fn from_environment(service_name: &str, service_version: &str) -> Result<Self, SettingsError> {
        Self::from_variables(service_name, service_version, |name| std::env::var(name).ok())
    }

    /// Reads variables given as a function from name to value.
    ///
    /// # Errors
    /// As [`TelemetrySettings::from_environment`].
    pub fn from_variables(
        service_name: &str,
        service_version: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let variables = Variables::new(&lookup);
        let mut settings = Self::new(service_name, service_version);
        settings.read_logs(&variables)?;
        settings.read_resource(&variables);
        settings.read_traces(&variables);
        Ok(settings)
    }

    fn read_logs(&mut self, variables: &Variables<'_>) -> Result<(), SettingsError> {
        if let Some(filter) = variables
            .value("HEDDLE_LOG")
            .or_else(|| variables.value("RUST_LOG"))
        {
            self.log_filter = filter;
        }
        self.no_color = variables.value("NO_COLOR").is_some();
        if let Some(filter) = variables.value("HEDDLE_SPANS") {
            self.span_filter = filter;
        }
        if let Some(name) = variables.value("HEDDLE_LOG_FORMAT") {
            self.log_format = name.parse::<LogFormat>().map_err(SettingsError::LogFormat)?;
        }
        Ok(())
    }

    /// `OTEL_SERVICE_NAME` comes before a `service.name` among the attributes.
    fn read_resource(&mut self, variables: &Variables<'_>) {
        let list = variables.value("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        match attributes(&list) {
            Some(attributes) => self.resource_attributes = attributes,
            // The standard: any error discards the whole value.
            None => self.warnings.push(format!(
                "OTEL_RESOURCE_ATTRIBUTES={list:?} is no list of name=value; it is ignored"
            )),
        }
        let named = self
            .resource_attributes
            .iter()
            .find(|(name, _)| name == "service.name");
        let named = variables
            .value("OTEL_SERVICE_NAME")
            .or_else(|| named.map(|(_, value)| value.clone()));
        if let Some(name) = named {
            self.service_name = name;
        }
        self.resource_attributes
            .retain(|(name, _)| name != "service.name");
    }

    fn read_traces(&mut self, variables: &Variables<'_>) {
        if variables
            .value("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            self.sampler = TraceSampler::ParentOrAlwaysOff;
            return;
        }
        if let Some(name) = variables.value("OTEL_TRACES_SAMPLER") {
            let argument = variables.value("OTEL_TRACES_SAMPLER_ARG");
            self.sampler = TraceSampler::parse(&name, argument.as_deref(), &mut self.warnings);
        }
        self.otlp = OtlpSettings::from_variables(variables, &mut self.warnings);
    }
}

/// Parses `name=value,name=value` with percent-encoded values.
fn attributes(list: &str) -> Option<Vec<(String, String)>> {
    let members = list.split(',').map(str::trim).filter(|member| !member.is_empty());
    members
        .map(|member| {
            let (name, value) = member.split_once('=')?;
            let name = percent_decoded(name.trim()).filter(|name| !name.is_empty())?;
            Some((name, percent_decoded(value.trim())?))
        })
        .collect()
}

/// Decodes `%41` to `A`; `None` when a sign does not begin two digits or the result is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = digits
            .iter()
            .map(|&digit| char::from(digit).to_digit(16))
            .collect::<Option<Vec<_>>>()?;
        decoded.push(u8::try_from(digits[0] * 16 + digits[1]).ok()?);
        rest = tail;
    }
    String::from_utf8(decoded).ok()
}

/// Parses a duration, which OpenTelemetry gives in milliseconds.
pub(super) fn milliseconds(
    name: &str,
    text: &str,
    otherwise: Duration,
    warnings: &mut Vec<String>,
) -> Duration {
    match text.parse() {
        Ok(milliseconds) => Duration::from_millis(milliseconds),
        Err(_) => {
            let used = otherwise.as_millis();
            warnings.push(format!(
                "{name}={text:?} is no number of milliseconds; {used} is used"
            ));
            otherwise
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<TelemetrySettings, SettingsError> {
        TelemetrySettings::from_variables("heddle-test", "1.2.3", |name| {
            let found = pairs.iter().find(|(candidate, _)| *candidate == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let settings = read(&[("HEDDLE_LOG", ""), ("OTEL_SDK_DISABLED", "false")]).unwrap();
        assert_eq!(
            (settings.log_filter.as_str(), settings.log_format),
            ("info", LogFormat::Auto)
        );
        assert_eq!(
            (settings.sampler, settings.otlp),
            (TraceSampler::ParentOrAlwaysOn, None)
        );
        assert_eq!(
            (settings.service_name.as_str(), settings.warnings.len()),
            ("heddle-test", 0)
        );
    }

    #[test]
    fn our_own_log_variable_comes_before_the_common_one() {
        let both = [
            ("RUST_LOG", "debug"),
            ("HEDDLE_LOG", "warn"),
            ("HEDDLE_LOG_FORMAT", "json"),
        ];
        let settings = read(&both).unwrap();
        assert_eq!(
            (settings.log_filter.as_str(), settings.log_format),
            ("warn", LogFormat::Json)
        );
        assert_eq!(read(&both[..1]).unwrap().log_filter, "debug");
    }

    #[test]
    fn a_log_format_that_does_not_exist_is_an_error_that_names_the_variable() {
        let error = read(&[("HEDDLE_LOG_FORMAT", "xml")]).unwrap_err();
        let text = crate::ErrorChain(&error).to_string();
        assert_eq!(
            text,
            "failed to read HEDDLE_LOG_FORMAT: failed to parse log format \"xml\": expected json, human or auto"
        );
    }

    #[test]
    fn the_service_name_is_taken_from_its_variable_then_from_the_attributes() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from%20list, team=a%2Cb");
        let settings = read(&[attributes]).unwrap();
        assert_eq!(settings.service_name, "from list");
        assert_eq!(
            settings.resource_attributes,
            vec![("team".to_owned(), "a,b".to_owned())]
        );
        let settings = read(&[attributes, ("OTEL_SERVICE_NAME", "own")]).unwrap();
        assert_eq!(settings.service_name, "own");
    }

    #[test]
    fn attributes_with_an_error_are_ignored_as_a_whole() {
        for list in ["a=1,b", "=1", "a=%4", "a=%zz", "a=%ff"] {
            let settings = read(&[("OTEL_RESOURCE_ATTRIBUTES", list)]).unwrap();
            assert_eq!(
                (settings.resource_attributes.len(), settings.warnings.len()),
                (0, 1),
                "{list}"
            );
        }
    }

    #[test]
    fn a_disabled_sdk_exports_nothing_and_starts_no_sampled_trace() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let settings = read(&[endpoint, ("OTEL_SDK_DISABLED", "True")]).unwrap();
        assert_eq!(
            (settings.sampler, settings.otlp),
            (TraceSampler::ParentOrAlwaysOff, None)
        );
    }
}
