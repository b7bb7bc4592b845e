//! `OTEL_EXPORTER_OTLP_*`: where spans are sent and how
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use super::environment::{Variables, milliseconds, percent_decoded};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where spans are sent and how.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpSettings {
    /// The receiver's URL, complete: with gRPC the server, with HTTP the path of the traces too.
    pub endpoint: String,
    /// The encoding and transport.
    pub protocol: OtlpProtocol,
    /// Headers of each request: names and values. They may hold credentials and are never printed.
    pub headers: Vec<(String, String)>,
    /// How requests are packed.
    pub compression: OtlpCompression,
    /// How long one export may take, retries included.
    pub timeout: Duration,
    /// A file of PEM certificates to trust beside those of the system.
    pub certificate: Option<PathBuf>,
    /// Spans that may wait for export. Beyond it they are dropped and counted.
    pub max_queue_size: usize,
    /// Spans sent in one request at most.
    pub max_export_batch_size: usize,
    /// How long a span may wait for others to be sent with.
    pub schedule_delay: Duration,
}

/// The encoding and transport of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`, the standard's default.
    HttpProtobuf,
}

/// How a request is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtlpCompression {
    /// `none`
    #[default]
    None,
    /// `gzip`
    Gzip,
}

/// The standard's `OTEL_EXPORTER_OTLP_TIMEOUT`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The standard's `OTEL_BSP_MAX_QUEUE_SIZE`.
const DEFAULT_MAX_QUEUE_SIZE: usize = 2048;
/// The standard's `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
const DEFAULT_MAX_EXPORT_BATCH_SIZE: usize = 512;
/// The standard says 5 s; a trace of a short Job should be seen while somebody is looking.
const DEFAULT_SCHEDULE_DELAY: Duration = Duration::from_secs(1);
/// Memory for waiting spans stays bounded whatever the environment says.
const LARGEST_QUEUE: usize = 1 << 16;
/// Where OTLP over HTTP takes traces, below the generic endpoint.
const TRACES_PATH: &str = "/v1/traces";

impl OtlpSettings {
    /// Sends to `endpoint`, complete as in [`OtlpSettings::endpoint`], with the standard's defaults.
    pub fn new(endpoint: impl Into<String>, protocol: OtlpProtocol) -> Self {
        Self {
            endpoint: endpoint.into(),
            protocol,
            headers: Vec::new(),
            compression: OtlpCompression::None,
            timeout: DEFAULT_TIMEOUT,
            certificate: None,
            max_queue_size: DEFAULT_MAX_QUEUE_SIZE,
            max_export_batch_size: DEFAULT_MAX_EXPORT_BATCH_SIZE,
            schedule_delay: DEFAULT_SCHEDULE_DELAY,
        }
    }

    pub(super) fn from_variables(variables: &Variables<'_>, warnings: &mut Vec<String>) -> Option<Self> {
        if let Some(name) = variables
            .value("OTEL_TRACES_EXPORTER")
            .filter(|name| name != "otlp")
        {
            if name != "none" {
                warnings.push(format!(
                    "OTEL_TRACES_EXPORTER={name:?} is not supported; nothing is exported"
                ));
            }
            return None;
        }
        let protocol = OtlpProtocol::from_variables(variables, warnings);
        let mut settings = Self::new(endpoint(variables, protocol, warnings)?, protocol);
        settings.headers = headers(variables, warnings);
        settings.compression = OtlpCompression::from_variables(variables, warnings);
        settings.certificate = signal(variables, "CERTIFICATE").map(PathBuf::from);
        if let Some(text) = signal(variables, "TIMEOUT") {
            settings.timeout = milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", &text, DEFAULT_TIMEOUT, warnings);
        }
        settings.read_batch_limits(variables, warnings);
        Some(settings)
    }

