//! The versions of the subjects, out of the files that pin them.

use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// What the subject's parts are called and which versions they have.
pub(super) fn of(subject: &str) -> Result<String> {
    let versions = match subject {
        "ours" => return Ok(env!("CARGO_PKG_VERSION").to_owned()),
        "hyperpb" | "hyperpb-profiled" => go(&["buf.build/go/hyperpb"]),
        "dynamicpb" => go(&["google.golang.org/protobuf"]),
        "upb" => python("protobuf"),
        "prost" => crates(&["prost", "pbjson", "sonic-rs"]),
        "prost-reflect" => crates(&["prost-reflect", "serde_json"]),
        "buffa" => crates(&["buffa-descriptor"]),
        "floor" => crates(&["sonic-rs"]),
        _ => crates(&["protobuf", "protobuf-json-mapping"]),
    };
    versions.with_context(|| format!("failed to find the version of {subject}"))
}

/// What the subjects are compiled with or run on, as far as it is there.
pub(super) fn tools() -> String {
    let commands = [
        ("rustc", "--version"),
        ("go", "version"),
        ("python3", "--version"),
    ];
    let version = |(program, argument): (&str, &str)| {
        let output = Command::new(program).arg(argument).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let versions: Vec<String> = commands.into_iter().filter_map(version).collect();
    versions.join(", ")
}

fn crates(names: &[&str]) -> Result<String> {
    let lock = read("rust/Cargo.lock")?;
    let version = |name: &&str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split('"').next()?))
    };
    let versions: Option<Vec<String>> = names.iter().map(version).collect();
    Ok(versions.context("not in Cargo.lock")?.join(", "))
}

fn go(names: &[&str]) -> Result<String> {
    let module = read("go/go.mod")?;
    let version = |name: &&str| {
        let line = module.lines().find(|line| line.trim_start().starts_with(*name))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    let versions: Option<Vec<String>> = names.iter().map(version).collect();
    Ok(versions.context("not in go.mod")?.join(", "))
}

fn python(name: &str) -> Result<String> {
    let requirements = read("python/requirements.txt")?;
    let version = requirements
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix("==")?.split(' ').next());
    version
        .map(|version| format!("{name} {version}"))
        .context("not in the requirements")
}

fn read(name: &str) -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name);
    std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use crate::protobuf::subjects;

    #[test]
    fn every_subject_has_a_version() {
        for subject in &subjects::ALL {
            let version = super::of(subject.name).unwrap();
            assert!(version.contains('.'), "{}: {version}", subject.name);
        }
    }
}
