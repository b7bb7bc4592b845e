//! What comes from PyPI: Python's protobuf with upb inside, and googleapis' IDL.

use anyhow::{Context, Result, ensure};
use heddle_e2e_cluster::Progress;
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/python/requirements.txt");

/// The folder that the packages are installed in, once for each state of the requirements.
pub(super) fn packages() -> Result<PathBuf> {
    let requirements =
        std::fs::read_to_string(REQUIREMENTS).context("failed to read the requirements of pip")?;
    let folder = super::cache()?.join(format!("python-{}", super::digest(&[requirements.as_bytes()])));
    if folder.is_dir() {
        return Ok(folder);
    }
    heddle_e2e_cluster::ensure_python_packages(&Progress::new())?;
    let fresh = tempfile::tempdir_in(super::cache()?).context("failed to make a temporary folder")?;
    install(fresh.path())?;
    match std::fs::rename(fresh.path(), &folder) {
        Err(_) if folder.is_dir() => {}
        renamed => renamed.context("failed to keep the Python packages")?,
    }
    Ok(folder)
}

fn install(folder: &Path) -> Result<()> {
    let status = Command::new("pip3")
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args([
            "--require-hashes",
            "--only-binary=:all:",
            "--requirement",
            REQUIREMENTS,
        ])
        .arg("--target")
        .arg(folder)
        .status()
        .context("failed to start pip3")?;
    ensure!(status.success(), "pip3 ended with {status}");
    Ok(())
}
