//! When the source is asked and when a failed run is tried again: arithmetic on times, nothing else.

use heddle_crds::idl_repo::Reason;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long to wait after the first failed check of a source; each further failure doubles it.
const CHECK_BACKOFF_BASE: Duration = Duration::from_secs(10);

/// How long to wait after the first failed run; each further failure doubles it.
const RUN_BACKOFF_BASE: Duration = Duration::from_secs(30);

/// The delay between failed runs grows up to this, also where the interval is shorter: each costs a pod.
const RUN_BACKOFF_CAP: Duration = Duration::from_secs(10 * 60);

/// The delay between checks that the server refused grows up to this, also where the interval is shorter: servers lock
/// out those that knock again and again.
const REFUSED_CHECK_CAP: Duration = Duration::from_secs(60);

/// The part of a delay that is added or taken away at random.
const JITTER: f64 = 0.1;

/// When to ask a source that answered at `now`.
pub(crate) fn next_check(seed: &str, interval: Duration, now: Timestamp) -> Timestamp {
    later(now, jittered(interval, seed, now))
}

/// When to ask a source again that has failed to answer `failures` times in a row, the last time at `now`.
pub(crate) fn next_check_after_failure(
    seed: &str,
    failures: i32,
    reason: Reason,
    interval: Duration,
    now: Timestamp,
) -> Timestamp {
    let cap = match reason {
        Reason::AuthenticationFailed | Reason::RepositoryNotFound => interval.max(REFUSED_CHECK_CAP),
        _ => interval,
    };
    let delay = backoff(CHECK_BACKOFF_BASE, failures, cap);
    later(now, jittered(delay, seed, now))
}

/// When to try a run again whose attempt number `attempt` ended at `finished_at`. The same input gives the same time,
/// so that it need not be stored.
pub(crate) fn retry_at(seed: &str, attempt: i32, interval: Duration, finished_at: Timestamp) -> Timestamp {
    let delay = backoff(RUN_BACKOFF_BASE, attempt, interval.max(RUN_BACKOFF_CAP));
    later(finished_at, jittered(delay, seed, finished_at))
}

/// `base` doubled for each failure after the first, at most `cap`.
fn backoff(base: Duration, failures: i32, cap: Duration) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    base.checked_mul(factor).unwrap_or(cap).min(cap)
}

/// `delay` with up to [`JITTER`] of it added or taken away. What happens at the same instant to many objects is
/// spread by their seeds, what happens to one object again and again by the instants.
fn jittered(delay: Duration, seed: &str, at: Timestamp) -> Duration {
    let digest = Sha256::digest(format!("{seed}/{}", at.as_nanosecond()));
    let share = f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX);
    delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * share)
}

fn later(at: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    at.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_until(at: Timestamp) -> f64 {
        at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
    }

    #[test]
    fn checks_stay_within_a_tenth_of_the_interval_and_spread() {
        let delays: Vec<f64> = (0..100)
            .map(|object| {
                next_check(
                    &format!("uid-{object}"),
                    Duration::from_secs(300),
                    Timestamp::UNIX_EPOCH,
                )
            })
            .map(seconds_until)
            .collect();
        assert!(
            delays.iter().all(|delay| (270.0..=330.0).contains(delay)),
            "{delays:?}"
        );
        let (low, high) = (
            delays.iter().filter(|delay| **delay < 300.0).count(),
            delays.len(),
        );
        assert!((25..75).contains(&low), "{low} of {high} before the interval");
    }

    #[test]
    fn failures_back_off_up_to_the_interval() {
        let delay = |failures| {
            let interval = Duration::from_secs(300);
            let reason = Reason::HostUnknown;
            let at = next_check_after_failure("uid", failures, reason, interval, Timestamp::UNIX_EPOCH);
            seconds_until(at) / 10.0
        };
        for (failures, expected) in [
            (0, 1.0),
            (1, 1.0),
            (2, 2.0),
            (3, 4.0),
            (6, 30.0),
            (33, 30.0),
            (i32::MAX, 30.0),
        ] {
            let share = delay(failures) / expected;
            assert!(
                (0.9..=1.1).contains(&share),
                "{failures} failures: {share} of {expected}"
            );
        }
    }

    #[test]
    fn a_short_interval_hammers_neither_the_cluster_nor_a_server_that_refuses() {
        let interval = Duration::from_secs(10);
        let epoch = Timestamp::UNIX_EPOCH;
        let run = seconds_until(retry_at("uid", 9, interval, epoch));
        assert!((540.0..=660.0).contains(&run), "{run}");
        let check = |reason| seconds_until(next_check_after_failure("uid", 9, reason, interval, epoch));
        let (refused, silent) = (
            check(Reason::AuthenticationFailed),
            check(Reason::ConnectionFailed),
        );
        assert!((54.0..=66.0).contains(&refused), "{refused}");
        assert!((9.0..=11.0).contains(&silent), "{silent}");
    }

    #[test]
    fn the_time_of_a_retry_is_always_the_same() {
        let at = || retry_at("uid", 2, Duration::from_secs(300), Timestamp::UNIX_EPOCH);
        assert_eq!(at(), at());
        assert!(
            (54.0..=66.0).contains(&seconds_until(at())),
            "{}",
            seconds_until(at())
        );
    }
}
