//! What a watcher tells of itself while it runs.

use super::event::Event;
use super::sink::Failure;
use crate::conditions::Problem;
use crate::metrics::SubscriptionMetrics;
use heddle_crds::sse_subscription::{Counts, Reason};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The state of a watcher, shared by its parts and read by the controller.
#[derive(Debug)]
pub(crate) struct Progress {
    key: String,
    news: News,
    metrics: Arc<SubscriptionMetrics>,
    counts: AtomicCounts,
    has_ended: AtomicBool,
    told: Mutex<Told>,
    /// Since when each sink that does not acknowledge has been tried.
    tried_since: Mutex<BTreeMap<Arc<str>, Instant>>,
}

/// How long a sink has to be tried in vain before people are told: one that fails now and then is no news.
const FAILING_AFTER: Duration = Duration::from_secs(3);

/// What conditions are made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    pub(crate) connection: Connection,
    /// The sinks that have failed since they last acknowledged, and how.
    pub(crate) failing: BTreeMap<Arc<str>, Problem<Reason>>,
    /// The events that do not fit the message type and hold up the stream, and why.
    pub(crate) held: BTreeMap<Arc<str>, String>,
    /// The sink that never wants an event again.
    pub(crate) gone: Option<(Arc<str>, String)>,
    /// Why the checkpoint could not be written the last time.
    pub(crate) checkpoint_failure: Option<String>,
    pub(crate) done_up_to: Arc<str>,
    pub(crate) last_event_at: Option<Timestamp>,
}

/// The state of the connection to the source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Connection {
    Connecting,
    Open,
    /// It broke or could not be made; it is tried again then.
    Waiting {
        reason: Reason,
        message: String,
        until: Option<Timestamp>,
    },
    /// It is not tried again.
    Ended {
        reason: Reason,
        message: String,
    },
}

#[derive(Debug, Default)]
struct AtomicCounts {
    received: AtomicI64,
    filtered: AtomicI64,
    delivered: AtomicI64,
    retried: AtomicI64,
    dead_lettered: AtomicI64,
    connection_attempts: AtomicI64,
}

/// Which subscriptions have something new to tell. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct News(Arc<NewsState>);

#[derive(Debug, Default)]
struct NewsState {
    of: Mutex<BTreeSet<String>>,
    notify: Notify,
}

impl News {
    pub(crate) fn note(&self, key: &str) {
        lock(&self.0.of).insert(key.to_owned());
        self.0.notify.notify_one();
    }

    /// Waits until there are any, and takes them.
    pub(crate) async fn take(&self) -> BTreeSet<String> {
        loop {
            let notified = self.0.notify.notified();
            let taken = std::mem::take(&mut *lock(&self.0.of));
            if !taken.is_empty() {
                return taken;
            }
            notified.await;
        }
    }
}

impl Progress {
    /// Of the subscription `key`, that goes on after `done_up_to` with what was counted before.
    pub(crate) fn new(
        key: String,
        news: News,
        metrics: Arc<SubscriptionMetrics>,
        done_up_to: Arc<str>,
        counts: &Counts,
        last_event_at: Option<Timestamp>,
    ) -> Self {
        Self {
            key,
            news,
            metrics,
            counts: AtomicCounts {
                received: counts.received.into(),
                filtered: counts.filtered.into(),
                delivered: counts.delivered.into(),
                retried: counts.retried.into(),
                dead_lettered: counts.dead_lettered.into(),
                connection_attempts: counts.connection_attempts.into(),
            },
            has_ended: AtomicBool::new(false),
            tried_since: Mutex::default(),
            told: Mutex::new(Told {
                connection: Connection::Connecting,
                failing: BTreeMap::new(),
                held: BTreeMap::new(),
                gone: None,
                checkpoint_failure: None,
                done_up_to,
                last_event_at,
            }),
        }
    }

