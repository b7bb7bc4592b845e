//! Logs that exports fail, at a bounded rate, and that they succeed again.

use super::Round;
use std::time::{Duration, Instant};

/// A receiver that is away for hours is worth a line every so often, not one for every batch.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct FailureLog {
    endpoint: String,
    failing: bool,
    logged_at: Option<Instant>,
    unlogged_failures: u64,
    lost_spans: u64,
}

impl FailureLog {
    pub(super) fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            failing: false,
            logged_at: None,
            unlogged_failures: 0,
            lost_spans: 0,
        }
    }

    pub(super) fn note(&mut self, round: &Round) {
        match round {
            Round::Exported if self.failing => {
                self.failing = false;
                tracing::info!(endpoint = self.endpoint, "exporting traces again");
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
        let Self {
            endpoint,
            lost_spans,
            unlogged_failures,
            ..
        } = self;
        tracing::warn!(
            error = reason,
            endpoint,
            lost_spans,
            unlogged_failures,
            "failed to export traces"
        );
        self.logged_at = Some(Instant::now());
        self.unlogged_failures = 0;
        self.lost_spans = 0;
    }
}
