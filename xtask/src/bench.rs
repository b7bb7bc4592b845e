//! `cargo xtask bench`: our code beside its peers, in one alternating run of the release profile.

use crate::process::{cargo, run as run_command};
use crate::root;
use anyhow::{Result, bail};

/// The benchmarks there are.
const NAMES: [&str; 1] = ["logs"];

/// Builds and runs the benchmark called `name`.
pub(crate) fn run(name: &str) -> Result<()> {
    if !NAMES.contains(&name) {
        bail!(
            "there is no benchmark {name:?}\n  there are: {}",
            NAMES.join(", ")
        );
    }
    run_command(&mut cargo(
        &root(),
        &[
            "run",
            "--locked",
            "--release",
            "--package",
            "heddle-bench",
            "--",
            name,
        ],
    ))
}
