//! The project's own commands: `cargo xtask demo | test | fuzz | codegen | layers | bench`.

mod bench;
mod binaries;
mod codegen;
mod demo;
mod fuzz;
mod images;
mod layers;
mod process;
mod system;
mod test;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use heddle_e2e_cluster::Progress;
use std::path::PathBuf;
use std::process::ExitCode;

/// Heddle's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings up a cluster, installs Heddle, pushes IDL and shows the generated commit.
    Demo(demo::Arguments),
    /// Checks and tests everything.
    Test(test::Arguments),
    /// Feeds the protobuf engine with inputs that coverage chooses, until the time is over or something is found.
    Fuzz(fuzz::Arguments),
    /// Writes what is generated from the Rust types: CRD manifests, chart CRDs, reference tables.
    Codegen {
        /// Writes nothing; fails where a file is not what it should be.
        #[arg(long)]
        check: bool,
    },
    /// Checks that crates depend only on what the architecture allows.
    Layers,
    /// Builds the images of the operator, of the codegen Jobs and of the sidecars, in the release profile, as archives to push.
    Images,
    /// Measures beside peers and writes tables and charts to bench/results.
    Bench {
        /// Which benchmark: `logs`, `protobuf`, `sse` or `websocket`.
        name: String,
        /// What goes to the benchmark, such as `--only decode --subjects ours,prost`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Codegen { check } => codegen::run(check),
        Command::Layers => layers::run(),
        Command::Images => images::run(),
        Command::Bench { name, arguments } => bench::run(&name, &arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes sure of what everything else is built with, and says what to do about what cannot be installed.
fn prepare(progress: &Progress) -> Result<()> {
    heddle_e2e_cluster::ensure_build_packages(progress)?;
    heddle_e2e_cluster::ensure_git_packages(progress)?;
    process::output(std::process::Command::new("go").arg("version"))
        .context("failed to find Go, which Kubernetes and the Go plugins are built with\n  install it from https://go.dev/doc/install")
        .map(drop)
}

/// The root of the repository.
fn root() -> PathBuf {
    heddle_e2e_cluster::checkout()
}
