//! The bounded queue between whoever ends a span and the thread that exports it.

use super::ExportMetrics;
use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::time::Duration;
use tokio::sync::mpsc;

/// Takes finished spans. A full queue drops and counts them rather than wait.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    sender: mpsc::Sender<SpanData>,
    metrics: ExportMetrics,
}

impl SpanQueue {
    pub(super) fn new(size: usize, metrics: ExportMetrics) -> (Self, mpsc::Receiver<SpanData>) {
        let (sender, receiver) = mpsc::channel(size);
        (Self { sender, metrics }, receiver)
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.sender.try_send(span).is_err() {
            self.metrics.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    // Shutting down is the exporter's part; the provider, which would ask for it here, lives on so
    // that the last log lines of the process still carry ids.
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
