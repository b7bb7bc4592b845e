//! Measures several subjects in turns, so that a change of the machine's speed meets them all.

use std::time::Instant;

/// Durations of one subject, in nanoseconds an operation, one for each round.
pub(crate) struct Sample {
    sorted: Vec<f64>,
}

impl Sample {
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value that this fraction of the rounds did not exceed.
    pub(crate) fn quantile(&self, fraction: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        let index = (last as f64 * fraction).round() as usize;
        self.sorted.get(index).copied().unwrap_or(f64::NAN)
    }
}

/// Runs every subject once a round and begins each round with another one. A subject is given the
/// number of operations to perform. The first round only warms up.
pub(crate) fn alternate<S>(
    subjects: &[S],
    rounds: usize,
    operations: u32,
    perform: impl Fn(&S, u32),
) -> Vec<Sample> {
    let mut durations: Vec<Vec<f64>> = subjects.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..=rounds {
        for turn in 0..subjects.len() {
            let index = (round + turn) % subjects.len();
            let started = Instant::now();
            perform(&subjects[index], operations);
            let nanoseconds = started.elapsed().as_nanos() as f64 / f64::from(operations);
            if round > 0 {
                durations[index].push(nanoseconds);
            }
        }
    }
    let sorted = |mut sorted: Vec<f64>| {
        sorted.sort_by(f64::total_cmp);
        Sample { sorted }
    };
    durations.into_iter().map(sorted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn every_round_begins_with_another_subject() {
        let order = RefCell::new(String::new());
        let samples = alternate(&["a", "b", "c"], 2, 1, |subject, _| {
            order.borrow_mut().push_str(subject)
        });
        assert_eq!(order.into_inner(), "abcbcacab");
        assert_eq!(
            samples
                .iter()
                .map(|sample| sample.sorted.len())
                .collect::<Vec<_>>(),
            [2, 2, 2]
        );
    }

    #[test]
    fn quantiles_are_taken_from_the_sorted_rounds() {
        let sample = Sample {
            sorted: vec![1.0, 2.0, 3.0, 4.0, 100.0],
        };
        assert_eq!(
            (sample.quantile(0.0), sample.median(), sample.quantile(1.0)),
            (1.0, 3.0, 100.0)
        );
    }
}
