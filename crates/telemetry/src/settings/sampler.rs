//! `OTEL_TRACES_SAMPLER` and its argument.

use opentelemetry_sdk::trace::Sampler;

/// Which traces are recorded
/// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration>).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum TraceSampler {
    /// `always_on`
    AlwaysOn,
    /// `always_off`
    AlwaysOff,
    /// `traceidratio`: this fraction, from 0 to 1, of all traces.
    Ratio(f64),
    /// `parentbased_always_on`: as the parent says; every trace that starts here.
    #[default]
    ParentOrAlwaysOn,
    /// `parentbased_always_off`: as the parent says; no trace that starts here.
    ParentOrAlwaysOff,
    /// `parentbased_traceidratio`: as the parent says; this fraction of those that start here.
    ParentOrRatio(f64),
}

/// What the standard takes for a missing or invalid fraction.
const DEFAULT_RATIO: f64 = 1.0;

impl TraceSampler {
    /// Parses the two variables. What is wrong in them is described in `warnings` and replaced by
    /// the default, as the standard asks.
    pub(super) fn parse(name: &str, argument: Option<&str>, warnings: &mut Vec<String>) -> Self {
        match name {
            "always_on" => Self::AlwaysOn,
            "always_off" => Self::AlwaysOff,
            "traceidratio" => Self::Ratio(ratio(argument, warnings)),
            "parentbased_always_on" => Self::ParentOrAlwaysOn,
            "parentbased_always_off" => Self::ParentOrAlwaysOff,
            "parentbased_traceidratio" => Self::ParentOrRatio(ratio(argument, warnings)),
            other => {
                warnings.push(format!(
                    "OTEL_TRACES_SAMPLER={other:?} is not supported; parentbased_always_on is used instead"
                ));
                Self::default()
            }
        }
    }

    pub(crate) fn sdk(self) -> Sampler {
        match self {
            Self::AlwaysOn => Sampler::AlwaysOn,
            Self::AlwaysOff => Sampler::AlwaysOff,
            Self::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
            Self::ParentOrAlwaysOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            Self::ParentOrAlwaysOff => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
            Self::ParentOrRatio(ratio) => Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))),
        }
    }
}

fn ratio(argument: Option<&str>, warnings: &mut Vec<String>) -> f64 {
    let Some(text) = argument else {
        return DEFAULT_RATIO;
    };
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
        _ => {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER_ARG={text:?} is no number from 0 to 1; 1 is used instead"
            ));
            DEFAULT_RATIO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, argument: Option<&str>, expected: TraceSampler, warnings: usize) {
        let mut heard = Vec::new();
        assert_eq!(
            TraceSampler::parse(name, argument, &mut heard),
            expected,
            "{name} {argument:?}"
        );
        assert_eq!(heard.len(), warnings, "{heard:?}");
    }

    #[test]
    fn every_sampler_of_the_standard_has_its_name() {
        check("always_on", None, TraceSampler::AlwaysOn, 0);
        check("always_off", None, TraceSampler::AlwaysOff, 0);
        check("traceidratio", Some("0.25"), TraceSampler::Ratio(0.25), 0);
        check("parentbased_always_on", None, TraceSampler::ParentOrAlwaysOn, 0);
        check("parentbased_always_off", None, TraceSampler::ParentOrAlwaysOff, 0);
        check(
            "parentbased_traceidratio",
            Some("0"),
            TraceSampler::ParentOrRatio(0.0),
            0,
        );
        check("traceidratio", None, TraceSampler::Ratio(1.0), 0);
    }

    #[test]
    fn a_sampler_that_does_not_exist_is_a_warning_and_the_default() {
        check("jaeger_remote", None, TraceSampler::ParentOrAlwaysOn, 1);
        for argument in ["two", "1.5", "-1", "NaN"] {
            check("traceidratio", Some(argument), TraceSampler::Ratio(1.0), 1);
        }
    }
}
