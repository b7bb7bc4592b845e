//! The signal by which many sessions learn that they have to end.

use rand::Rng;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Ends the sessions that share it, each at a random moment of a window. Clones are the same control.
///
/// One for each route is enough: when the route goes away its sessions are drained, and when the program ends those of all.
#[derive(Clone, Debug)]
pub struct SessionControl {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Changed and told of under one lock, so that whoever has seen a window is not woken for it afterwards: a session that
    /// has seen all windows does not look at what woke it, and would not be woken again.
    window: Mutex<Option<Window>>,
    changed: Notify,
    /// How many windows there have been: cheaper to look at than the window, which is done often.
    windows: AtomicUsize,
}

impl Shared {
    fn newest(&self) -> MutexGuard<'_, Option<Window>> {
        // It is whole at every moment, also when somebody panics.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When sessions are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    /// How many there have been, with this one.
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
        let mut newest = self.shared.newest();
        let number = newest.map_or(0, |window| window.number) + 1;
        *newest = Some(Window {
            number,
            begin: Instant::now(),
            length: window,
        });
        self.shared.windows.store(number, Ordering::Release);
        self.shared.changed.notify_waiters();
    }

    /// How many windows there have been.
    pub(crate) fn windows(&self) -> usize {
        self.shared.windows.load(Ordering::Acquire)
    }

    /// Waits for the window after those that there had been when `seen` was counted.
    pub(crate) async fn after(self, seen: usize) -> Window {
        loop {
            let changed = self.shared.changed.notified();
            let newest = *self.shared.newest();
            if let Some(window) = newest.filter(|window| window.number > seen) {
                return window;
            }
            changed.await;
        }
    }
}
