//! `cargo xtask bench`: our code beside its peers, in one alternating run of the release profile.

use crate::process::{cargo, run as run_command};
use crate::root;
use anyhow::{Result, bail};

/// The benchmarks there are.
const NAMES: [&str; 4] = ["logs", "protobuf", "sse", "websocket"];

/// Builds and runs the benchmark called `name`; `arguments` go to it.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<()> {
    if !NAMES.contains(&name) {
        bail!(
            "there is no benchmark {name:?}\n  there are: {}",
            NAMES.join(", ")
        );
    }
    // What is measured, and measures, stands beside the program that `cargo run` starts.
    let beside: &[&str] = match name {
        "protobuf" => &["heddle-bench-ours"],
        "websocket" => &["heddle-bench-websocket", "heddle-proxy-sidecar"],
        _ => &[],
    };
    for package in beside {
        let build = ["build", "--locked", "--release", "--package", package];
        run_command(&mut cargo(&root(), &build))?;
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