    fn read_batch_limits(&mut self, variables: &Variables<'_>, warnings: &mut Vec<String>) {
        if let Some(text) = variables.value("OTEL_BSP_SCHEDULE_DELAY") {
            self.schedule_delay =
                milliseconds("OTEL_BSP_SCHEDULE_DELAY", &text, self.schedule_delay, warnings);
        }
        let limits = [
            ("OTEL_BSP_MAX_QUEUE_SIZE", &mut self.max_queue_size),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &mut self.max_export_batch_size),
        ];
        for (name, limit) in limits {
            let Some(text) = variables.value(name) else {
                continue;
            };
            match text.parse() {
                Ok(number) if (1..=LARGEST_QUEUE).contains(&number) => *limit = number,
                _ => warnings.push(format!(
                    "{name}={text:?} is no number from 1 to {LARGEST_QUEUE}; {limit} is used"
                )),
            }
        }
    }
}

// The headers of an exporter are where its credentials are.
impl fmt::Debug for OtlpSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("OtlpSettings")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl OtlpProtocol {
    fn from_variables(variables: &Variables<'_>, warnings: &mut Vec<String>) -> Self {
        match signal(variables, "PROTOCOL").as_deref() {
            Some("grpc") => Self::Grpc,
            Some("http/protobuf") | None => Self::HttpProtobuf,
            Some(other) => {
                warnings.push(format!(
                    "OTEL_EXPORTER_OTLP_PROTOCOL={other:?} is not supported; http/protobuf is used instead"
                ));
                Self::HttpProtobuf
            }
        }
    }
}

impl OtlpCompression {
    fn from_variables(variables: &Variables<'_>, warnings: &mut Vec<String>) -> Self {
        match signal(variables, "COMPRESSION").as_deref() {
            Some("gzip") => Self::Gzip,
            Some("none") | None => Self::None,
            Some(other) => {
                warnings.push(format!(
                    "OTEL_EXPORTER_OTLP_COMPRESSION={other:?} is not supported"
                ));
                Self::None
            }
        }
    }
}

/// The variable of this signal, else the one for all signals.
fn signal(variables: &Variables<'_>, name: &str) -> Option<String> {
    variables
        .value(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
        .or_else(|| variables.value(&format!("OTEL_EXPORTER_OTLP_{name}")))
}

/// A signal's own endpoint is taken as it is; below the one for all signals traces have a path.
fn endpoint(variables: &Variables<'_>, protocol: OtlpProtocol, warnings: &mut Vec<String>) -> Option<String> {
    let endpoint = match variables.value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        Some(endpoint) => endpoint,
        None => {
            let endpoint = variables.value("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            match protocol {
                OtlpProtocol::Grpc => endpoint,
                OtlpProtocol::HttpProtobuf => format!("{}{TRACES_PATH}", endpoint.trim_end_matches('/')),
            }
        }
    };
    if has_credentials(&endpoint) {
        // An endpoint is shown in logs and errors.
        warnings.push("the OTLP endpoint holds credentials, which belong into OTEL_EXPORTER_OTLP_HEADERS; nothing is exported".to_owned());
        return None;
    }
    Some(with_scheme(endpoint, protocol, variables))
}

fn has_credentials(endpoint: &str) -> bool {
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    authority
        .split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
}

/// With gRPC the scheme may be left out; `OTEL_EXPORTER_OTLP_INSECURE` then says whether it is TLS.
fn with_scheme(endpoint: String, protocol: OtlpProtocol, variables: &Variables<'_>) -> String {
    if protocol != OtlpProtocol::Grpc || endpoint.contains("://") {
        return endpoint;
    }
    let insecure = signal(variables, "INSECURE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    format!("{}://{endpoint}", if insecure { "http" } else { "https" })
}

/// Headers come as a list `name=value,name=value` with percent-encoded values.
fn headers(variables: &Variables<'_>, warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let list = signal(variables, "HEADERS").unwrap_or_default();
    let mut headers = Vec::new();
    for member in list.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let pair = member.split_once('=').and_then(|(name, value)| {
            let name = name.trim().to_ascii_lowercase();
            Some((name, percent_decoded(value.trim())?))
        });
        match pair.filter(|(name, value)| is_header(name, value)) {
            Some(pair) => headers.push(pair),
            // The member is not printed: its value may be a credential.
            None => warnings.push(
                "OTEL_EXPORTER_OTLP_HEADERS holds a member that is no name=value; it is ignored".to_owned(),
            ),
        }
    }
    headers
}

