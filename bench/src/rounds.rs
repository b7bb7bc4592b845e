//! Measures several subjects in turns, so that a change of the machine's speed meets them all.

use anyhow::Result;

/// What one subject took, such as nanoseconds an operation, one figure for each round.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    sorted: Vec<f64>,
}

impl Sample {
    pub(crate) fn new(mut durations: Vec<f64>) -> Self {
        durations.sort_by(f64::total_cmp);
        Self { sorted: durations }
    }

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

/// Measures every subject once a round and begins each round with another one. `measure` is given which subject, and
/// returns nanoseconds an operation. The first round only warms up.
pub(crate) fn alternate(
    subjects: usize,
    rounds: usize,
    measure: impl FnMut(usize) -> Result<f64>,
) -> Result<Vec<Sample>> {
    let durations = turns(subjects, rounds, measure)?;
    Ok(durations.into_iter().map(Sample::new).collect())
}

/// The same with any result; those of each subject, round by round.
pub(crate) fn turns<T>(
    subjects: usize,
    rounds: usize,
    mut measure: impl FnMut(usize) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    let mut results: Vec<Vec<T>> = (0..subjects).map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..=rounds {
        for turn in 0..subjects {
            let index = (round + turn) % subjects;
            let result = measure(index)?;
            if round > 0 {
                results[index].push(result);
            }
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_begins_with_another_subject() {
        let mut order = String::new();
        let samples = alternate(3, 2, |subject| {
            order.push_str(["a", "b", "c"][subject]);
            Ok(1.0)
        });
        assert_eq!(order, "abcbcacab");
        assert_eq!(
            samples
                .unwrap()
                .iter()
                .map(|sample| sample.sorted.len())
                .collect::<Vec<_>>(),
            [2, 2, 2]
        );
    }

    #[test]
    fn quantiles_are_taken_from_the_sorted_rounds() {
        let sample = Sample::new(vec![100.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(
            (sample.quantile(0.0), sample.median(), sample.quantile(1.0)),
            (1.0, 3.0, 100.0)
        );
    }
}
