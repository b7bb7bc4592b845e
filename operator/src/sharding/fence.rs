//! Until when this replica may act as a member.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whether this process may still act, asked right before each effect. Clones share it.
///
/// Measured by the process's own monotonic clock, which goes on while the process is stopped: one that is continued after
/// its Lease has run out finds the fence closed before it does anything.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    origin: Instant,
    /// Nanoseconds after `origin` up to which it is open.
    open_until: Arc<AtomicU64>,
}

impl Fence {
    /// One that is closed.
    pub(crate) fn closed() -> Self {
        Self {
            origin: Instant::now(),
            open_until: Arc::new(AtomicU64::new(0)),
        }
    }

    /// One that is open for ever, for a process that is alone.
    pub(crate) fn open() -> Self {
        let fence = Self::closed();
        fence.open_until.store(u64::MAX, Ordering::Release);
        fence
    }

    /// Opens it until then.
    pub(super) fn extend(&self, until: Instant) {
        let until = nanoseconds(until.saturating_duration_since(self.origin));
        self.open_until.store(until, Ordering::Release);
    }

    /// Closes it at once.
    pub(super) fn close(&self) {
        self.open_until.store(0, Ordering::Release);
    }

    /// Whether what happens at `now` may happen.
    pub(crate) fn is_open_at(&self, now: Instant) -> bool {
        nanoseconds(now.saturating_duration_since(self.origin)) < self.open_until.load(Ordering::Acquire)
    }

    /// Whether what happens now may happen.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open_at(Instant::now())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_closes_by_itself_when_nobody_extends_it() {
        let fence = Fence::closed();
        let now = Instant::now();
        assert!(!fence.is_open_at(now));
        fence.extend(now + Duration::from_secs(10));
        assert!(fence.is_open_at(now + Duration::from_secs(9)));
        assert!(!fence.is_open_at(now + Duration::from_secs(10)));
        fence.extend(now + Duration::from_secs(20));
        assert!(fence.is_open_at(now + Duration::from_secs(19)));
        fence.close();
        assert!(!fence.is_open_at(now));
        assert!(Fence::open().is_open());
    }
}
