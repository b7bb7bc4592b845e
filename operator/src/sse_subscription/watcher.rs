//! One task for each subscription that this replica looks after: from the source through the filter to the sinks, and the
//! place in the stream stored after them.
//!
//! What has been read and not acknowledged is bounded in bytes. When it is that much, nothing more is read, so that the
//! source's connection fills up and the source waits: a slow sink slows the source.

pub(crate) mod cloud_event;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod places;
pub(crate) mod progress;
pub(crate) mod retry;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod transcoder;

use super::checkpoint::{Checkpoint, CheckpointError, Ended, Place, Stored};
use crate::context::sleep_until;
use delivery::{Delivery, Stopped};
use event::{Event, Identities};
use filter::Filter;
use futures::FutureExt;
use heddle_crds::sse_subscription::Reason;
use heddle_telemetry::{ErrorChain, TraceParent};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use places::Places;
use progress::{Connection, Progress};
use source::{Received, ReceivedEvent, Source};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How often numbers are told of that have changed.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// How long sinks may take to acknowledge what is under way when a watcher is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// The most events that are taken in before anything else is looked at.
const TAKEN_AT_ONCE: usize = 4096;

/// What a watcher works by.
pub(crate) struct WatcherPlan {
    pub(crate) filter: Arc<Filter>,
    pub(crate) delivery: Arc<Delivery>,
    /// The most events of one batch.
    pub(crate) batch_events: usize,
    /// How long a batch that is not full waits.
    pub(crate) batch_delay: Duration,
    /// Batches under way at the same time.
    pub(crate) in_flight: usize,
    /// Bytes that have been read and not acknowledged.
    pub(crate) buffer_bytes: usize,
    /// How often the place is stored at most.
    pub(crate) checkpoint_interval: Duration,
    /// The share of events that get a trace.
    pub(crate) trace_ratio: f64,
    pub(crate) generation: i64,
    pub(crate) requested_at: Option<String>,
}

/// A watcher before it runs.
pub(crate) struct Watcher {
    plan: WatcherPlan,
    source: Source,
    checkpoint: Checkpoint,
    stored: Stored,
    progress: Arc<Progress>,
    identities: Identities,
    places: Places,
    pending: VecDeque<Event>,
    /// Where the stream has come to behind the last of `pending`, with nothing to deliver.
    passed_after_pending: Option<Arc<str>>,
    /// Of `pending`, and of all that has been read and not acknowledged.
    buffered_bytes: usize,
    /// When the oldest of `pending` came.
    pending_since: Option<Instant>,
    in_flight: JoinSet<Delivered>,
    writing: JoinSet<Result<Stored, CheckpointError>>,
    written_at: Option<Instant>,
    told_at: Option<Instant>,
    has_news: bool,
    last_type: Arc<str>,
    last_event_at: Option<Timestamp>,
    ended: Option<Ended>,
}

/// A batch that is no longer under way.
struct Delivered {
    number: u64,
    events: Vec<Event>,
    spans: Vec<tracing::Span>,
    result: Result<(), Stopped>,
}

/// How a watcher ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It was told to.
    Stopped,
    /// Nothing more is to come, or to be delivered.
    Ended,
    /// Somebody else goes on, or may.
    Deposed,
}

impl Watcher {
    /// One that goes on from `stored`, which this process has just written.
    pub(crate) fn new(
        plan: WatcherPlan,
        source: Source,
        checkpoint: Checkpoint,
        stored: Stored,
        progress: Arc<Progress>,
        resume_after: Arc<str>,
    ) -> Self {
        Self {
            plan,
            source,
            checkpoint,
            progress,
            identities: Identities::new(Arc::clone(&resume_after)),
            places: Places::new(resume_after),
            pending: VecDeque::new(),
            passed_after_pending: None,
            buffered_bytes: 0,
            pending_since: None,
            in_flight: JoinSet::new(),
            writing: JoinSet::new(),
            written_at: None,
            told_at: None,
            has_news: false,
            last_type: "message".into(),
            last_event_at: stored.place.last_event_at.as_ref().map(|time| time.0),
            ended: None,
            stored,
        }
    }

