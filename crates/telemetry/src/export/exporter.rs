//! The thread that collects finished spans into batches and sends them.

use super::http_client::LastFailure;
use super::queue::SpanQueue;
use super::transport::{self, TransportError};
use super::{ExportMetrics, ShutdownError};
use crate::logs::RegisteredDispatch;
use crate::settings::OtlpSettings;
use failures::FailureLog;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Dispatch;

mod failures;

const THREAD_NAME: &str = "otlp-exporter";
/// How long the queue is flushed when a [`Telemetry`](crate::Telemetry) is dropped instead of shut down.
const GRACE_WHEN_DROPPED: Duration = Duration::from_secs(1);
/// Longer waits are as good as endless, and a sum with the clock must not overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Why spans are not exported.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error("failed to start the exporter's thread")]
    Thread(#[source] std::io::Error),
    #[error("failed to start the exporter's runtime")]
    Runtime(#[source] std::io::Error),
    #[error("failed to start the exporter: its thread is gone")]
    ThreadGone,
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// The running thread. It has a runtime of its own: a process whose runtime is busy, blocked or
/// absent exports all the same.
pub(crate) struct ExporterThread {
    stop: watch::Sender<Option<Instant>>,
    lost: oneshot::Receiver<u64>,
    thread: JoinHandle<()>,
}

impl ExporterThread {
    /// Starts the thread and the queue it empties. Nothing is connected until there is a span.
    pub(crate) fn start(
        settings: OtlpSettings,
        resource: Resource,
        metrics: ExportMetrics,
        dispatch: RegisteredDispatch,
    ) -> Result<(Self, SpanQueue), StartError> {
        let (queue, spans) = SpanQueue::new(settings.max_queue_size, metrics.clone());
        let (stop, stopped) = watch::channel(None);
        let (lost_sender, lost) = oneshot::channel();
        let (started_sender, started) = std_mpsc::sync_channel(1);
        let run = move || {
            let started = Worker::build(settings, &resource, spans, stopped, metrics);
            let (started, worker) = match started {
                Ok(worker) => (Ok(()), Some(worker)),
                Err(error) => (Err(error), None),
            };
            if started_sender.send(started).is_ok()
                && let Some(worker) = worker
            {
                worker.run(&dispatch, lost_sender);
            }
        };
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(run)
            .map_err(StartError::Thread)?;
        started.recv().map_err(|_| StartError::ThreadGone)??;
        Ok((Self { stop, lost, thread }, queue))
    }

    /// Exports what is waiting, for as long as `deadline`, and ends the thread.
    pub(crate) async fn stop(self, deadline: Duration) -> Result<(), ShutdownError> {
        self.stop
            .send_replace(Some(Instant::now() + deadline.min(LONGEST_WAIT)));
        let lost = self.lost.await.map_err(|_| ShutdownError::ThreadGone)?;
        // The answer is the last thing the thread does, so this does not block.
        self.thread.join().map_err(|_| ShutdownError::ThreadGone)?;
        if lost == 0 {
            Ok(())
        } else {
            Err(ShutdownError::SpansLost(lost))
        }
    }
}

/// What one round of the thread came to.
enum Round {
    Exported,
    Failed { spans: u64, reason: String },
    QueueClosed,
}

struct Worker {
    runtime: Runtime,
    sender: BatchSender,
}

impl Worker {
    fn build(
        settings: OtlpSettings,
        resource: &Resource,
        spans: mpsc::Receiver<SpanData>,
        stopped: watch::Receiver<Option<Instant>>,
        metrics: ExportMetrics,
    ) -> Result<Self, StartError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let failure = LastFailure::default();
        let mut exporter = {
            let _inside = runtime.enter();
            transport::build(&settings, failure.clone())?
        };
        exporter.set_resource(resource);
        Ok(Self {
            runtime,
            sender: BatchSender {
                exporter,
                failure,
                settings,
                spans,
                stopped,
                metrics,
            },
        })
    }

    fn run(mut self, dispatch: &RegisteredDispatch, lost_sender: oneshot::Sender<u64>) {
        let mut failures = FailureLog::new(&self.sender.settings.endpoint);
        let mut lost = 0;
        loop {
            // What the transport logs about an export would be exported in turn, for ever.
            let silence = Dispatch::none();
            let next = || self.runtime.block_on(self.sender.next_round());
            let round = tracing::dispatcher::with_default(&silence, next);
            if let Round::Failed { spans, .. } = &round
                && self.sender.is_stopped()
            {
                lost += spans;
            }
            if matches!(round, Round::QueueClosed) {
                break;
            }
            if let Some(dispatch) = dispatch.upgrade() {
                tracing::dispatcher::with_default(&dispatch, || failures.note(&round));
            }
        }
        // A name that is still being resolved must not hold up the end of the process.
        self.runtime.shutdown_background();
        if lost_sender.send(lost).is_err() {
            tracing::debug!(lost, "nobody waited for the exporter to stop");
        }
    }
}

struct BatchSender {
    exporter: SpanExporter,
    failure: LastFailure,
    settings: OtlpSettings,
    spans: mpsc::Receiver<SpanData>,
    stopped: watch::Receiver<Option<Instant>>,
    metrics: ExportMetrics,
}

impl BatchSender {
    fn is_stopped(&self) -> bool {
        self.stopped.borrow().is_some() || self.stopped.has_changed().is_err()
    }

    async fn next_round(&mut self) -> Round {
        let batch = self.next_batch().await;
        if batch.is_empty() {
            return Round::QueueClosed;
        }
        let spans = batch.len() as u64;
        match self.export(batch).await {
            Ok(()) => {
                self.metrics.exported.inc_by(spans);
                Round::Exported
            }
            Err(reason) => {
                self.metrics.failures.inc();
                self.metrics.dropped.inc_by(spans);
                Round::Failed { spans, reason }
            }
        }
    }

    /// Waits for a first span, then for others as long as the settings say. Empty only when the
    /// queue is closed and nothing is left in it.
    async fn next_batch(&mut self) -> Vec<SpanData> {
        let mut batch = Vec::new();
        let mut full_at = None;
        while batch.len() < self.settings.max_export_batch_size {
            let room = self.settings.max_export_batch_size - batch.len();
            tokio::select! {
                biased;
                received = self.spans.recv_many(&mut batch, room) => {
                    if received == 0 {
                        break;
                    }
                    let delay = self.settings.schedule_delay.min(LONGEST_WAIT);
                    full_at.get_or_insert_with(|| Instant::now() + delay);
                }
                _ = stop_deadline(&mut self.stopped), if !self.spans.is_closed() => self.spans.close(),
                () = sleep_until(full_at.unwrap_or_else(Instant::now)), if full_at.is_some() => break,
            }
        }
        batch
    }

    async fn export(&mut self, batch: Vec<SpanData>) -> Result<(), String> {
        let exporting = timeout(self.settings.timeout, self.exporter.export(batch));
        let out_of_time = async { sleep_until(stop_deadline(&mut self.stopped).await).await };
        tokio::select! {
            biased;
            exported = exporting => match exported {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(match self.failure.take() {
                    Some(reason) => format!("{error}: {reason}"),
                    None => error.to_string(),
                }),
                Err(_) => Err(format!("no answer within {:?}", self.settings.timeout)),
            },
            () = out_of_time => Err("no answer before the process ended".to_owned()),
        }
    }
}

/// Waits until the thread is to stop, and tells when it must have.
async fn stop_deadline(stopped: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let deadline = stopped
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|deadline| *deadline);
    deadline.unwrap_or_else(|| Instant::now() + GRACE_WHEN_DROPPED)
}
