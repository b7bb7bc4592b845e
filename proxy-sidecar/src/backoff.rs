//! Pauses between attempts: longer with each failure, and different in each process.

use rand::Rng as _;
use std::time::{Duration, Instant};

/// The pauses of one thing that is tried again and again.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    /// Doubles from `first` to `limit`.
    pub(crate) const fn new(first: Duration, limit: Duration) -> Self {
        Self {
            first,
            limit,
            next: first,
        }
    }

    /// How long to wait now: up to a half is taken away at random, so that those who failed together do not come together.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.limit);
        pause.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    /// Begins anew: it went well, or something else is tried.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// When what could not be served is tried again: a port may be free, or a Secret be mounted, meanwhile.
#[derive(Debug)]
pub(crate) struct Retry {
    backoff: Backoff,
    due: Option<Instant>,
}

/// The first pause before a route is tried again, and the longest.
const ROUTE_PAUSE: Duration = Duration::from_secs(1);
const ROUTE_PAUSE_LIMIT: Duration = Duration::from_secs(60);

impl Default for Retry {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(ROUTE_PAUSE, ROUTE_PAUSE_LIMIT),
            due: None,
        }
    }
}

impl Retry {
    /// Something else is tried from now on.
    pub(crate) fn reset(&mut self) {
        self.backoff.reset();
        self.due = None;
    }

    /// What an attempt came to.
    pub(crate) fn note(&mut self, worked: bool) {
        match worked {
            true => self.reset(),
            false => self.due = Some(Instant::now() + self.backoff.pause()),
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        for expected in [1, 2, 4, 8, 10, 10] {
            let (pause, most) = (backoff.pause(), Duration::from_secs(expected));
            assert!(pause <= most && pause >= most / 2, "{pause:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }
}