    /// Runs until `stop` is cancelled or there is nothing more to do. The place is then stored, and the claim given back.
    ///
    /// Boxed, as is its end: a future has room for all that it may ever hold, and most watchers wait for the next event.
    pub(crate) async fn run(mut self: Box<Self>, stop: CancellationToken) -> Outcome {
        let outcome = loop {
            if let Some(outcome) = self.begin_work() {
                break outcome;
            }
            let (wake, has_room) = (self.next_wake(), self.has_room());
            tokio::select! {
                () = stop.cancelled() => break Outcome::Stopped,
                Some(ended) = self.in_flight.join_next() => {
                    if let Some(outcome) = self.batch_ended(ended) {
                        break outcome;
                    }
                }
                Some(written) = self.writing.join_next() => {
                    if let Some(outcome) = self.checkpoint_written(written) {
                        break outcome;
                    }
                }
                received = self.source.next(), if has_room => self.take(received),
                () = sleep_until(wake) => {}
            }
        };
        Box::pin(self.finish(outcome)).await
    }

    /// Begins what can begin now. How the watcher ends, if there is nothing more to come.
    fn begin_work(&mut self) -> Option<Outcome> {
        let now = Instant::now();
        while self.in_flight.len() < self.plan.in_flight && self.batch_is_due(now) {
            self.begin_batch();
        }
        if self.checkpoint_is_due(now) {
            self.begin_checkpoint(now);
        }
        if self.has_news && self.told_at.is_none_or(|at| now >= at + TELL_INTERVAL) {
            self.told_at = Some(now);
            self.has_news = false;
            self.progress.tell();
        }
        let is_over = self.ended.is_some() && self.pending.is_empty() && self.in_flight.is_empty();
        is_over.then_some(Outcome::Ended)
    }

    fn has_room(&self) -> bool {
        self.buffered_bytes < self.plan.buffer_bytes && self.ended.is_none()
    }

    fn batch_is_due(&self, now: Instant) -> bool {
        let waited = self.pending_since.map(|since| now.duration_since(since));
        let is_full = self.pending.len() >= self.plan.batch_events || !self.has_room();
        waited.is_some_and(|waited| is_full || waited >= self.plan.batch_delay)
    }

    fn begin_batch(&mut self) {
        let count = self.pending.len().min(self.plan.batch_events);
        let mut events: Vec<Event> = self.pending.drain(..count).collect();
        self.pending_since = self.pending.front().map(|event| event.received_at);
        let Some(last) = events.last() else { return };
        let number = self.places.begin(Arc::clone(&last.last_event_id));
        if let Some(id) = self.passed_after_pending.take_if(|_| self.pending.is_empty()) {
            self.places.pass(id);
        }
        let spans = self.begin_traces(&mut events);
        let delivery = Arc::clone(&self.plan.delivery);
        self.in_flight.spawn(async move {
            let result = delivery.deliver(&events).await;
            Delivered {
                number,
                events,
                spans,
                result,
            }
        });
    }

    /// A trace for some of the events, which goes on at the sinks.
    fn begin_traces(&self, events: &mut [Event]) -> Vec<tracing::Span> {
        let mut spans = Vec::new();
        if self.plan.trace_ratio <= 0.0 {
            return spans;
        }
        for event in events {
            if rand::random::<f64>() >= self.plan.trace_ratio {
                continue;
            }
            let source = &*self.plan.delivery.origin.source;
            let (id, type_) = (&*event.id, &*event.type_);
            let span = tracing::info_span!(parent: None, "sse event", source, id, type_);
            event.traceparent = TraceParent::of(&span).map(|parent| parent.to_string().into());
            spans.push(span);
        }
        spans
    }

