//! One sidecar's stream. It is the body of the answer: polled by the connection, and dropped with it.

use super::PodId;
use super::sidecars::{Connection, Outgoing, Sidecars};
use crate::metrics::Metrics;
use bytes::Bytes;
use futures::stream;
use heddle_route_config::protocol::{
    ANSWER_BYTES_LIMIT, Acknowledgement, BroadcastResult, Hello, Lines, LinesError, ToOperator,
};
use heddle_telemetry::ErrorChain;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use rand::Rng;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a sidecar may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How old a stream gets: the token that it began with is good for an hour. A random part of it is taken away, so that
/// sidecars that came together do not go together.
const AGE_LIMIT: Duration = Duration::from_secs(3600);
const AGE_JITTER: f64 = 0.25;

/// Why a stream ends before its time.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("failed to read from the sidecar")]
    Read(#[source] hyper::Error),
    #[error(transparent)]
    Lines(#[from] LinesError),
    #[error("failed to get to know the sidecar: its first line is no hello")]
    NoHello,
    #[error("failed to get to know the sidecar within {} s", HELLO_TIMEOUT.as_secs())]
    HelloTimeout,
}

/// What has come about.
enum News {
    Desired,
    Broadcast(Outgoing),
    Line(ToOperator),
    End,
}

/// A sidecar's stream.
pub(super) struct Session {
    pod: PodId,
    incoming: Incoming,
    lines: Lines,
    sidecars: Sidecars,
    metrics: Metrics,
    stop: CancellationToken,
    ends_at: Instant,
    /// From the hello on.
    connection: Option<Connection>,
    /// What is to be sent.
    queue: VecDeque<Bytes>,
    /// The version that was sent last, or that the sidecar came with.
    version: Option<String>,
    /// The descriptor sets that the sidecar has.
    descriptors: BTreeSet<String>,
    /// Who waits for answers to broadcasts, by their numbers.
    broadcasts: HashMap<u64, oneshot::Sender<BroadcastResult>>,
}

impl Session {
    pub(super) fn new(
        pod: PodId,
        incoming: Incoming,
        sidecars: Sidecars,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let share = 1.0 - rand::rng().random_range(0.0..AGE_JITTER);
        Self {
            pod,
            incoming,
            lines: Lines::new(ANSWER_BYTES_LIMIT),
            sidecars,
            metrics,
            stop,
            ends_at: Instant::now() + AGE_LIMIT.mul_f64(share),
            connection: None,
            queue: VecDeque::new(),
            version: None,
            descriptors: BTreeSet::new(),
            broadcasts: HashMap::new(),
        }
    }

    /// As the body of an answer.
    pub(super) fn into_body(self) -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
        StreamBody::new(stream::unfold(self, |mut session| async move {
            let bytes = session.next().await?;
            Some((Ok(Frame::data(bytes)), session))
        }))
    }

    /// What to send next; nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let next = self.try_next().await;
        next.unwrap_or_else(|error| {
            let (namespace, pod) = (&self.pod.namespace, &self.pod.name);
            tracing::warn!(namespace, pod, error = %ErrorChain(&error), "stream of a sidecar broke");
            None
        })
    }

    async fn try_next(&mut self) -> Result<Option<Bytes>, SessionError> {
        if self.connection.is_none() {
            self.greet().await?;
        }
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                return Ok(Some(bytes));
            }
            match self.news().await? {
                News::Desired => self.enqueue(),
                News::Line(ToOperator::Acknowledged(acknowledgement)) => self.acknowledge(acknowledgement),
                News::Broadcast(outgoing) => self.broadcast(outgoing),
                News::Line(ToOperator::Broadcast(result)) => self.answer(result),
                News::Line(ToOperator::Hello(_)) => return Err(SessionError::NoHello),
                News::End => return Ok(None),
            }
        }
    }

    async fn greet(&mut self) -> Result<(), SessionError> {
        let first = read(&mut self.incoming, &mut self.lines);
        let first = tokio::time::timeout(HELLO_TIMEOUT, first).await;
        let Some(ToOperator::Hello(hello)) = first.map_err(|_| SessionError::HelloTimeout)?? else {
            return Err(SessionError::NoHello);
        };
        let (namespace, pod) = (&self.pod.namespace, &self.pod.name);
        let sidecar_version = hello.sidecar_version.as_str();
        tracing::info!(namespace, pod, sidecar_version, "sidecar connected");
        self.version = hello.applied.as_ref().map(|applied| applied.version.clone());
        self.descriptors = hello.descriptors.iter().cloned().collect();
        let hello = Hello {
            descriptors: Vec::new(),
            ..hello
        };
        self.connection = Some(self.sidecars.connect(self.pod.clone(), hello));
        Ok(())
    }

    async fn news(&mut self) -> Result<News, SessionError> {
        let Some(connection) = &mut self.connection else {
            return Ok(News::End);
        };
        tokio::select! {
            () = self.stop.cancelled() => Ok(News::End),
            () = connection.superseded.cancelled() => Ok(News::End),
            () = tokio::time::sleep_until(self.ends_at) => Ok(News::End),
            changed = connection.desired.changed() => Ok(match changed {
                Ok(()) => News::Desired,
                Err(_) => News::End,
            }),
            Some(outgoing) = connection.broadcasts.recv() => Ok(News::Broadcast(outgoing)),
            line = read(&mut self.incoming, &mut self.lines) => Ok(match line? {
                Some(line) => News::Line(line),
                None => News::End,
            }),
        }
    }

    /// Puts what the sidecar lacks into the queue.
    fn enqueue(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Some(desired) = connection.desired.borrow_and_update().clone() else {
            return;
        };
        if self.version.as_ref() == Some(&desired.version) {
            return;
        }
        for descriptors in &desired.descriptors {
            if self.descriptors.insert(descriptors.reference.digest.clone()) {
                self.queue.extend(descriptors.lines.iter().cloned());
            }
        }
        // It keeps those that its configuration names, and no others.
        self.descriptors = desired
            .descriptors
            .iter()
            .map(|descriptors| descriptors.reference.digest.clone())
            .collect();
        self.queue.push_back(desired.line.clone());
        self.version = Some(desired.version.clone());
        self.metrics.configurations_sent.inc();
    }

    fn broadcast(&mut self, outgoing: Outgoing) {
        // Whoever does not wait any longer needs no answer.
        self.broadcasts.retain(|_, answer| !answer.is_closed());
        self.broadcasts.insert(outgoing.number, outgoing.answer);
        self.queue.push_back(outgoing.line);
    }

    fn answer(&mut self, result: BroadcastResult) {
        if let Some(answer) = self.broadcasts.remove(&result.number) {
            // It may have given up by now.
            answer.send(result).ok();
        }
    }

    fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        let refused = acknowledgement.routes.iter().any(|route| route.error.is_some());
        self.metrics.count_acknowledgement(refused);
        if let Some(connection) = &self.connection {
            connection.acknowledge(acknowledgement);
        }
    }
}

/// The next line; nothing at the end. Can be dropped and called again without losing anything.
async fn read(incoming: &mut Incoming, lines: &mut Lines) -> Result<Option<ToOperator>, SessionError> {
    loop {
        if let Some(line) = lines.next_line()? {
            return Ok(Some(line));
        }
        let Some(frame) = incoming.frame().await else {
            return Ok(None);
        };
        let frame = frame.map_err(SessionError::Read)?;
        if let Some(bytes) = frame.data_ref() {
            lines.push(bytes);
        }
    }
}
