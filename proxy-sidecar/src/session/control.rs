//! The signal by which many sessions learn that they have to end.

use rand::Rng;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Ends the sessions that share it, each at a random moment of a window. Clones are the same control.
///
/// One for each route is enough: when the route goes away its sessions are drained, and when the program ends those of all.
#[derive(Clone, Debug)]
pub struct SessionControl {
    window: Arc<watch::Sender<Option<Window>>>,
}

/// When sessions are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Window {
    begin: Instant,
    length: Duration,
}

impl Window {
    /// A moment of it, at random.
    pub(super) fn moment(self) -> Instant {
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
            window: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Closes all sessions with 1001, each at a random moment from now on until `window` is over; those that begin later
    /// too. Sessions whose moment had been set by an earlier call end at the earlier moment of the two.
    pub fn drain(&self, window: Duration) {
        self.window.send_replace(Some(Window {
            begin: Instant::now(),
            length: window,
        }));
    }

    /// Waits for a window other than `seen`.
    pub(super) async fn next(&self, seen: Option<Window>) -> Window {
        let mut receiver = self.window.subscribe();
        loop {
            match *receiver.borrow_and_update() {
                Some(window) if Some(window) != seen => return window,
                _ => {}
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
