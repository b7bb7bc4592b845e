//! Compiles generated Rust as a consumer's crate, with the versions of prost and tonic that are locked here.

use crate::workspace::{Workspace, cache, run, write};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// Nothing that the workspace itself does not compile, so all of it has been downloaded. The versions' last digits come
/// from the workspace's Cargo.lock.
const DEPENDENCIES: &str = "prost = \"0.14\"
prost-types = \"0.14\"
tonic = { version = \"0.14\", default-features = false, features = [\"channel\", \"codegen\"] }
tonic-prost = \"0.14\"
";

/// Checks the code below `generated/rust`, and that these types are in its modules; a warning is a failure.
pub(crate) fn check(workspace: &Workspace, name: &str, types: &[&str]) -> Result<()> {
    let manifest = format!(
        "[package]\nname = \"generated-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [workspace]\n\n[dependencies]\n{DEPENDENCIES}"
    );
    let folder = &workspace.folder;
    write(&folder.join("Cargo.toml"), manifest.as_bytes())?;
    write(&folder.join("src/lib.rs"), library(types).as_bytes())?;
    let lock = heddle_e2e_cluster::checkout().join("Cargo.lock");
    fs::copy(&lock, folder.join("Cargo.lock")).context("failed to copy Cargo.lock")?;
    let mut command = Command::new("cargo");
    command
        .args(["check", "--quiet", "--offline"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", cache()?.join("target"))
        // What one crate leaves for its next change takes more room than all the rest.
        .env("CARGO_INCREMENTAL", "0");
    run(&mut command).map(drop)
}

/// What a consumer writes.
fn library(types: &[&str]) -> String {
    let mut text = String::from(
        "#![deny(warnings)]\n\n#[path = \"../generated/rust/mod.rs\"]\npub mod generated;\n\npub type Used = (\n",
    );
    for one in types {
        text += &format!("    generated::{one},\n");
    }
    text + ");\n"
}
