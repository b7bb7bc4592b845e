//! Programs of this workspace that are measured, or measure.

use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// A program that stands beside this one.
pub(crate) fn beside(name: &str, package: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find this program")?;
    let program = own.with_file_name(name);
    ensure!(
        program.is_file(),
        "there is no {}\n  build it: cargo build --release --package heddle-bench --package {package}",
        program.display()
    );
    Ok(program)
}

/// Cargo, told to build the release profile.
pub(crate) fn build() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--release", "--locked"]);
    command
}
