//! Passive health: a backend that fails several times in a row is passed over for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a backend has done lately.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    ejected_until: Option<Instant>,
}

impl Health {
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.state().ejected_until.is_some_and(|until| now < until)
    }

    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// Notes a failure. Whether the backend is passed over from now on, and was not before.
    pub(super) fn failed(&self, limit: u32, time: Duration, now: Instant) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let was_ejected = state.ejected_until.is_some_and(|until| now < until);
        if state.failures < limit || was_ejected {
            return false;
        }
        // One more failure after that time is enough to pass it over again: the count goes on.
        state.ejected_until = Some(now + time);
        true
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_eject_for_a_while_and_a_success_ends_it() {
        let (health, now, time) = (Health::default(), Instant::now(), Duration::from_secs(10));
        assert!(!health.failed(2, time, now));
        assert!(!health.is_ejected(now));
        assert!(health.failed(2, time, now));
        assert!(!health.failed(2, time, now));
        assert!(health.is_ejected(now + Duration::from_secs(9)));
        let later = now + time;
        assert!(!health.is_ejected(later));
        assert!(health.failed(2, time, later));
        health.succeeded();
        assert!(!health.is_ejected(later));
        assert!(!health.failed(2, time, later));
    }
}
