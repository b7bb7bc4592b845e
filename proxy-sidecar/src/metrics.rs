//! What the proxy counts. Labels come from configuration and from enums, never from what clients send.

mod collector;

use crate::refusal::Refusal;
use heddle_telemetry::MetricsRegistry;
use heddle_ws_session::SessionEnd;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

pub(crate) use collector::RoutesCollector;

/// Bounds in seconds of how long a handshake takes: from a backend in the same pod to one far away.
const HANDSHAKE_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// What is counted for all routes together. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyMetrics {
    /// Connections of clients that are open, whatever they are about.
    pub(crate) connections: Gauge,
    /// Connections that could not be accepted.
    pub(crate) accept_errors: Counter,
    /// Sessions that went from one thread to another.
    pub(crate) sessions_moved: Counter,
    /// Requests that no route was found for, or that were refused before that.
    refused: Family<RefusalLabels, Counter>,
    /// Attempts to apply a configuration.
    applied: Family<OutcomeLabels, Counter>,
}

/// What is counted for a route.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    pub(crate) open: Gauge,
    pub(crate) sessions: Counter,
    pub(crate) handshake_seconds: Histogram,
    /// Handshakes that a backend has answered with something other than 101.
    pub(crate) declined: Counter,
    pub(crate) retries: Counter,
    refused: CounterMap<&'static str>,
    closed: CounterMap<CloseLabels>,
}

/// Counters that come into being when they are needed. Unlike a [`Family`] it can be written with labels in front.
#[derive(Debug)]
pub(crate) struct CounterMap<K>(Mutex<BTreeMap<K, Counter>>);

impl<K> Default for CounterMap<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Ord> CounterMap<K> {
    fn inc(&self, key: K) {
        self.lock().entry(key).or_default().inc();
    }

    fn snapshot(&self) -> BTreeMap<K, Counter> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<K, Counter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is counted for a backend.
#[derive(Debug, Default)]
pub(crate) struct BackendMetrics {
    pub(crate) sessions: Counter,
    pub(crate) failures: Counter,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct CloseLabels {
    code: &'static str,
    by: &'static str,
    reason: &'static str,
}

impl Default for RouteMetrics {
    fn default() -> Self {
        Self {
            open: Gauge::default(),
            sessions: Counter::default(),
            handshake_seconds: Histogram::new(HANDSHAKE_BUCKETS),
            declined: Counter::default(),
            retries: Counter::default(),
            refused: CounterMap::default(),
            closed: CounterMap::default(),
        }
    }
}

impl RouteMetrics {
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused.inc(refusal.reason());
    }

    pub(crate) fn closed(&self, end: &SessionEnd) {
        let labels = CloseLabels {
            code: code_label(end.code()),
            by: end.closed_by.as_str(),
            reason: end.reason.as_str(),
        };
        self.closed.inc(labels);
    }
}

impl ProxyMetrics {
    pub(crate) fn register(&self, registry: &mut MetricsRegistry) {
        registry.register(
            "proxy_connections",
            "Connections of clients that are open, handshakes included",
            self.connections.clone(),
        );
        registry.register(
            "proxy_accept_errors",
            "Connections of clients that could not be accepted",
            self.accept_errors.clone(),
        );
        registry.register(
            "proxy_sessions_moved",
            "Sessions that went from a busy thread to one with less to do",
            self.sessions_moved.clone(),
        );
        registry.register(
            "proxy_requests_refused",
            "Requests that were refused before a route was found, by reason",
            self.refused.clone(),
        );
        registry.register(
            "proxy_configurations",
            "Configurations that arrived, by what became of them",
            self.applied.clone(),
        );
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        let reason = refusal.reason();
        self.refused.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// A configuration was applied, or some of it was refused.
    pub(crate) fn applied(&self, whole: bool) {
        let outcome = if whole { "applied" } else { "refused" };
        self.applied.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

/// A label for a close code. Those that applications choose are told apart by their range alone: there are thousands.
fn code_label(code: u16) -> &'static str {
    const STANDARD: [&str; 16] = [
        "1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011",
        "1012", "1013", "1014", "1015",
    ];
    let standard = code
        .checked_sub(1000)
        .and_then(|index| STANDARD.get(usize::from(index)));
    match (standard, code) {
        (Some(label), _) => label,
        (None, 3000..=3999) => "3xxx",
        (None, 4000..=4999) => "4xxx",
        (None, _) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_have_few_labels() {
        let labels: std::collections::BTreeSet<_> = (0..=u16::MAX).map(code_label).collect();
        assert_eq!(labels.len(), 16 + 3);
        assert_eq!(code_label(1001), "1001");
        assert_eq!(code_label(3999), "3xxx");
        assert_eq!(code_label(1016), "other");
    }
}
