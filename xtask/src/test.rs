//! `cargo xtask test`: everything that CI runs, in stages from the quickest to the slowest.

mod summary;

use crate::binaries::{Binaries, TestBinary};
use crate::process::{cargo, run as run_command};
use crate::system::System;
use crate::{codegen, fuzz, layers, prepare, root};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use heddle_e2e_cluster::Progress;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use summary::Summary;

/// The version of cargo-deny that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these stages.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Stage>,
    /// Only tests whose name contains this.
    filter: Option<String>,
    /// Leaves the cluster running afterwards.
    #[arg(long)]
    keep_cluster: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Stage {
    /// Format, lints, generated files, layers, licences, documentation.
    Static,
    /// Tests that need nothing but this machine.
    Unit,
    /// The fuzz targets, for a minute in all.
    Fuzz,
    /// Tests against a real kube-apiserver and Git servers.
    Apiserver,
    /// Black-box tests on a whole cluster.
    Cluster,
}

/// Those of `heddle-tests` that need neither API server nor Git: they check one part by what others wrote.
const ALONE: [&str; 3] = ["autobahn", "breaking_agrees_with_buf", "protobuf_conformance"];

impl Stage {
    fn of(test: &TestBinary) -> Self {
        match (test.package.as_str(), test.target.as_str()) {
            ("heddle-tests", target) if ALONE.contains(&target) => Self::Unit,
            ("heddle-tests", _) => Self::Apiserver,
            ("heddle-e2e", _) => Self::Cluster,
            _ => Self::Unit,
        }
    }
}

/// Runs the stages that are asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let wanted = |stage| arguments.only.is_empty() || arguments.only.contains(&stage);
    let mut summary = Summary::default();
    prepare(&Progress::new())?;
    if wanted(Stage::Static) {
        static_checks(&mut summary)?;
    }
    if wanted(Stage::Fuzz) {
        fuzz_targets(&mut summary);
    }
    if [Stage::Unit, Stage::Apiserver, Stage::Cluster]
        .into_iter()
        .any(wanted)
    {
        tests(arguments, wanted, &mut summary)?;
    }
    if wanted(Stage::Unit) && arguments.filter.is_none() {
        documentation_examples(&mut summary);
    }
    summary.print();
    if summary.failed() > 0 {
        bail!("{} failed; they are named above", summary.failed());
    }
    Ok(())
}

/// Runs the examples in the documentation of the crate that others build on.
fn documentation_examples(summary: &mut Summary) {
    summary.check("cargo test --doc", || {
        let arguments = [
            "test",
            "--locked",
            "--doc",
            "--package",
            "heddle-dynamic-protobuf",
        ];
        run_command(&mut cargo(&root(), &arguments))
    });
}

fn static_checks(summary: &mut Summary) -> Result<()> {
    let root = root();
    let deny = cargo_deny(&root)?;
    summary.check("cargo fmt --check", || {
        run_command(&mut cargo(&root, &["fmt", "--all", "--check"]))
    });
    summary.check("cargo xtask codegen --check", || codegen::run(true));
    summary.check("cargo xtask layers", layers::run);
    // The advisory database is not in a package registry, so an offline machine checks the rest.
    summary.check("cargo deny check", || {
        run_command(Command::new(deny).current_dir(&root).args([
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ]))
    });
    summary.check("cargo clippy", || {
        let arguments = [
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "--deny=warnings",
        ];
        run_command(&mut cargo(&root, &arguments))
    });
    // A workspace of its own.
    summary.check("cargo fmt --check in fuzz", || {
        let arguments = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
        run_command(&mut cargo(&root, &arguments))
    });
    summary.check("cargo clippy in fuzz", || {
        let arguments = [
            "clippy",
            "--locked",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--",
            "--deny=warnings",
        ];
        run_command(&mut cargo(&root, &arguments))
    });
    summary.check("cargo doc", || {
        let arguments = [
            "doc",
            "--locked",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ];
        run_command(cargo(&root, &arguments).env("RUSTDOCFLAGS", "--deny=warnings"))
    });
    Ok(())
}

/// Each target counts as a test; when they do not build, that is the one that fails.
fn fuzz_targets(summary: &mut Summary) {
    let mut outcomes = Vec::new();
    summary.check("cargo xtask fuzz", || {
        outcomes = fuzz::Programs::build()?.run_everything()?;
        Ok(())
    });
    for (target, outcome) in outcomes {
        summary.check(&format!("fuzz {target}"), || outcome);
    }
}

/// The cargo-deny there is, or one built into the cache.
fn cargo_deny(root: &Path) -> Result<PathBuf> {
    let tools = heddle_e2e_cluster::cache_root()?.join("tools");
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        println!(
            "Installing cargo-deny {CARGO_DENY}, which checks licences and sources (about two minutes, once)."
        );
        let mut command = cargo(
            root,
            &[
                "install",
                "--quiet",
                "--locked",
                "cargo-deny",
                "--version",
                CARGO_DENY,
                "--root",
            ],
        );
        run_command(command.arg(&tools)).context("failed to install cargo-deny")?;
    }
    Ok(program)
}

fn tests(arguments: &Arguments, wanted: impl Fn(Stage) -> bool, summary: &mut Summary) -> Result<()> {
    let root = root();
    let started = Instant::now();
    let binaries = Binaries::build_everything(&root)?;
    println!("Built everything in {:.0} s.", started.elapsed().as_secs_f64());
    if wanted(Stage::Unit) {
        run_stage(Stage::Unit, &binaries, arguments, &[], summary);
        summary.doc_tests(&mut cargo(&root, &["test", "--locked", "--workspace", "--doc"]));
    }
    if wanted(Stage::Apiserver) {
        heddle_e2e_cluster::tools::ensure_control_plane().context("failed to build the control plane")?;
        run_stage(Stage::Apiserver, &binaries, arguments, &[], summary);
    }
    if wanted(Stage::Cluster) {
        heddle_e2e_cluster::ensure_browser_packages(&Progress::new())?;
        let system = System::up(&root, &binaries)?;
        let forward = system.git.forward(&system.kubectl())?;
        run_stage(
            Stage::Cluster,
            &binaries,
            arguments,
            &system.environment(&forward),
            summary,
        );
        if !arguments.keep_cluster {
            System::down(&root)?;
        }
    }
    Ok(())
}

fn run_stage(
    stage: Stage,
    binaries: &Binaries,
    arguments: &Arguments,
    environment: &[(String, String)],
    summary: &mut Summary,
) {
    for test in binaries.tests.iter().filter(|test| Stage::of(test) == stage) {
        let mut command = Command::new(&test.executable);
        command
            .current_dir(&test.folder)
            // As cargo does.
            .env("CARGO_MANIFEST_DIR", &test.folder)
            .envs(environment.iter().cloned());
        for program in ["heddle-operator", "heddle-codegen"] {
            if let Ok(path) = binaries.program(program) {
                command.env(
                    format!("HEDDLE_TEST_{}", program.to_uppercase().replace('-', "_")),
                    path,
                );
            }
        }
        if let Some(filter) = &arguments.filter {
            command.arg(filter);
        }
        summary.test_binary(&format!("{} {}", test.package, test.target), &mut command);
    }
}
