//! Folders in the cache that are made once: under a lock, and given their name when they are whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::layout::cache_root;
use crate::progress::Progress;
use crate::tools::Lock;

/// The folder `name` in the part of the cache called `group`, filled by `make` when it is not there yet. `make` is given
/// a folder that takes the name afterwards; others who want one of the same group wait meanwhile.
///
/// # Errors
/// When `make` fails, or the cache cannot be written.
pub fn cached(group: &str, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = cache_root()?.join(group);
    let folder = root.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let why = format!("another run is making something in {}", root.display());
    let _lock = Lock::acquire(&Progress::new(), &root.join("lock"), &why)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let fresh =
        tempfile::tempdir_in(&root).with_context(|| format!("failed to write to {}", root.display()))?;
    make(fresh.path()).with_context(|| format!("failed to make {name}"))?;
    fs::rename(fresh.path(), &folder).with_context(|| format!("failed to keep {name}"))?;
    Ok(folder)
}
