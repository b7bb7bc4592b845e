//! What a kubectl command that goes on prints: the lines of a log, or an object each time that it changes.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Values in JSON, one after the other. The command ends when this is dropped.
#[derive(Debug)]
pub struct Values {
    child: Child,
    values: Receiver<Value>,
    reader: Option<JoinHandle<()>>,
}

impl Values {
    /// Starts the command.
    ///
    /// # Errors
    /// When it does not start.
    pub fn of(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start kubectl")?;
        let stdout = child.stdout.take().context("failed to read from kubectl")?;
        let (sender, values) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let printed = serde_json::Deserializer::from_reader(BufReader::new(stdout));
            for value in printed.into_iter().map_while(Result::ok) {
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            values,
            reader: Some(reader),
        })
    }

    /// Waits for a value that `is_it`; the ones before it are shown to it too.
    ///
    /// # Errors
    /// When it takes longer than `limit`, or the command ends.
    pub fn find(&self, limit: Duration, mut is_it: impl FnMut(&Value) -> bool) -> Result<Value> {
        let ends_at = Instant::now() + limit;
        loop {
            let left = ends_at.saturating_duration_since(Instant::now());
            let value = self
                .values
                .recv_timeout(left)
                .context("kubectl has printed nothing of the kind")?;
            if is_it(&value) {
                return Ok(value);
            }
        }
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        // A command that has ended already is what is wanted, and its reader ends with it.
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}
