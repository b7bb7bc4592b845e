//! Who is measured, and how each is built.

use super::worker::Worker;
use super::{cache, corpus, python};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a subject is written in, and so how it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Rust,
    Go,
    Python,
}

/// A subject.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// What is measured of it.
    pub(super) description: &'static str,
    kind: Kind,
}

/// The name of our own engine.
pub(super) const OURS: &str = "ours";
/// The name of what nobody can be faster than.
pub(super) const FLOOR: &str = "floor";

/// All subjects, in the order of the tables.
pub(super) const ALL: [Subject; 11] = [
    Subject {
        name: OURS,
        description: "heddle-dynamic-protobuf; one message reused and decoded into from a slice, one output buffer reused",
        kind: Kind::Ours,
    },
    Subject {
        name: "hyperpb",
        description: "hyperpb-go: read-only dynamic messages in Go, with shared memory reused and strings aliased to the \
                      input",
        kind: Kind::Go,
    },
    Subject {
        name: "hyperpb-profiled",
        description: "The same, recompiled by the profile of the very message; in this version repeated strings then come \
                      out with empty ones before them",
        kind: Kind::Go,
    },
    Subject {
        name: "upb",
        description: "Python's protobuf on upb, by loops inside one Python process; the calls from Python are part of \
                      the figure (some 0.2 µs)",
        kind: Kind::Python,
    },
    Subject {
        name: "prost",
        description: "prost's generated code, cleared and merged into; JSON by pbjson's generated serde code through \
                      sonic-rs",
        kind: Kind::Rust,
    },
    Subject {
        name: "rust-protobuf",
        description: "rust-protobuf's generated code, cleared and merged into; JSON by protobuf-json-mapping",
        kind: Kind::Rust,
    },
    Subject {
        name: "buffa",
        description: "buffa-descriptor's dynamic messages; its own JSON",
        kind: Kind::Rust,
    },
    Subject {
        name: "prost-reflect",
        description: "prost-reflect's dynamic messages; JSON through serde_json",
        kind: Kind::Rust,
    },
    Subject {
        name: "rust-protobuf-dynamic",
        description: "rust-protobuf's dynamic messages; JSON by protobuf-json-mapping",
        kind: Kind::Rust,
    },
    Subject {
        name: "dynamicpb",
        description: "protobuf-go's dynamic messages; JSON by protojson",
        kind: Kind::Go,
    },
    Subject {
        name: FLOOR,
        description: "no engine: a tag scan written by hand for the path, one copy of the message, and what sonic-rs \
                      takes to write or parse the same JSON as a tree without schema",
        kind: Kind::Rust,
    },
];

/// The subjects of these names, or all.
pub(super) fn named(names: &[String]) -> Result<Vec<&'static Subject>> {
    let known: Vec<&str> = ALL.iter().map(|subject| subject.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "there is no subject {unknown:?}\n  there are: {}",
            known.join(", ")
        );
    }
    let wanted = |subject: &&Subject| names.is_empty() || names.iter().any(|name| name == subject.name);
    Ok(ALL.iter().filter(wanted).collect())
}

/// Builds what is needed of these and starts one process for each.
pub(super) fn start(subjects: &[&'static Subject], corpus: &Path) -> Result<Vec<Worker>> {
    let program = |kind: Kind| match subjects.iter().any(|subject| subject.kind == kind) {
        true => build(kind).map(Some),
        false => Ok(None),
    };
    let programs =
        [Kind::Ours, Kind::Rust, Kind::Go, Kind::Python].map(|kind| program(kind).map(|path| (kind, path)));
    let programs: Vec<(Kind, Option<PathBuf>)> = programs.into_iter().collect::<Result<_>>()?;
    let worker = |subject: &&'static Subject| {
        let built = programs.iter().find(|(kind, _)| *kind == subject.kind);
        let program = built
            .and_then(|(_, path)| path.as_deref())
            .context("every kind was built")?;
        Worker::start(subject.name, command(subject, program)?.arg(corpus))
    };
    subjects.iter().map(worker).collect()
}

fn command(subject: &Subject, program: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    match subject.kind {
        Kind::Ours => {}
        Kind::Rust | Kind::Go => {
            command.arg(subject.name);
        }
        Kind::Python => {
            command = Command::new("python3");
            command.arg(program).env("PYTHONPATH", python::packages()?);
        }
    }
    Ok(command)
}

fn build(kind: Kind) -> Result<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    match kind {
        Kind::Ours => ours(),
        Kind::Rust => rust(&peers.join("rust")),
        Kind::Go => go(&peers.join("go")),
        Kind::Python => Ok(peers.join("python/worker.py")),
    }
}

/// Our worker is built together with this program and stands beside it.
fn ours() -> Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find this program")?;
    let worker = own.with_file_name("heddle-bench-ours");
    ensure!(
        worker.is_file(),
        "there is no {}\n  build it: cargo build --release --package heddle-bench --package heddle-bench-ours",
        worker.display()
    );
    Ok(worker)
}

fn rust(folder: &Path) -> Result<PathBuf> {
    let target = cache()?.join("rust");
    let includes = corpus::schema::includes()?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--quiet", "--release", "--locked"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", &target)
        .env("HEDDLE_BENCH_INCLUDES", std::env::join_paths(includes)?);
    run(&mut command, "the Rust peers, about two minutes once")?;
    Ok(target.join("release/heddle-bench-peers"))
}

fn go(folder: &Path) -> Result<PathBuf> {
    let program = cache()?.join("go/heddle-bench-peers");
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(folder)
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off");
    run(&mut command, "the Go peers, about a minute once")?;
    Ok(program)
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    eprintln!("Building {what}.");
    let status = command
        .status()
        .with_context(|| format!("failed to build {what}"))?;
    ensure!(status.success(), "building {what} ended with {status}");
    Ok(())
}
