//! Starts the load and the echo server, which are processes of their own.

use crate::programs::beside;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The program that holds load, echo server and byte relay.
pub(super) fn program() -> Result<PathBuf> {
    beside("heddle-bench-websocket", "heddle-bench-websocket")
}

/// What a load has found, as far as it applies.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    /// Messages that came back, or sessions.
    pub(super) count: f64,
    #[serde(default)]
    pub(super) seconds: f64,
    #[serde(default)]
    pub(super) p50_seconds: f64,
    #[serde(default)]
    pub(super) p99_seconds: f64,
}

/// A running load.
pub(super) struct Load {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Load {
    /// Starts one with these arguments and returns when what follows is to be measured.
    pub(super) fn start(arguments: &[String]) -> Result<Self> {
        let mut process = Command::new(program()?)
            .arg("load")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the load")?;
        let output = process.stdout.take().context("the load has an output")?;
        let mut load = Self {
            process,
            output: BufReader::new(output),
        };
        load.line()?;
        Ok(load)
    }

    /// Waits for its end; a load without one of its own is told to end.
    pub(super) fn end(mut self) -> Result<Outcome> {
        drop(self.process.stdin.take());
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("failed to read {line:?} of the load"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .context("failed to read from the load")?;
        ensure!(!line.is_empty(), "the load has failed; it says why above");
        Ok(line)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It holds nothing that would have to be ended in order, and has ended by itself where all went well.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("failed to end the load: {error}");
        }
    }
}
