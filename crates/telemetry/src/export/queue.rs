//! The bounded queue between whoever ends a span and the thread that exports it.

use super::ExportMetrics;
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// The field by which a span says that it began before it was made: nanoseconds since 1970. What lasts for days, such as a
/// connection, makes its span at its end rather than hold one all the time.
pub(crate) const START_FIELD: &str = "otel.start_unix_nanos";

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

    fn on_end(&self, mut span: SpanData) {
        if let Some(start) = take_start(&mut span.attributes) {
            span.start_time = start;
        }
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

/// Takes out when the span began, if it says so.
fn take_start(attributes: &mut Vec<KeyValue>) -> Option<SystemTime> {
    let at = attributes
        .iter()
        .position(|attribute| attribute.key.as_str() == START_FIELD)?;
    match attributes.remove(at).value {
        Value::I64(nanos) => Some(UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_have_begun_before_it_was_made() {
        let mut attributes = vec![
            KeyValue::new("a", 1),
            KeyValue::new(START_FIELD, 1_500_000_000_i64),
        ];
        let start = take_start(&mut attributes);
        assert_eq!(start, Some(UNIX_EPOCH + Duration::from_millis(1500)));
        assert_eq!(attributes, [KeyValue::new("a", 1)]);
        assert_eq!(take_start(&mut attributes), None);
        let mut attributes = vec![KeyValue::new(START_FIELD, -1_i64)];
        assert_eq!((take_start(&mut attributes), attributes.len()), (None, 0));
    }
}
