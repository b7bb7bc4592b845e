//! The processes that do the work, and what they are asked.

use crate::worker;
use anyhow::{Context, Result};
use heddle_bench_worker::Operation;
use std::path::Path;
use std::process::Command;

/// A running subject.
pub(super) struct Worker(worker::Worker);

impl Worker {
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        worker::Worker::start(name, command).map(Self)
    }

    pub(super) fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Processor time of that many operations, in nanoseconds; `None` when the subject cannot do it.
    pub(super) fn run(&mut self, operation: Operation, message: &str, times: u64) -> Result<Option<f64>> {
        self.ask("run", operation, message, &times.to_string())?
            .map(|answer| {
                answer
                    .parse()
                    .with_context(|| format!("{answer:?} is not a time"))
            })
            .transpose()
    }

    /// What the operation results in; `None` when the subject cannot do it.
    pub(super) fn show(
        &mut self,
        operation: Operation,
        message: &str,
        file: &Path,
    ) -> Result<Option<Vec<u8>>> {
        let path = file.to_str().context("the temporary folder has a strange name")?;
        if self.ask("show", operation, message, path)?.is_none() {
            return Ok(None);
        }
        std::fs::read(file)
            .context("failed to read what a worker has written")
            .map(Some)
    }

    /// Asks another command than those of every worker.
    pub(super) fn ask(
        &mut self,
        command: &str,
        operation: Operation,
        message: &str,
        argument: &str,
    ) -> Result<Option<String>> {
        let operation = operation.name();
        self.0.ask(&format!("{command} {operation} {message} {argument}"))
    }
}
