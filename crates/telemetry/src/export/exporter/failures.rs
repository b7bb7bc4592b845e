//! Logs that exports fail, at a bounded rate, and that they succeed again.

use super::Round;
use std::time::{Duration, Instant};

/// A receiver that is away for hours is worth a line every so often, not one for every batch.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct FailureLog {
    failing: bool,
    logged_at: Option<Instant>,
    unlogged_failures: u64,
    lost_spans: u64,
}

impl FailureLog {
    pub(super) fn note(&mut self, round: &Round) {
        match round {
            Round::Exported if self.failing => {
                self.failing = false;
                tracing::info!("exporting traces again");
            }
            Round::Failed { spans, reason } => self.failed(*spans, reason),
            Round::Exported | Round::QueueClosed => {}
        }
    }

    fn failed(&mut self, spans: u64, reason: &str) {
        self.failing = true;
        self.lost_spans += spans;
        if self.logged_at.is_some_and(|at| at.elapsed() < INTERVAL) {
            self.unlogged_failures += 1;
            return;
        }
        let (lost_spans, unlogged_failures) = (self.lost_spans, self.unlogged_failures);
        tracing::warn!(
            error = reason,
            lost_spans,
            unlogged_failures,
            "failed to export traces"
        );
        *self = Self {
            failing: true,
            logged_at: Some(Instant::now()),
            ..Self::default()
        };
    }
}