    pub(crate) fn told(&self) -> Told {
        lock(&self.told).clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |count: &AtomicI64| count.load(Ordering::Relaxed);
        Counts {
            received: read(&self.counts.received),
            filtered: read(&self.counts.filtered),
            delivered: read(&self.counts.delivered),
            retried: read(&self.counts.retried),
            dead_lettered: read(&self.counts.dead_lettered),
            connection_attempts: read(&self.counts.connection_attempts),
        }
    }

    /// Has the controller look, for numbers that have changed.
    pub(super) fn tell(&self) {
        self.news.note(&self.key);
    }

    /// The watcher runs no more.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.news.note(&self.key);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    fn change(&self, change: impl FnOnce(&mut Told)) {
        let mut told = lock(&self.told);
        let before = told.clone();
        change(&mut told);
        let is_news = *told != before;
        drop(told);
        if is_news {
            self.news.note(&self.key);
        }
    }

    pub(super) fn connection(&self, connection: Connection) {
        self.change(|told| told.connection = connection);
    }

    pub(super) fn count_attempt(&self) {
        let before = self.counts.connection_attempts.fetch_add(1, Ordering::Relaxed);
        self.metrics.count_connection_attempt(before > 0);
    }

    pub(super) fn received(&self, events: usize, bytes: usize, filtered: usize, at: Timestamp) {
        self.counts.received.fetch_add(number(events), Ordering::Relaxed);
        self.counts
            .filtered
            .fetch_add(number(filtered), Ordering::Relaxed);
        self.metrics.count_received(events, bytes, filtered);
        // Numbers are told of now and then, see `tell`.
        lock(&self.told).last_event_at = Some(at);
    }

    pub(super) fn delivered(&self, events: &[Event], now: Instant) {
        self.counts
            .delivered
            .fetch_add(number(events.len()), Ordering::Relaxed);
        self.metrics
            .observe_delivered(events.iter().map(|event| now - event.received_at));
    }

    pub(super) fn done_up_to(&self, id: &Arc<str>) {
        lock(&self.told).done_up_to = Arc::clone(id);
    }

    pub(super) fn count_retry(&self) {
        self.counts.retried.fetch_add(1, Ordering::Relaxed);
        self.metrics.count_retry();
    }

    pub(super) fn count_dead_lettered(&self, events: usize) {
        self.counts
            .dead_lettered
            .fetch_add(number(events), Ordering::Relaxed);
        self.metrics.count_dead_lettered(events);
    }

    pub(super) fn count_misfits(&self, events: usize) {
        self.metrics.count_misfits(events);
    }

    pub(super) fn event_held(&self, id: &Arc<str>, why: &str) {
        self.change(|told| {
            told.held.insert(Arc::clone(id), why.to_owned());
        });
    }

    pub(super) fn event_released(&self, id: &str) {
        self.change(|told| {
            told.held.remove(id);
        });
    }

    pub(super) fn sink_acknowledged(&self, sink: &str) {
        if lock(&self.tried_since).remove(sink).is_none() {
            return;
        }
        let mut told = lock(&self.told);
        let is_news = told.failing.remove(sink).is_some();
        drop(told);
        if is_news {
            self.news.note(&self.key);
        }
    }

    /// A delivery that was begun at `began` was not acknowledged.
    pub(super) fn sink_failed(&self, sink: &Arc<str>, failure: &Failure, began: Instant) {
        let since = *lock(&self.tried_since).entry(Arc::clone(sink)).or_insert(began);
        if since.elapsed() < FAILING_AFTER {
            return;
        }
        let problem = Problem {
            reason: failure.reason(),
            message: failure.message().to_owned(),
        };
        self.change(|told| {
            told.failing.insert(Arc::clone(sink), problem);
        });
    }

    pub(super) fn sink_gone(&self, sink: &Arc<str>, message: &str) {
        self.change(|told| told.gone = Some((Arc::clone(sink), message.to_owned())));
    }

    pub(super) fn checkpoint_failed(&self, failure: Option<String>) {
        self.change(|told| told.checkpoint_failure = failure);
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
