//! How long to wait before trying again.

use std::time::Duration;

/// The most that a `Retry-After` is obeyed.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The most of a delay that is taken away at random, so that those that failed together do not try together.
const JITTER: f64 = 0.25;

/// Delays that double from try to try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RetryDelays {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
}

impl RetryDelays {
    /// How long to wait after so many failures in a row, from 1. `random` is from 0 to 1; `retry_after` is what the other
    /// side asked for.
    pub(crate) fn delay(&self, failures: u32, retry_after: Option<Duration>, random: f64) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = self.initial.checked_mul(factor).unwrap_or(self.max).min(self.max);
        let jittered = delay.mul_f64(1.0 - JITTER * random.clamp(0.0, 1.0));
        jittered.max(retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT))
    }
}

/// A `Retry-After` header (RFC 9110, 10.2.3): seconds, or a date, of which `now` is taken away.
pub(crate) fn retry_after(value: &str, now: k8s_openapi::jiff::Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = k8s_openapi::jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let seconds = date.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    const DELAYS: RetryDelays = RetryDelays {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(10),
    };

    #[test]
    fn delays_double_up_to_the_longest_and_are_cut_at_random() {
        let of = |failures| DELAYS.delay(failures, None, 0.0).as_millis();
        assert_eq!([1, 2, 3, 7, 8, 60].map(of), [100, 200, 400, 6400, 10_000, 10_000]);
        assert_eq!(DELAYS.delay(1, None, 1.0).as_millis(), 75);
    }

    #[test]
    fn the_other_side_may_ask_for_more_up_to_an_hour() {
        let of = |seconds| DELAYS.delay(1, Some(Duration::from_secs(seconds)), 0.0).as_secs();
        assert_eq!([20, 86_400].map(of), [20, 3600]);
        assert_eq!(DELAYS.delay(1, Some(Duration::ZERO), 0.0).as_millis(), 100);
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_second(784_111_767).unwrap();
        let read = |value| retry_after(value, now);
        assert_eq!(read(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }
}
