//! A cluster of kind, for people who have it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{LONG, Run, find};
use crate::layout::Layout;
use crate::progress::Progress;

/// Name of the cluster, which kind puts in front of its containers' names.
const NAME: &str = "heddle";
/// Notes that the cluster of this name is ours to delete.
const MADE: &str = "kind";
/// kind may have to pull its node image first.
const CREATE_LIMIT: Duration = Duration::from_secs(20 * 60);

fn kind() -> Run {
    Run::new("kind").limit(LONG)
}

/// True when kind is on PATH and can list its clusters, which takes a working container engine.
pub(crate) fn is_usable() -> bool {
    find("kind").is_some() && kind().args(["get", "clusters"]).done().is_ok()
}

/// Creates the cluster unless it exists, and writes its kubeconfig.
///
/// # Errors
/// When kind fails; the text repeats what it said.
pub(crate) fn up(layout: &Layout, progress: &Progress) -> Result<()> {
    let clusters = kind().args(["get", "clusters"]).output()?;
    if clusters.lines().any(|name| name == NAME) {
        return kind()
            .args(["export", "kubeconfig", "--name", NAME, "--kubeconfig"])
            .arg(layout.kubeconfig())
            .done();
    }
    let step = progress.step("Creating a cluster with kind");
    fs::create_dir_all(layout.state())?;
    fs::write(layout.at_state(MADE), NAME).context("failed to note that the cluster is made by kind")?;
    let create = kind().args([
        "create",
        "cluster",
        "--name",
        NAME,
        "--wait",
        "5m",
        "--kubeconfig",
    ]);
    create.arg(layout.kubeconfig()).limit(CREATE_LIMIT).done()?;
    step.done("kind has created a cluster");
    Ok(())
}

/// Deletes the cluster when [`up`] made it.
///
/// # Errors
/// When kind fails.
pub(crate) fn down(layout: &Layout, progress: &Progress) -> Result<()> {
    if !layout.at_state(MADE).exists() {
        return Ok(());
    }
    let step = progress.step("Deleting the cluster of kind");
    kind().args(["delete", "cluster", "--name", NAME]).done()?;
    step.done("Deleted the cluster of kind");
    Ok(())
}

/// Loads an archive into every node.
///
/// # Errors
/// When kind fails.
pub(crate) fn load(archive: &Path) -> Result<()> {
    kind()
        .args(["load", "image-archive", "--name", NAME])
        .arg(archive)
        .done()
}
