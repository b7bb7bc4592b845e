//! The signal by which many sessions learn that they have to end.

use rand::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
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
    window: watch::Sender<Option<Window>>,
    /// How many windows there have been: cheaper to look at than the window, which is done often.
    windows: AtomicUsize,
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
        let number = self.shared.windows.fetch_add(1, Ordering::AcqRel) + 1;
        self.shared.window.send_replace(Some(Window {
            number,
            begin: Instant::now(),
            length: window,
        }));
    }

    /// How many windows there have been.
    pub(crate) fn windows(&self) -> usize {
        self.shared.windows.load(Ordering::Acquire)
    }

    /// Waits for the window after those that there had been when `seen` was counted.
    pub(crate) async fn after(self, seen: usize) -> Window {
        let mut receiver = self.shared.window.subscribe();
        loop {
            let window = *receiver.borrow_and_update();
            match window {
                Some(window) if window.number > seen => return window,
                _ => {}
            }
            // The sender lives as long as this control.
            let (Ok(()) | Err(_)) = receiver.changed().await;
        }
    }
}
