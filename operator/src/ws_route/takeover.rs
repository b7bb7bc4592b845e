//! The first moments of a leader, in which sidecars that served under the last one are yet to connect: that they are not
//! there says nothing of them.

use crate::context;
use k8s_openapi::jiff::Timestamp;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long after the first look at the cluster sidecars are awaited. They try again after at most a few seconds, and all of
/// them at once take the API server some more, which is asked about each one's token.
const AWAITED_FOR: Duration = Duration::from_secs(30);

/// When it ends.
#[derive(Debug, Default)]
pub(super) struct Takeover(OnceLock<(Instant, Timestamp)>);

/// Sidecars are awaited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Awaiting {
    /// For so long.
    pub(crate) left: Duration,
    /// Until then.
    pub(crate) until: Timestamp,
}

impl Takeover {
    /// Everything is known but for the sidecars. Only the first time counts.
    pub(super) fn begin(&self) {
        self.0.get_or_init(|| {
            let now = context::now();
            let until = now.saturating_add(AWAITED_FOR).unwrap_or(now);
            (Instant::now() + AWAITED_FOR, until)
        });
    }

    /// Nothing once it is over.
    pub(super) fn awaiting(&self) -> Option<Awaiting> {
        let (ends_at, until) = self.0.get()?;
        let left = ends_at.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(Awaiting { left, until: *until })
    }
}
