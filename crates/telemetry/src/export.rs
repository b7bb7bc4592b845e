//! Sends finished spans to an OTLP receiver from a thread of its own, so that no caller ever waits.

mod exporter;
mod http_client;
mod queue;
mod transport;

pub(crate) use exporter::ExporterThread;
pub(crate) use queue::{START_FIELD, SpanQueue};

use prometheus_client::metrics::counter::Counter;
use thiserror::Error;

/// What became of finished spans. The counters are shared: a clone counts the same.
#[derive(Debug, Clone, Default)]
pub struct ExportMetrics {
    /// Spans a receiver has taken.
    pub exported: Counter,
    /// Spans lost because the queue was full, a receiver refused them or none was there.
    pub dropped: Counter,
    /// Exports that failed.
    pub failures: Counter,
}

/// Spans and lines may be lost at shutdown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The receiver did not take what was waiting; the number of spans lost.
    #[error("failed to export {0} spans before the deadline")]
    SpansLost(u64),
    /// The thread that exports, or the one that writes the log, ended before its time.
    #[error("failed to stop telemetry: a thread of it is gone")]
    ThreadGone,
    /// Nobody takes what is written to the log.
    #[error("failed to write the last lines of the log before the deadline")]
    LinesLost,
}
