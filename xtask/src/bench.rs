//! `cargo xtask bench`: our code beside its peers, in one alternating run of the release profile.

use crate::process::{cargo, run as run_command};
use crate::root;
use anyhow::{Result, bail};

/// The benchmarks there are.
const NAMES: [&str; 2] = ["logs", "protobuf"];

/// Builds and runs the benchmark called `name`; `arguments` go to it.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<()> {
    if !NAMES.contains(&name) {
        bail!(
            "there is no benchmark {name:?}\n  there are: {}",
            NAMES.join(", ")
        );
    }
    if name == "protobuf" {
        // The worker of our own engine stands beside the program that `cargo run` starts.
        let worker = ["build", "--locked", "--release", "--package", "heddle-bench-ours"];
        run_command(&mut cargo(&root(), &worker))?;
    }
    let program = [
        "run",
        "--locked",
        "--release",
        "--package",
        "heddle-bench",
        "--",
        name,
    ];
    run_command(cargo(&root(), &program).args(arguments))
}
