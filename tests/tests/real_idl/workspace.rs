//! A folder in the cache that one test works in: the same each time, so that compilers find what they have done before.

use anyhow::{Context, Result, ensure};
use heddle_tests::public_idl;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of one test, taken by one process at a time.
pub(crate) struct Workspace {
    pub(crate) folder: PathBuf,
    /// Held as long as the workspace is.
    _lock: File,
}

impl Workspace {
    pub(crate) fn open(name: &str) -> Result<Self> {
        let folder = cache()?.join(name);
        fs::create_dir_all(&folder)?;
        let lock = lock(&folder.join("lock"))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where the generated code is.
    pub(crate) fn generated(&self) -> PathBuf {
        self.folder.join("generated")
    }
}

/// The part of the cache that these tests share.
pub(crate) fn cache() -> Result<PathBuf> {
    let folder = heddle_e2e_cluster::cache_root()?.join("real-idl");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Waits for what others do under the lock at `path`; it ends with the file.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
    file.lock()?;
    Ok(file)
}

/// A file or folder below `tests/fixtures/real_idl`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    heddle_e2e_cluster::checkout()
        .join("tests/fixtures/real_idl")
        .join(name)
}

/// Runs a program to its end and returns what it printed; what it said is in the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}{complaint}",
        output.status
    );
    Ok(text)
}

/// Makes `folder` have exactly these files. Those that are right already stay untouched, for cargo goes by their times.
pub(crate) fn mirror(files: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in public_idl::files(folder, |name| !files.contains_key(name))?.keys() {
        fs::remove_file(folder.join(name))?;
    }
    files
        .iter()
        .try_for_each(|(name, content)| write(&folder.join(name), content))
}

/// Writes a file unless it has that content already.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|current| current == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content).with_context(|| format!("failed to write {}", path.display()))
}
