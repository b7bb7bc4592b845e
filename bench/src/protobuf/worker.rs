//! The processes that do the work, and what they are asked.

use anyhow::{Context, Result, bail};
use heddle_bench_worker::Operation;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running subject.
pub(super) struct Worker {
    name: &'static str,
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start the worker of {name}"))?;
        let (commands, answers) = (process.stdin.take(), process.stdout.take());
        Ok(Self {
            name,
            process,
            commands: commands.context("a worker has an input")?,
            answers: BufReader::new(answers.context("a worker has an output")?),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
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
        let context = || format!("failed to talk with the worker of {}", self.name);
        writeln!(
            self.commands,
            "{command} {} {message} {argument}",
            operation.name()
        )
        .with_context(context)?;
        self.commands.flush().with_context(context)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).with_context(context)?;
        match answer.trim_end() {
            "" => bail!("the worker of {} has ended", self.name),
            "none" => Ok(None),
            answer => match answer.strip_prefix("error ") {
                Some(why) => bail!(
                    "{} cannot {command} {} of {message}: {why}",
                    self.name,
                    operation.name()
                ),
                None => Ok(Some(answer.to_owned())),
            },
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It holds nothing that would have to be ended in order.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("failed to end the worker of {}: {error}", self.name);
        }
    }
}
