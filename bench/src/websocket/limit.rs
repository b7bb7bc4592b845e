//! How many files a process may open, which is how many sessions it can hold.

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that programs have open beside their sessions.
const OTHER_FILES: usize = 500;
/// As many as anything here needs; some programs make room in memory for as many as they may open.
const MOST_FILES: usize = 65_536;

/// Lets this process and those it starts open as many as the system allows.
pub(super) fn raise() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("failed to read the limit of open files")?;
    let wanted = hard.min(MOST_FILES as u64);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("failed to raise the limit of open files")
}

/// How many files a process may open.
pub(super) fn files() -> Result<usize> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).context("failed to read the limit of open files")?;
    Ok(usize::try_from(soft).unwrap_or(usize::MAX))
}

/// How many sessions one process can relay, each with a file for either side.
pub(super) fn sessions() -> Result<usize> {
    Ok(files()?.saturating_sub(OTHER_FILES) / 2)
}