    fn batch_ended(&mut self, ended: Result<Delivered, JoinError>) -> Option<Outcome> {
        let Ok(Delivered {
            number,
            events,
            spans,
            result,
        }) = ended
        else {
            // A panic, which is logged with its place. What was under way is delivered again by who starts anew.
            return Some(Outcome::Deposed);
        };
        drop(spans);
        match result {
            Ok(()) => {
                let cost: usize = events.iter().map(Event::cost).sum();
                self.buffered_bytes = self.buffered_bytes.saturating_sub(cost);
                self.places.end(number);
                self.progress.delivered(&events, Instant::now());
                self.progress.done_up_to(self.places.done_up_to());
                self.has_news = true;
                None
            }
            Err(Stopped::Fenced) => Some(Outcome::Deposed),
            Err(Stopped::Gone { sink, message }) => {
                self.progress.sink_gone(&sink, &message);
                let message = format!("Sink {sink} is gone: {message}.");
                self.ended = Some(self.end(Reason::SinkGone, message));
                Some(Outcome::Ended)
            }
        }
    }

    fn end(&self, reason: Reason, message: String) -> Ended {
        Ended {
            reason,
            message,
            generation: self.plan.generation,
            requested_at: self.plan.requested_at.clone(),
        }
    }

    /// Takes in what the source has, and what else it has at once.
    fn take(&mut self, received: Received) {
        let (now, time) = (Instant::now(), Timestamp::now());
        let mut taken = Taken::default();
        self.take_one(received, now, time, &mut taken);
        while taken.events < TAKEN_AT_ONCE && self.has_room() {
            let Some(received) = self.source.next().now_or_never() else {
                break;
            };
            self.take_one(received, now, time, &mut taken);
        }
        if taken.events > 0 {
            self.progress
                .received(taken.events, taken.bytes, taken.filtered, time);
            self.progress.done_up_to(self.places.done_up_to());
            self.last_event_at = Some(time);
            self.has_news = true;
        }
    }

    fn take_one(&mut self, received: Received, now: Instant, time: Timestamp, taken: &mut Taken) {
        match received {
            Received::Event(event) => {
                taken.events += 1;
                taken.bytes += event.data.len();
                taken.filtered += usize::from(!self.take_event(event, now, time));
            }
            Received::Connecting => {
                // What is told meanwhile is why the one before ended.
                self.progress.count_attempt();
                self.has_news = true;
            }
            Received::Passed(id) => {
                self.identities.pass(&id);
                self.passed();
            }
            Received::Open => {
                self.identities.reconnected();
                self.progress.connection(Connection::Open);
            }
            Received::Waiting {
                reason,
                message,
                until,
            } => self.progress.connection(Connection::Waiting {
                reason,
                message,
                until,
            }),
            Received::Ended { reason, message } => {
                self.ended = Some(self.end(reason, message.clone()));
                self.progress.connection(Connection::Ended { reason, message });
            }
        }
    }

    /// Whether it is to be delivered.
    fn take_event(&mut self, event: ReceivedEvent, now: Instant, time: Timestamp) -> bool {
        if *self.last_type != *event.type_ {
            self.last_type = event.type_.as_str().into();
        }
        let id = self
            .identities
            .next(&event.last_event_id, &event.type_, &event.data);
        let event = Event {
            id,
            last_event_id: Arc::clone(self.identities.last_event_id()),
            type_: Arc::clone(&self.last_type),
            data: event.data,
            received_at: now,
            time,
            protobuf: None,
            traceparent: None,
        };
        if !self.plan.filter.lets_through(&event) {
            self.passed();
            return false;
        }
        self.buffered_bytes += event.cost();
        self.pending_since.get_or_insert(now);
        self.pending.push_back(event);
        self.passed_after_pending = None;
        true
    }

    /// The stream has come to its last event id with nothing to deliver since the newest event that is.
    fn passed(&mut self) {
        let id = Arc::clone(self.identities.last_event_id());
        match self.pending.is_empty() {
            true => self.places.pass(id),
            false => self.passed_after_pending = Some(id),
        }
    }

