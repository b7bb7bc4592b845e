//! Compiles the IDL: ours, OpenTelemetry's out of its crate, Google's out of the Python package.

use super::super::python;
use anyhow::{Context, Result, bail};
use prost_reflect::prost::Message as _;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate that has OpenTelemetry's `.proto` files; Cargo.lock pins it.
const TELEMETRY_CRATE: &str = "opentelemetry-proto";

/// The folders that imports are looked for in.
pub(in crate::protobuf) fn includes() -> Result<[PathBuf; 2]> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    Ok([own, telemetry()?])
}

/// The files that all types of all messages are in.
pub(in crate::protobuf) const FILES: [&str; 3] = [
    "heddle/bench/v1/bench.proto",
    "opentelemetry/proto/collector/trace/v1/trace_service.proto",
    "google/protobuf/descriptor.proto",
];

/// The descriptor set of all messages.
pub(super) fn all() -> Result<Vec<u8>> {
    let mut compiler = protox::Compiler::new(includes()?).context("failed to find the IDL")?;
    compiler.include_imports(true);
    compiler.open_files(FILES).context("failed to compile the IDL")?;
    Ok(compiler.encode_file_descriptor_set())
}

/// The descriptor set of googleapis' common files, with comments and positions, as `buf build` makes it, but for options
/// that are extensions: not every subject knows these.
pub(super) fn googleapis() -> Result<Vec<u8>> {
    let folder = python::packages()?;
    let mut files = Vec::new();
    for part in ["api", "cloud", "logging", "longrunning", "rpc", "type"] {
        collect(&folder.join("google").join(part), &mut files)?;
    }
    files.sort();
    let mut compiler = protox::Compiler::new([&folder]).context("failed to find googleapis")?;
    compiler.include_imports(true).include_source_info(true);
    compiler
        .open_files(&files)
        .context("failed to compile googleapis")?;
    Ok(compiler.file_descriptor_set().encode_to_vec())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let context = || format!("failed to list {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

fn telemetry() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .context("failed to start cargo")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("failed to read cargo's metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == TELEMETRY_CRATE)
        .find_map(|package| package["manifest_path"].as_str());
    let manifest =
        manifest.with_context(|| format!("failed to find {TELEMETRY_CRATE} among the dependencies"))?;
    let folder = Path::new(manifest)
        .parent()
        .context("a manifest is in a folder")?;
    Ok(folder.join("src/proto/opentelemetry-proto"))
}
