//! How long to wait between two connections.

use std::time::Duration;

/// How long to wait before connecting again. The wait is never shorter than [`Backoff::min`], nor than what the server asks for
/// with `retry` or `Retry-After`, up to [`Backoff::server_max`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The shortest wait, also for servers that ask for none at all.
    pub min: Duration,
    /// The wait after a stream that brought events, and after the first failure, until the server's `retry` says otherwise.
    pub initial: Duration,
    /// What the wait grows to, doubled at each failure in a row. A larger `retry` of the server is kept.
    pub max: Duration,
    /// What a server may ask for at most.
    pub server_max: Duration,
    /// How much of the wait is added at random, so that clients that lost one server do not come back at once: 0.5 adds up to half.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(100),
            initial: Duration::from_secs(1),
            max: Duration::from_secs(30),
            server_max: Duration::from_secs(3600),
            jitter: 0.5,
        }
    }
}

/// Doubled more often, any wait would be past any limit.
const MAX_DOUBLINGS: u32 = 31;

impl Backoff {
    /// The wait after so many failures in a row. `retry` and `retry_after` are what the server asks for; `random` lies between
    /// 0 and 1.
    pub(crate) fn delay(
        &self,
        failures: u32,
        retry: Option<Duration>,
        retry_after: Option<Duration>,
        random: f64,
    ) -> Duration {
        let base = retry.map_or(self.initial, |retry| retry.min(self.server_max));
        let base = base.max(self.min);
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        let grown = base.saturating_mul(1 << doublings).min(self.max.max(base));
        let asked = retry_after.unwrap_or_default().min(self.server_max);
        let wait = grown.max(asked);
        wait.saturating_add(wait.mul_f64((self.jitter * random).clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        min: Duration::from_millis(250),
        initial: Duration::from_secs(1),
        max: Duration::from_secs(10),
        server_max: Duration::from_secs(60),
        jitter: 0.5,
    };

    fn seconds(failures: u32, retry: Option<u64>, retry_after: Option<u64>, random: f64) -> f64 {
        let [retry, retry_after] = [retry, retry_after].map(|seconds| seconds.map(Duration::from_secs));
        BACKOFF.delay(failures, retry, retry_after, random).as_secs_f64()
    }

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_the_maximum() {
        let waits = [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|failures| seconds(failures, None, None, 0.0));
        assert_eq!(waits, [1.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]);
    }

    #[test]
    fn jitter_only_ever_adds() {
        assert_eq!(
            [0.0, 0.5, 1.0].map(|random| seconds(2, None, None, random)),
            [2.0, 2.5, 3.0]
        );
    }

    #[test]
    fn the_servers_retry_replaces_the_initial_wait_and_may_pass_the_maximum() {
        assert_eq!(seconds(0, Some(3), None, 0.0), 3.0);
        assert_eq!(seconds(3, Some(3), None, 0.0), 10.0);
        assert_eq!(seconds(3, Some(40), None, 0.0), 40.0);
    }

    #[test]
    fn a_server_that_asks_for_no_wait_is_not_asked_in_a_tight_loop() {
        assert_eq!(seconds(0, Some(0), None, 0.0), 0.25);
        assert_eq!(seconds(3, Some(0), None, 0.0), 1.0);
    }

    #[test]
    fn what_servers_ask_for_is_bounded() {
        assert_eq!(seconds(1, Some(u64::MAX), None, 0.0), 60.0);
        assert_eq!(seconds(1, None, Some(7), 0.0), 7.0);
        assert_eq!(seconds(1, None, Some(u64::MAX), 0.0), 60.0);
        assert_eq!(
            seconds(9, None, Some(7), 0.0),
            10.0,
            "what has grown is not shortened"
        );
    }
}
