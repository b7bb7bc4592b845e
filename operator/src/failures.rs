//! Counts how often objects fail in a row, to back off further each time.

use rand::Rng;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The delay after a first failure; each further one doubles it.
const BASE: Duration = Duration::from_secs(1);

/// The longest delay.
const CAP: Duration = Duration::from_secs(5 * 60);

/// Failures in a row, by `namespace/name`. Objects that never fail are not in it.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts one more failure, and says how long to wait.
    pub(crate) fn add(&self, object: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.to_owned()).or_insert(0);
        *count = count.saturating_add(1);
        delay(*count).mul_f64(rand::rng().random_range(0.75..=1.0))
    }

    /// Forgets the failures of an object that succeeded or is gone. Whether there were any.
    pub(crate) fn clear(&self, object: &str) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(object)
            .is_some()
    }
}

fn delay(count: u32) -> Duration {
    let factor = 1_u32.checked_shl(count.saturating_sub(1)).unwrap_or(u32::MAX);
    BASE.checked_mul(factor).unwrap_or(CAP).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_success_starts_over() {
        let delays: Vec<u64> = [1, 2, 3, 9, 10, 40].map(|count| delay(count).as_secs()).into();
        assert_eq!(delays, [1, 2, 4, 256, 300, 300]);

        let failures = Failures::default();
        assert!(failures.add("a/b") <= BASE);
        assert!(failures.add("a/b") > BASE);
        assert!(failures.clear("a/b"));
        assert!(failures.add("a/b") <= BASE);
        assert!(!failures.clear("a/c"));
    }
}