    fn checkpoint_is_due(&self, now: Instant) -> bool {
        let is_new = **self.places.done_up_to() != *self.stored.place.last_event_id;
        let waited = |at| now.duration_since(at) >= self.plan.checkpoint_interval;
        is_new && self.writing.is_empty() && self.written_at.is_none_or(waited)
    }

    fn place(&self, owner: Option<String>) -> Place {
        Place {
            owner,
            last_event_id: self.places.done_up_to().to_string(),
            counts: self.progress.counts(),
            last_event_at: self.last_event_at.map(Time),
            ended: self.ended.clone(),
        }
    }

    fn begin_checkpoint(&mut self, now: Instant) {
        // Whatever is written by one that was replaced would fail; this spares the question.
        if !self.plan.delivery.fence.is_open_at(now) {
            return;
        }
        self.written_at = Some(now);
        let place = self.place(self.stored.place.owner.clone());
        let (checkpoint, before) = (self.checkpoint.clone(), self.stored.clone());
        self.writing
            .spawn(async move { checkpoint.write_as_owner(&before, place).await });
    }

    fn checkpoint_written(
        &mut self,
        written: Result<Result<Stored, CheckpointError>, JoinError>,
    ) -> Option<Outcome> {
        match written {
            Ok(Ok(stored)) => {
                self.stored = stored;
                self.progress.checkpoint_failed(None);
                None
            }
            Ok(Err(CheckpointError::Outdated { .. })) | Err(_) => Some(Outcome::Deposed),
            // It may have been written all the same; who tries again is told then.
            Ok(Err(error)) => {
                self.progress
                    .checkpoint_failed(Some(ErrorChain(&error).to_string()));
                None
            }
        }
    }

    /// When there is something to do even if nothing happens.
    fn next_wake(&self) -> Option<Instant> {
        let can_begin = self.in_flight.len() < self.plan.in_flight;
        let batch = self.pending_since.filter(|_| can_begin);
        let batch = batch.map(|since| since + self.plan.batch_delay);
        let is_new = **self.places.done_up_to() != *self.stored.place.last_event_id;
        let can_write = is_new && self.writing.is_empty();
        let checkpoint = self.written_at.filter(|_| can_write);
        let checkpoint = checkpoint.map(|at| at + self.plan.checkpoint_interval);
        let told = self
            .told_at
            .filter(|_| self.has_news)
            .map(|at| at + TELL_INTERVAL);
        [batch, checkpoint, told].into_iter().flatten().min()
    }

    /// Waits for what is under way, stores the place and gives the claim back.
    async fn finish(mut self: Box<Self>, outcome: Outcome) -> Outcome {
        let deadline = tokio::time::Instant::now() + GRACE;
        // Before anything is given back: whoever takes it connects at once.
        self.source.close();
        if outcome == Outcome::Stopped && self.plan.delivery.fence.is_open() {
            while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.in_flight.join_next()).await {
                self.batch_ended(ended);
            }
        }
        self.in_flight.shutdown().await;
        if let Some(Outcome::Deposed) = self.finish_writing().await {
            return Outcome::Deposed;
        }
        if outcome == Outcome::Deposed || !self.plan.delivery.fence.is_open() {
            return Outcome::Deposed;
        }
        let place = self.place(None);
        match self.checkpoint.write_as_owner(&self.stored, place).await {
            // It goes with its subscription.
            Ok(_) | Err(CheckpointError::Outdated { .. }) => {}
            Err(error) => tracing::warn!(
                source = &*self.plan.delivery.origin.source,
                error = %ErrorChain(&error),
                "the checkpoint was not stored at the end; some events may be delivered again"
            ),
        }
        outcome
    }

    async fn finish_writing(&mut self) -> Option<Outcome> {
        let written = self.writing.join_next().await?;
        self.checkpoint_written(written)
    }
}

/// What was taken in at once.
#[derive(Default)]
struct Taken {
    events: usize,
    bytes: usize,
    filtered: usize,
}
