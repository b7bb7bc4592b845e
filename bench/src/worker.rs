//! Processes that do the work: each command is one line, and so is each answer.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running subject.
pub(crate) struct Worker {
    name: &'static str,
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
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

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What is answered to the command; `None` when the subject cannot do it.
    pub(crate) fn ask(&mut self, command: &str) -> Result<Option<String>> {
        let context = || format!("failed to talk with the worker of {}", self.name);
        writeln!(self.commands, "{command}").with_context(context)?;
        self.commands.flush().with_context(context)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).with_context(context)?;
        match answer.trim_end() {
            "" => bail!("the worker of {} has ended", self.name),
            "none" => Ok(None),
            answer => match answer.strip_prefix("error ") {
                Some(why) => bail!("{} cannot {command}: {why}", self.name),
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
