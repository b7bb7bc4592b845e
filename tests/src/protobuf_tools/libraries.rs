//! The libraries of a newer Debian than the machine's own, unpacked beside it: the runner is linked against them.

use super::cache::cached;
use anyhow::Result;
use heddle_e2e_cluster::Progress;
use heddle_e2e_cluster::archives::{Archives, LIBRARIES, unpack};
use std::path::{Path, PathBuf};

/// The first Debian whose C library the runner starts with.
const SUITE: &str = "trixie";
const PACKAGES: [&str; 3] = ["libc6", "libgcc-s1", "libstdc++6"];

/// The folder of the libraries, with the loader among them.
pub(super) fn ensure() -> Result<PathBuf> {
    let root = cached(&format!("libraries-{SUITE}"), fetch)?;
    Ok(root.join(LIBRARIES))
}

fn fetch(folder: &Path) -> Result<()> {
    let archives = Archives::of_release(SUITE)?;
    unpack(&archives.download(&Progress::new(), &PACKAGES)?, folder)
}
