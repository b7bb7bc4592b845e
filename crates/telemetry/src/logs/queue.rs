//! The bounded queue between whoever logs and the thread that writes: a reader of the log that is slow, or has stopped,
//! makes nobody wait.

use super::RegisteredDispatch;
use super::output::Sink;
use crate::export::ShutdownError;
use prometheus_client::metrics::counter::Counter;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const THREAD_NAME: &str = "log-writer";

/// The most bytes of lines that wait: some ten thousand lines.
const QUEUE_BYTES: usize = 4 << 20;

/// How long lines are written on when a [`Telemetry`](crate::Telemetry) is dropped instead of shut down.
const GRACE_WHEN_DROPPED: Duration = Duration::from_secs(1);

/// Takes lines. Clones are the same queue.
#[derive(Clone)]
pub(crate) struct LineQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Tells the thread.
    filled: Condvar,
    /// Tells those who wait for the thread.
    written: Condvar,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    /// Whole lines, in their order.
    lines: Vec<u8>,
    /// Lines that there was no room for, and that the log does not say so of yet.
    dropped: u64,
    is_writing: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Open,
    /// The thread writes what there is, and ends.
    Closing,
    /// The thread has ended.
    Closed,
}

/// The thread that writes. What waits is written when it is dropped.
pub(crate) struct LogWriter {
    queue: LineQueue,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Starts the thread. It says by `dispatch` that lines were lost, and `dropped` counts them.
    pub(super) fn start(
        sink: Arc<Sink>,
        dropped: Counter,
        dispatch: RegisteredDispatch,
    ) -> io::Result<(Self, LineQueue)> {
        let queue = LineQueue(Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            dropped,
        }));
        let of_thread = queue.clone();
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || of_thread.write_all(&sink, &dispatch))?;
        let writer = Self {
            queue: queue.clone(),
            thread: Some(thread),
        };
        Ok((writer, queue))
    }

    pub(crate) fn queue(&self) -> &LineQueue {
        &self.queue
    }

    /// Writes what waits, for at most `deadline`, and ends the thread. Later lines are written by those who log them.
    pub(crate) fn close(mut self, deadline: Duration) -> Result<(), ShutdownError> {
        self.close_within(deadline)
    }

    fn close_within(&mut self, deadline: Duration) -> Result<(), ShutdownError> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        match self.queue.close(deadline) {
            // The phase is the last thing the thread sets, so this does not block.
            true => thread.join().map_err(|_| ShutdownError::ThreadGone),
            // It hangs in a write, which nothing can end but the end of the process.
            false => Err(ShutdownError::LinesLost),
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // Nobody is left to be told.
        self.close_within(GRACE_WHEN_DROPPED).ok();
    }
}

impl LineQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs while it is held.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, or drops and counts it where there is no room. False when the thread has ended.
    pub(super) fn push(&self, line: &str) -> bool {
        let mut state = self.state();
        if state.phase == Phase::Closed {
            return false;
        }
        if state.lines.len() + line.len() > QUEUE_BYTES {
            state.dropped += 1;
            self.0.dropped.inc();
            return true;
        }
        let sleeps = state.lines.is_empty() && !state.is_writing;
        state.lines.extend_from_slice(line.as_bytes());
        drop(state);
        if sleeps {
            self.0.filled.notify_one();
        }
        true
    }

    /// Waits until all lines are written, for at most `deadline`. Whether they are.
    pub(crate) fn flush(&self, deadline: Duration) -> bool {
        let is_busy =
            |state: &mut State| state.phase != Phase::Closed && (state.is_writing || !state.lines.is_empty());
        let waited = self.0.written.wait_timeout_while(self.state(), deadline, is_busy);
        let waited = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    fn close(&self, deadline: Duration) -> bool {
        let mut state = self.state();
        state.phase = Phase::Closing;
        self.0.filled.notify_one();
        let is_open = |state: &mut State| state.phase != Phase::Closed;
        let waited = self.0.written.wait_timeout_while(state, deadline, is_open);
        let waited = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    /// The thread.
    fn write_all(&self, sink: &Sink, dispatch: &RegisteredDispatch) {
        let mut batch = Vec::new();
        while let Some(dropped) = self.take(&mut batch) {
            sink.write(&batch);
            batch.clear();
            self.state().is_writing = false;
            self.0.written.notify_all();
            if dropped > 0
                && let Some(dispatch) = dispatch.upgrade()
            {
                let say = || {
                    tracing::warn!(
                        lines = dropped,
                        "log lines were dropped: the log is read too slowly"
                    )
                };
                tracing::dispatcher::with_default(&dispatch, say);
            }
        }
    }

    /// Waits for lines and moves them into `batch`; tells how many were dropped behind them. Nothing at the end.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let idle = |state: &mut State| state.lines.is_empty() && state.phase == Phase::Open;
        let waited = self.0.filled.wait_while(self.state(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.lines.is_empty() {
            state.phase = Phase::Closed;
            self.0.written.notify_all();
            return None;
        }
        std::mem::swap(batch, &mut state.lines);
        state.is_writing = true;
        Some(std::mem::take(&mut state.dropped))
    }
}
