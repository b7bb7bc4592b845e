//! Folders in the cache that are made once: under a lock, and given their name when they are whole.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder `name`, filled by `make` when it is not there yet. `make` is given a folder that takes the name afterwards.
pub(crate) fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = heddle_e2e_cluster::cache_root()?.join("protobuf-tools");
    fs::create_dir_all(&root).with_context(|| format!("failed to create {}", root.display()))?;
    let folder = root.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let _lock = lock(&root.join("lock"))?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let fresh = tempfile::tempdir_in(&root)?;
    make(fresh.path()).with_context(|| format!("failed to make {name}"))?;
    fs::rename(fresh.path(), &folder).with_context(|| format!("failed to keep {name}"))?;
    Ok(folder)
}

/// Waits for what others do under the lock at `path`; it ends with the file.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
    file.lock()?;
    Ok(file)
}

/// Tells apart what was made from different things.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a program to its end and returns what it printed; what it said is in the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}
