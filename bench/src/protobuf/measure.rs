//! Checks that every subject does the work, finds how often one turn repeats it, and alternates.

use super::expected::Expected;
use super::subjects::{FLOOR, OURS};
use super::worker::Worker;
use crate::rounds::{Sample, alternate};
use anyhow::{Context, Result};
use heddle_bench_worker::{Case, Operation};
use std::path::Path;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: usize,
    /// Processor time of one turn, about.
    pub(super) turn_nanoseconds: f64,
}

/// What one operation on one message took each subject.
pub(super) struct Row {
    pub(super) operation: Operation,
    pub(super) message: String,
    pub(super) figures: Vec<(&'static str, Figure)>,
}

/// What is known of a subject.
pub(super) enum Figure {
    Took(Sample),
    /// It has no such operation.
    Cannot,
    /// It did something else than was asked; why.
    Wrong(String),
}

impl Row {
    pub(super) fn sample(&self, subject: &str) -> Option<&Sample> {
        self.figures.iter().find_map(|(name, figure)| match figure {
            Figure::Took(sample) if *name == subject => Some(sample),
            _ => None,
        })
    }
}

/// Measures one operation on one message.
pub(super) fn measure(
    workers: &mut [Worker],
    expected: &Expected,
    operation: Operation,
    case: &Case,
    effort: Effort,
    folder: &Path,
) -> Result<Row> {
    let mut figures = Vec::new();
    let mut turns = Vec::new();
    for (index, worker) in workers.iter_mut().enumerate() {
        match check(worker, expected, operation, case, folder) {
            Ok(true) => turns.push((index, times(worker, operation, case, effort)?)),
            Ok(false) => figures.push((worker.name(), Figure::Cannot)),
            Err(error) => figures.push((worker.name(), Figure::Wrong(format!("{error:#}")))),
        }
    }
    let samples = alternate(turns.len(), effort.rounds, |turn| {
        let (index, times) = turns[turn];
        nanoseconds(&mut workers[index], operation, case, times)
    })?;
    let took = turns
        .iter()
        .zip(samples)
        .map(|((index, _), sample)| (workers[*index].name(), Figure::Took(sample)));
    figures.extend(took);
    Ok(Row {
        operation,
        message: case.name.clone(),
        figures,
    })
}

/// Whether the subject has the operation; an error when it does not do what it should.
fn check(
    worker: &mut Worker,
    expected: &Expected,
    operation: Operation,
    case: &Case,
    folder: &Path,
) -> Result<bool> {
    let Some(shown) = worker.show(operation, &case.name, &folder.join("shown"))? else {
        return Ok(false);
    };
    if worker.name() != FLOOR || operation == Operation::Get {
        expected.check(operation, case, &shown)?;
    }
    Ok(true)
}

/// How often it fits into a turn.
fn times(worker: &mut Worker, operation: Operation, case: &Case, effort: Effort) -> Result<u64> {
    let mut times = 1;
    loop {
        let each = nanoseconds(worker, operation, case, times)?;
        let whole = each * times as f64;
        if whole * 4.0 > effort.turn_nanoseconds {
            return Ok(((effort.turn_nanoseconds / each) as u64).max(1));
        }
        times *= 4;
    }
}

fn nanoseconds(worker: &mut Worker, operation: Operation, case: &Case, times: u64) -> Result<f64> {
    let whole = worker.run(operation, &case.name, times)?;
    Ok(whole.context("a subject can do what it could before")? / times as f64)
}

/// How often our engine asks the allocator, by operation and message, once its storage is there.
pub(super) fn allocations(
    workers: &mut [Worker],
    operation: Operation,
    case: &Case,
) -> Result<Option<String>> {
    let ours = workers.iter_mut().find(|worker| worker.name() == OURS);
    match ours {
        Some(ours) => ours.ask("allocations", operation, &case.name, "-"),
        None => Ok(None),
    }
}
