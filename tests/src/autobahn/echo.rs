//! The echo server: `ws` of the npm registry, which takes part in every case about permessage-deflate.

use super::cached;
use crate::protobuf_tools::cache::run;
use anyhow::{Context, Result};
use heddle_e2e_cluster::{Progress, checkout};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const PACKAGE: &str = include_str!("../../fixtures/autobahn/package.json");
const LOCK: &str = include_str!("../../fixtures/autobahn/package-lock.json");
const PROGRAM: &str = "tests/fixtures/autobahn/echo.js";

/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running echo server on loopback; any path will do. It is killed when dropped.
#[derive(Debug)]
pub struct Echo {
    port: u16,
    _process: Child,
}

impl Echo {
    /// Installs it unless it is in the cache, and starts it.
    ///
    /// # Errors
    /// npm cannot install it, or it does not start.
    pub async fn start() -> Result<Self> {
        let modules = cached("echo", &[LOCK], install)?.join("node_modules");
        let mut process = Command::new("node")
            .arg(checkout().join(PROGRAM))
            .env("NODE_PATH", modules)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the echo server")?;
        let output = process.stdout.take().context("its output is a pipe")?;
        let mut line = String::new();
        tokio::time::timeout(START_LIMIT, BufReader::new(output).read_line(&mut line))
            .await
            .context("the echo server does not listen")??;
        Ok(Self {
            port: line.trim().parse().context("the echo server has ended")?,
            _process: process,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn install(folder: &Path) -> Result<()> {
    heddle_e2e_cluster::ensure_npm_packages(&Progress::new())?;
    fs::write(folder.join("package.json"), PACKAGE)?;
    fs::write(folder.join("package-lock.json"), LOCK)?;
    let mut npm = std::process::Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder);
    run(&mut npm).map(drop)
}
