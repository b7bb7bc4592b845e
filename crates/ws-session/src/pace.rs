//! How many messages a client may send: a bucket of tokens, kept as the moment at which it would be full.

use crate::MessageRate;
use std::time::Duration;
use tokio::time::Instant;

/// Waits end at ticks of the clock of about a millisecond. So much may be made up for afterwards, or fast rates with a
/// small burst would never be reached.
const SLACK: Duration = Duration::from_millis(2);

/// The generic cell rate algorithm: each message moves `full_at` by the time that one token takes.
#[derive(Debug)]
pub struct Pace {
    full_at: Instant,
    token: Duration,
    /// How far ahead of the clock `full_at` may be for another message.
    ahead: Duration,
}

impl Pace {
    /// A full bucket.
    pub fn new(rate: &MessageRate, now: Instant) -> Self {
        let token = Duration::from_secs(1) / rate.per_second.max(1);
        Self {
            full_at: now,
            token,
            ahead: (token * rate.burst.saturating_sub(1)).max(SLACK),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// When there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.max(now);
        if full_at - now > self.ahead {
            return Err(full_at - self.ahead);
        }
        self.full_at = full_at + self.token;
        Ok(())
    }
}
