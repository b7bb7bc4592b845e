//! The metrics of one process, as `/metrics` shows them.

use crate::Telemetry;
use prometheus_client::collector::Collector;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use thiserror::Error;

/// The media type of what [`MetricsRegistry::encode`] returns.
pub const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Stands before every metric's name.
const PREFIX: &str = "heddle";

/// Metrics by name. Registered while a process starts, encoded as often as somebody asks; there is
/// none but those one makes.
#[derive(Debug)]
pub struct MetricsRegistry {
    registry: Registry,
}

/// The metrics could not be written as text: a collector failed.
#[derive(Debug, Error)]
#[error("failed to encode the metrics")]
pub struct EncodeMetricsError(#[from] std::fmt::Error);

impl MetricsRegistry {
    /// A registry with `heddle_build_info`, which tells the component and its version.
    pub fn new(component: &str, version: &str) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let labels = vec![
            ("component", component.to_owned()),
            ("version", version.to_owned()),
        ];
        registry.register(
            "build",
            "The component that runs here and its version",
            Info::new(labels),
        );
        Self { registry }
    }

    /// Registers a metric under `heddle_<name>`; keep a clone of it to count with. Counters get
    /// OpenMetrics' `_total` by themselves. `help` is a sentence without its full stop.
    pub fn register(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.registry.register(name, help, metric);
    }

    /// Registers a collector, whose metrics are made when somebody asks. Their names get `heddle_` in front as well.
    pub fn register_collector(&mut self, collector: impl Collector) {
        self.registry.register_collector(Box::new(collector));
    }

    /// Registers what `telemetry` counts about its own work.
    pub fn register_telemetry(&mut self, telemetry: &Telemetry) {
        let metrics = telemetry.export_metrics();
        let counters = [
            (
                "telemetry_spans_exported",
                "Spans a receiver has taken",
                &metrics.exported,
            ),
            (
                "telemetry_spans_dropped",
                "Spans lost because the queue was full or no receiver took them",
                &metrics.dropped,
            ),
            (
                "telemetry_export_failures",
                "Exports that failed",
                &metrics.failures,
            ),
            (
                "telemetry_log_lines_dropped",
                "Log lines lost because the log was read too slowly",
                telemetry.log_lines_dropped(),
            ),
        ];
        for (name, help, counter) in counters {
            self.registry.register(name, help, counter.clone());
        }
    }

    /// The metrics as OpenMetrics text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
    ///
    /// # Errors
    /// [`EncodeMetricsError`] when a collector that was registered fails.
    pub fn encode(&self) -> Result<String, EncodeMetricsError> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn metrics_are_encoded_as_openmetrics_with_the_build() {
        let mut registry = MetricsRegistry::new("operator", "1.2.3");
        let counter: Counter = Counter::default();
        registry.register(
            "reconciliations",
            "Times an object was reconciled",
            counter.clone(),
        );
        counter.inc();
        let text = registry.encode().unwrap();
        assert!(
            text.contains("heddle_build_info{component=\"operator\",version=\"1.2.3\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("# HELP heddle_reconciliations Times an object was reconciled.\n"),
            "{text}"
        );
        assert!(text.contains("heddle_reconciliations_total 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
