//! Logs, traces and metrics of every Heddle process: JSON lines that carry trace ids, W3C trace
//! propagation, OTLP export that never blocks its callers, and a metrics registry.
//!
//! ```no_run
//! use heddle_telemetry::{ContinueTrace, TelemetrySettings, TraceParent};
//! use std::time::Duration;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = TelemetrySettings::from_environment("heddle-codegen", env!("CARGO_PKG_VERSION"))?;
//! let telemetry = heddle_telemetry::init(settings)?;
//!
//! let span = tracing::info_span!("run", job = "petstore-1a2b3c");
//! if let Some(parent) = TraceParent::from_process_environment() {
//!     span.continue_from(&parent)?;
//! }
//! span.in_scope(|| tracing::info!(files = 3, "code generated"));
//! drop(span);
//!
//! telemetry.shutdown(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`settings`] reads the environment once, before anything starts.
//! - [`init`](init()) installs the subscriber of this process; [`build`] makes one without globals.
//! - [`TraceParent`] carries a trace over headers, environments and annotations.
//! - [`ErrorChain`] prints an error with its sources, without the repeats.
//! - A span with the field `otel.start_unix_nanos` (nanoseconds since 1970, as an `i64`) began then: what lasts for days
//!   makes its span at its end.
//! - [`MetricsRegistry`] is what `/metrics` encodes.

mod error_chain;
mod exceptions;
mod export;
mod init;
mod logs;
mod metrics;
mod panics;
pub mod settings;
mod trace_parent;

pub use error_chain::ErrorChain;
pub use export::{ExportMetrics, ShutdownError};
pub use init::{FilterError, InitError, Telemetry, build, init};
pub use logs::LogOutput;
pub use metrics::{EncodeMetricsError, MetricsRegistry, OPENMETRICS_CONTENT_TYPE};
pub use settings::{LogFormat, LogWriting, SettingsError, TelemetrySettings};
pub use trace_parent::{ContinueTrace, ContinueTraceError, InvalidTraceParent, TraceParent};
