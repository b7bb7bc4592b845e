//! The parsers that are measured, all of them in one program.

use crate::programs;
use crate::worker::Worker;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A parser.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
}

pub(super) const OURS: &str = "ours";
pub(super) const SSE_STREAM: &str = "sse-stream";
/// The name of what nobody can be faster than.
pub(super) const FLOOR: &str = "floor";

/// All subjects, in the order of the tables.
pub(super) const SUBJECTS: [Subject; 5] = [
    Subject {
        name: OURS,
        description: "heddle-sse-client's `Parser`: chunks pushed, events asked for",
    },
    Subject {
        name: SSE_STREAM,
        description: "its `SseByteStream` over a stream of the same chunks",
    },
    Subject {
        name: "async-sse",
        description: "its `decode` over a buffered reader that gives the same chunks",
    },
    Subject {
        name: "eventsource-stream",
        description: "its `EventStream` over a stream of the same chunks",
    },
    Subject {
        name: FLOOR,
        description: "no parser: UTF-8 checked by the standard library, and line feeds counted by memchr",
    },
];

/// Builds the program and starts one process for each subject.
pub(super) fn start() -> Result<Vec<Worker>> {
    let program = build()?;
    let start = |subject: &Subject| Worker::start(subject.name, Command::new(&program).arg(subject.name));
    SUBJECTS.iter().map(start).collect()
}

/// The version of a subject, out of the file that pins it.
pub(super) fn version(subject: &str) -> Result<String> {
    let name = match subject {
        OURS => "heddle-sse-client",
        FLOOR => "memchr",
        name => name,
    };
    let file = folder().join("Cargo.lock");
    let lock =
        std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let found = lock.split_once(&format!("name = \"{name}\"\nversion = \""));
    let version = found.and_then(|(_, rest)| rest.split('"').next());
    version
        .map(|version| format!("{name} {version}"))
        .with_context(|| format!("{name} is not in {}", file.display()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/sse")
}

fn build() -> Result<PathBuf> {
    let target = heddle_e2e_cluster::cache_root()?.join("bench-sse");
    eprintln!("Building the parsers, about a minute once.");
    let status = programs::build()
        .current_dir(folder())
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .context("failed to build the parsers")?;
    ensure!(status.success(), "building the parsers ended with {status}");
    Ok(target.join("release/heddle-bench-sse-peers"))
}