fn is_header(name: &str, value: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<OtlpSettings>, Vec<String>) {
        let lookup = |name: &str| {
            let found = pairs.iter().find(|(candidate, _)| *candidate == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let mut warnings = Vec::new();
        (
            OtlpSettings::from_variables(&Variables::new(&lookup), &mut warnings),
            warnings,
        )
    }

    fn endpoint_of(pairs: &[(&str, &str)]) -> Option<String> {
        read(pairs).0.map(|settings| settings.endpoint)
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        assert_eq!(read(&[]), (None, vec![]));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), (None, vec![]));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), (None, vec![]));
    }

    #[test]
    fn over_http_traces_have_a_path_below_the_generic_endpoint_only() {
        let generic = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:9/in");
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert_eq!(
            endpoint_of(&[generic]).as_deref(),
            Some("http://collector:4318/v1/traces")
        );
        assert_eq!(
            endpoint_of(&[generic, own]).as_deref(),
            Some("http://traces:9/in")
        );
        assert_eq!(
            endpoint_of(&[generic, grpc]).as_deref(),
            Some("http://collector:4318/")
        );
    }

    #[test]
    fn with_grpc_an_endpoint_without_scheme_is_tls_unless_told_otherwise() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
        assert_eq!(
            endpoint_of(&[endpoint, grpc]).as_deref(),
            Some("https://collector:4317")
        );
        assert_eq!(
            endpoint_of(&[endpoint, grpc, insecure]).as_deref(),
            Some("http://collector:4317")
        );
    }

    #[test]
    fn an_endpoint_with_credentials_is_refused_and_not_shown() {
        for endpoint in ["http://user:s3cret@collector:4318", "user:s3cret@collector:4317"] {
            let (settings, warnings) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
            assert_eq!((settings, warnings.len()), (None, 1));
            assert!(!warnings[0].contains("s3cret"));
        }
        assert!(!has_credentials("http://collector:4318/a@b?c=@"));
    }

    #[test]
    fn the_variables_of_the_signal_come_before_the_generic_ones() {
        let (settings, warnings) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "Authorization=Bearer%20s3cret, x-tenant = a ",
            ),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(
            (settings.protocol, settings.timeout),
            (OtlpProtocol::Grpc, Duration::from_millis(2500))
        );
        let expected = [("authorization", "Bearer s3cret"), ("x-tenant", "a")];
        assert_eq!(
            settings.headers,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(settings.certificate, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(settings.compression, OtlpCompression::Gzip);
        assert_eq!(warnings, Vec::<String>::new());
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_used_is_a_warning_without_its_secrets() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        let (settings, warnings) = read(&[
            endpoint,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "s3cret,bad header=s3cret,a=%zz s3cret,b=%0as3cret",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(
            (settings.protocol, settings.timeout),
            (OtlpProtocol::HttpProtobuf, DEFAULT_TIMEOUT)
        );
        assert_eq!(
            (settings.max_queue_size, settings.max_export_batch_size),
            (DEFAULT_MAX_QUEUE_SIZE, 100)
        );
        assert_eq!(settings.headers, vec![]);
        assert_eq!(warnings.len(), 8, "{warnings:?}");
        assert!(!warnings.join("\n").contains("s3cret"));
    }

    #[test]
    fn another_exporter_than_otlp_exports_nothing() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        assert_eq!(
            read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
            (None, vec![])
        );
        let (settings, warnings) = read(&[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")]);
        assert_eq!((settings, warnings.len()), (None, 1));
    }
}
