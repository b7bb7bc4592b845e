//! Generates what the two peers with generated code need, from the IDL that the benchmark compiles itself.

use anyhow::{Context, Result};
use prost::Message;
use prost_types::FileDescriptorSet;
use std::path::PathBuf;

/// Folders of the IDL, as in `PATH`; the benchmark sets it.
const INCLUDES: &str = "HEDDLE_BENCH_INCLUDES";

/// The packages with messages in them, but for the well-known types.
const FILES: [&str; 6] = [
    "heddle/bench/v1/bench.proto",
    "opentelemetry/proto/collector/trace/v1/trace_service.proto",
    "opentelemetry/proto/trace/v1/trace.proto",
    "opentelemetry/proto/common/v1/common.proto",
    "opentelemetry/proto/resource/v1/resource.proto",
    "google/protobuf/descriptor.proto",
];

fn main() -> Result<()> {
    println!("cargo::rerun-if-env-changed={INCLUDES}");
    let includes = std::env::var_os(INCLUDES)
        .with_context(|| format!("{INCLUDES} is not set; `cargo xtask bench protobuf` sets it"))?;
    let includes: Vec<PathBuf> = std::env::split_paths(&includes).collect();
    for folder in &includes {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let set = protox::compile(FILES, &includes).context("failed to compile the IDL")?;
    walk::generate(&set).context("failed to generate the walks")?;
    prost(set).context("failed to generate for prost")?;
    rust_protobuf(&includes).context("failed to generate for rust-protobuf")
}

fn prost(set: FileDescriptorSet) -> Result<()> {
    let bytes = set.encode_to_vec();
    prost_build::Config::new()
        .compile_well_known_types()
        .extern_path(".google.protobuf.Timestamp", "::pbjson_types::Timestamp")
        .include_file("prost.rs")
        .compile_fds(set)?;
    pbjson_build::Builder::new()
        .register_descriptors(&bytes)?
        .extern_path(".google.protobuf.Timestamp", "::pbjson_types::Timestamp")
        .exclude([".google.protobuf.Timestamp"])
        .build(&[".heddle", ".opentelemetry", ".google.protobuf"])?;
    Ok(())
}

fn rust_protobuf(includes: &[PathBuf]) -> Result<()> {
    // descriptor.proto is part of the library.
    let inputs = FILES.iter().filter(|file| !file.starts_with("google/"));
    let inputs = inputs.filter_map(|file| {
        includes
            .iter()
            .map(|folder| folder.join(file))
            .find(|path| path.is_file())
    });
    protobuf_codegen::Codegen::new()
        .pure()
        .includes(includes)
        .inputs(inputs)
        .cargo_out_dir("rust_protobuf")
        .run()
}

#[path = "build/walk.rs"]
mod walk;
