//! The signal by which many sessions learn that they have to end, or that there is a message for all of them.

use crate::broadcast::{Backlog, Broadcast, Place, Reach};
use rand::Rng;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Ends the sessions that share it, each at a random moment of a window, and has messages for them. Clones are the same
/// control.
///
/// One for each route is enough: when the route goes away its sessions are drained, and when the program ends those of all.
#[derive(Clone, Debug)]
pub struct SessionControl {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Changed and told of under one lock: whoever sees a signal is not woken for it afterwards. A session does not look at
    /// what woke it when it has seen all there is, and would not be woken again.
    signal: Mutex<Signal>,
    changed: Notify,
    /// How many signals there have been: cheaper to look at than the signal, which is done often.
    signals: AtomicUsize,
    broadcasts: Backlog,
}

impl Shared {
    fn newest(&self) -> MutexGuard<'_, Signal> {
        // It is whole at every moment, also when somebody panics.
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What sessions are woken for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Signal {
    /// How many there have been, with this one.
    pub(crate) number: usize,
    /// The newest window.
    pub(crate) window: Option<Window>,
}

/// When sessions are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    /// The signal that it came with.
    pub(crate) number: usize,
    begin: Instant,
    length: Duration,
}

impl Window {
    /// A moment of it, at random.
    pub(crate) fn moment(self) -> Instant {
        self.begin + self.length.mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}

impl Default for SessionControl {
    fn default() -> Self {
        Self::new()
    }
}

impl SessionControl {
    /// A control of sessions that may go on.
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
        }
    }

    /// Closes all sessions with 1001, each at a random moment from now on until `window` is over; those that begin later
    /// too. Sessions whose moment had been set by an earlier call end at the earlier moment of the two.
    pub fn drain(&self, window: Duration) {
        self.signal(|signal| {
            signal.window = Some(Window {
                number: signal.number,
                begin: Instant::now(),
                length: window,
            });
        });
    }

    /// Queues messages for all clients that have a session now, in their order. They go out between the messages of the
    /// backend: those of a client that does not read are kept up to [`crate::broadcast::BACKLOG_MESSAGES`] and
    /// [`crate::broadcast::BACKLOG_BYTES`], and it misses the oldest beyond that. A session that is closing gets none.
    pub fn broadcast(&self, broadcasts: Vec<Broadcast>) -> Reach {
        let reach = self.shared.broadcasts.push(broadcasts);
        if reach.has_somebody_to_look() {
            self.signal(|_| {});
        }
        reach
    }

    fn signal(&self, change: impl FnOnce(&mut Signal)) {
        let mut signal = self.shared.newest();
        signal.number += 1;
        change(&mut signal);
        self.shared.signals.store(signal.number, Ordering::Release);
        self.shared.changed.notify_waiters();
    }

    /// How many signals there have been.
    pub(crate) fn signals(&self) -> usize {
        self.shared.signals.load(Ordering::Acquire)
    }

    /// Waits for the signal after those that there had been when `seen` was counted.
    pub(crate) async fn after(self, seen: usize) -> Signal {
        loop {
            let changed = self.shared.changed.notified();
            let signal = *self.shared.newest();
            if signal.number > seen {
                return signal;
            }
            changed.await;
        }
    }
}

/// A session's place among the messages for all. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Subscriber {
    control: SessionControl,
    place: Place,
}

impl Subscriber {
    pub(crate) fn new(control: SessionControl) -> Self {
        let place = control.shared.broadcasts.join();
        Self { control, place }
    }

    /// Whether there is something to take.
    pub(crate) fn look(&mut self) -> bool {
        self.control.shared.broadcasts.look(&mut self.place)
    }

    /// The next message, and how many were missed before it.
    pub(crate) fn take(&mut self) -> (Option<Broadcast>, u64) {
        self.control.shared.broadcasts.take(&mut self.place)
    }

    /// Passes over all there is. How many messages that are.
    pub(crate) fn skip(&mut self) -> u64 {
        self.control.shared.broadcasts.skip(&mut self.place)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.control.shared.broadcasts.leave(&mut self.place);
    }
}
