//! What is counted of SseSubscriptions, over all that this replica looks after.

use heddle_telemetry::MetricsRegistry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::time::Duration;

/// Bounds in seconds of how long an event takes from receipt to acknowledgement.
const LAG_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0,
];

/// Bounds in bytes of the size of an event's data.
const SIZE_BUCKETS: [f64; 8] = [
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
];

/// The metrics, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionMetrics {
    /// Those that this replica knows.
    pub(crate) known: Gauge,
    /// Those whose connection this replica holds.
    pub(crate) watched: Gauge,
    /// The replicas that share them.
    pub(crate) members: Gauge,
    received: Counter,
    filtered: Counter,
    delivered: Counter,
    retried: Counter,
    dead_lettered: Counter,
    misfits: Counter,
    connection_attempts: Counter,
    reconnects: Counter,
    lag_seconds: Histogram,
    event_bytes: Histogram,
}

impl Default for SubscriptionMetrics {
    fn default() -> Self {
        Self {
            known: Gauge::default(),
            watched: Gauge::default(),
            members: Gauge::default(),
            received: Counter::default(),
            filtered: Counter::default(),
            delivered: Counter::default(),
            retried: Counter::default(),
            dead_lettered: Counter::default(),
            misfits: Counter::default(),
            connection_attempts: Counter::default(),
            reconnects: Counter::default(),
            lag_seconds: Histogram::new(LAG_BUCKETS),
            event_bytes: Histogram::new(SIZE_BUCKETS),
        }
    }
}

impl SubscriptionMetrics {
    pub(super) fn register(&self, registry: &mut MetricsRegistry) {
        registry.register(
            "sse_subscriptions",
            "SseSubscriptions known to this replica",
            self.known.clone(),
        );
        registry.register(
            "sse_subscriptions_watched",
            "SseSubscriptions whose connection this replica holds",
            self.watched.clone(),
        );
        registry.register(
            "members",
            "Replicas that share SseSubscriptions",
            self.members.clone(),
        );
        registry.register(
            "sse_events_received",
            "Events that were received",
            self.received.clone(),
        );
        registry.register(
            "sse_events_filtered",
            "Events that filters took out",
            self.filtered.clone(),
        );
        registry.register(
            "sse_events_delivered",
            "Events that every sink has acknowledged",
            self.delivered.clone(),
        );
        registry.register(
            "sse_deliveries_retried",
            "Deliveries that were made again",
            self.retried.clone(),
        );
        registry.register(
            "sse_events_dead_lettered",
            "Events that went to a dead letter",
            self.dead_lettered.clone(),
        );
        registry.register(
            "sse_events_misfit",
            "Events whose data is no JSON of the message type that it was to be transcoded to",
            self.misfits.clone(),
        );
        registry.register(
            "sse_connection_attempts",
            "Connections to sources that were tried",
            self.connection_attempts.clone(),
        );
        registry.register(
            "sse_reconnects",
            "Those of them after the first one of a subscription",
            self.reconnects.clone(),
        );
        registry.register(
            "sse_lag_seconds",
            "Time from an event's receipt to its acknowledgement by every sink",
            self.lag_seconds.clone(),
        );
        registry.register(
            "sse_event_bytes",
            "Mean size of the data of events that were received together",
            self.event_bytes.clone(),
        );
    }

    pub(crate) fn count_connection_attempt(&self, is_reconnect: bool) {
        self.connection_attempts.inc();
        if is_reconnect {
            self.reconnects.inc();
        }
    }

    pub(crate) fn count_received(&self, events: usize, bytes: usize, filtered: usize) {
        self.received.inc_by(events as u64);
        self.filtered.inc_by(filtered as u64);
        if let Some(mean) = bytes.checked_div(events) {
            self.event_bytes.observe(mean as f64);
        }
    }

    pub(crate) fn observe_delivered(&self, lags: impl Iterator<Item = Duration>) {
        let mut events = 0;
        for lag in lags {
            events += 1;
            self.lag_seconds.observe(lag.as_secs_f64());
        }
        self.delivered.inc_by(events);
    }

    pub(crate) fn count_retry(&self) {
        self.retried.inc();
    }

    pub(crate) fn count_misfits(&self, events: usize) {
        self.misfits.inc_by(events as u64);
    }

    pub(crate) fn count_dead_lettered(&self, events: usize) {
        self.dead_lettered.inc_by(events as u64);
    }
}
