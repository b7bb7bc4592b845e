//! What a process may be told about its telemetry, read in one place before anything starts.

mod environment;
mod otlp;
mod sampler;

pub use environment::SettingsError;
pub use otlp::{OtlpCompression, OtlpProtocol, OtlpSettings};
pub use sampler::TraceSampler;

use std::fmt;
use std::str::FromStr;

/// Everything [`init`](crate::init()) needs. Command-line flags overwrite fields after
/// [`TelemetrySettings::from_environment`].
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// OpenTelemetry's `service.name`, for example `heddle-operator`.
    pub service_name: String,
    /// OpenTelemetry's `service.version`, usually `env!("CARGO_PKG_VERSION")`.
    pub service_version: String,
    /// Which events are logged: `level` or `target=level`, separated by commas, for example
    /// `info,kube=warn`. It hides lines only; spans keep their ids.
    pub log_filter: String,
    /// How an event is written.
    pub log_format: LogFormat,
    /// Where [`init`](crate::init()) writes events. [`build`](crate::build()) is given an output instead.
    pub log_stream: LogStream,
    /// Who writes it.
    pub log_writing: LogWriting,
    /// Keeps the human format free of colours (<https://no-color.org>).
    pub no_color: bool,
    /// Which spans exist, in the syntax of `log_filter`. Those left out carry no ids and are not exported.
    pub span_filter: String,
    /// Which traces are recorded.
    pub sampler: TraceSampler,
    /// Where spans are sent; `None` sends them nowhere.
    pub otlp: Option<OtlpSettings>,
    /// Further attributes of OpenTelemetry's resource: names and values.
    pub resource_attributes: Vec<(String, String)>,
    /// What the environment said that was ignored; [`init`](crate::init()) logs each as a warning.
    pub warnings: Vec<String>,
}

/// Lines of informative and graver events, of every crate.
const DEFAULT_LOG_FILTER: &str = "info";
/// Spans of kube's own reconciler are at info as well, and those of transports below.
const DEFAULT_SPAN_FILTER: &str = "info";

impl TelemetrySettings {
    /// What holds when nobody says otherwise: info and up, format by terminal, no export.
    pub fn new(service_name: impl Into<String>, service_version: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            service_version: service_version.into(),
            log_filter: DEFAULT_LOG_FILTER.to_owned(),
            log_format: LogFormat::Auto,
            log_stream: LogStream::Stderr,
            log_writing: LogWriting::default(),
            no_color: false,
            span_filter: DEFAULT_SPAN_FILTER.to_owned(),
            sampler: TraceSampler::default(),
            otlp: None,
            resource_attributes: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One line for the eye; coloured on a terminal unless `NO_COLOR` is set.
    Human,
}

/// The name of a log format that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse log format {0:?}: expected json, human or auto")]
pub struct UnknownLogFormat(String);

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(name: &str) -> Result<Self, UnknownLogFormat> {
        match name {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "human" => Ok(Self::Human),
            other => Err(UnknownLogFormat(other.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Human => "human",
        })
    }
}

/// The standard stream that events are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogStream {
    /// Standard error, so that standard output stays free for what a command prints.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
}

/// Who writes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogWriting {
    /// Whoever logs, and waits for it: nothing is lost, which suits short-lived programs.
    #[default]
    Direct,
    /// A thread of its own, from a bounded queue: nobody waits for a slow log. Lines that find the queue full are dropped,
    /// counted (`heddle_telemetry_log_lines_dropped_total`) and told of in the log. Those that wait are written at
    /// [`Telemetry::shutdown`](crate::Telemetry::shutdown) and when something panics; a process that is killed loses them.
    Queued,
}
