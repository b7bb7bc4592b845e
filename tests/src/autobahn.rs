//! Autobahn's test suite for WebSocket servers, and an echo server that it finds little to object to.

mod echo;
mod python;
mod verdicts;

use crate::protobuf_tools::cache::fingerprint;
use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::Progress;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

pub use echo::Echo;
pub use verdicts::{Verdict, Verdicts};

/// The group of folders in the cache.
const GROUP: &str = "autobahn";

/// Calls what the suite installs as a script, whose first line would name the place where it was installed.
const ENTRY_POINT: &str = "from autobahntestsuite.wstest import run; run()";

/// The suite, installed in the cache.
#[derive(Clone, Debug)]
pub struct Autobahn {
    python: python::Python,
}

/// A server that the suite shall test.
#[derive(Clone, Debug)]
pub struct Agent {
    /// What verdicts are found under.
    pub name: &'static str,
    /// Such as `ws://127.0.0.1:9001/path`.
    pub url: String,
}

impl Autobahn {
    /// Downloads and installs the suite unless it is in the cache.
    ///
    /// # Errors
    /// Something cannot be downloaded, or is not what the fixtures pin by digest.
    pub fn ensure() -> Result<Self> {
        let python = python::ensure().context("failed to install Autobahn's test suite")?;
        Ok(Self { python })
    }

    /// Runs `cases` (such as `1.*` or `12.1.3`) against one agent after the other.
    ///
    /// # Errors
    /// The suite fails or takes longer than `limit`.
    pub async fn run(&self, agents: &[Agent], cases: &[&str], limit: Duration) -> Result<Verdicts> {
        let folder = tempfile::tempdir()?;
        let specification = folder.path().join("specification.json");
        let reports = folder.path().join("reports");
        let servers: Vec<_> = agents
            .iter()
            .map(|agent| json!({"agent": agent.name, "url": agent.url}))
            .collect();
        let text = json!({
            "outdir": reports, "servers": servers, "cases": cases, "exclude-cases": [], "exclude-agent-cases": {},
        });
        std::fs::write(&specification, text.to_string())?;
        self.fuzz(&specification, limit).await?;
        Verdicts::read(&reports, agents)
    }

    async fn fuzz(&self, specification: &Path, limit: Duration) -> Result<()> {
        let mut command: Command = self.python.command().into();
        command
            .args(["-c", ENTRY_POINT, "--mode", "fuzzingclient", "--spec"])
            .arg(specification)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let Ok(output) = tokio::time::timeout(limit, command.output()).await else {
            bail!("the suite has not ended within {} s", limit.as_secs());
        };
        let output = output.context("failed to start the suite")?;
        match output.status.success() {
            true => Ok(()),
            false => bail!(
                "the suite ended with {}:\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

/// The folder `name` of this module's part of the cache, made anew when `pins` are others than it was made by.
fn cached(name: &str, pins: &[&str], make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let name = format!("{name}-{}", fingerprint(pins.concat().as_bytes()));
    heddle_e2e_cluster::cached(GROUP, &name, |folder| {
        let progress = Progress::new();
        let step = progress.step(&format!("Installing {name}"));
        make(folder)?;
        step.done(&format!("Installed {name}"));
        Ok(())
    })
}
