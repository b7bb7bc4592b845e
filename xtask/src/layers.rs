//! The arrows between crates that the architecture allows; any other fails the check.

use crate::process::{cargo, output};
use crate::root;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Who may import whom among our own crates, beside tests and benches, which may import anything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("heddle-crds", &[]),
    ("heddle-dynamic-protobuf", &[]),
    ("heddle-telemetry", &[]),
    ("heddle-ws-session", &[]),
    ("heddle-git-remote", &[]),
    ("heddle-sse-client", &[]),
    ("heddle-http-server", &["heddle-telemetry"]),
    ("heddle-route-config", &["heddle-crds"]),
    (
        "heddle-operator",
        &[
            "heddle-crds",
            "heddle-dynamic-protobuf",
            "heddle-git-remote",
            "heddle-http-server",
            "heddle-route-config",
            "heddle-sse-client",
            "heddle-telemetry",
        ],
    ),
    (
        "heddle-proxy-sidecar",
        &[
            "heddle-crds",
            "heddle-dynamic-protobuf",
            "heddle-http-server",
            "heddle-route-config",
            "heddle-telemetry",
            "heddle-ws-session",
        ],
    ),
    (
        "heddle-codegen-job",
        &[
            "heddle-crds",
            "heddle-dynamic-protobuf",
            "heddle-git-remote",
            "heddle-telemetry",
        ],
    ),
    (
        "heddle-e2e",
        &["heddle-crds", "heddle-e2e-cluster", "heddle-git-server"],
    ),
    ("heddle-e2e-cluster", &[]),
    ("heddle-git-server", &[]),
];

/// Crates that must stay free of a runtime, sockets and clients, however indirectly.
const PURE: [&str; 3] = ["heddle-crds", "heddle-dynamic-protobuf", "heddle-route-config"];
const IMPURE: [&str; 5] = ["tokio", "hyper", "kube-client", "git2", "mio"];

/// Checks every arrow of the workspace.
pub(crate) fn run() -> Result<()> {
    let mut wrong = forbidden_arrows()?;
    wrong.extend(impure_dependencies()?);
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "arrows that docs/ARCHITECTURE.md does not allow:\n  {}",
        wrong.join("\n  ")
    )
}

fn forbidden_arrows() -> Result<Vec<String>> {
    let metadata = output(&mut cargo(
        &root(),
        &["metadata", "--format-version=1", "--no-deps", "--locked"],
    ))?;
    let metadata: Value = serde_json::from_str(&metadata).context("failed to read cargo's metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("failed to find packages in cargo's metadata")?;
    let ours: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ALLOWED.iter().find(|(who, _)| *who == name) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            let in_tests_only = dependency["kind"] == "dev" && name != "heddle-e2e";
            if ours.contains(&target) && !in_tests_only && !allowed.contains(&target) {
                wrong.push(format!("{name} -> {target}"));
            }
        }
    }
    Ok(wrong)
}

fn impure_dependencies() -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for package in PURE {
        let arguments = [
            "tree",
            "--locked",
            "--edges=normal",
            "--prefix=none",
            "--format={p}",
            "--package",
            package,
        ];
        let tree = output(&mut cargo(&root(), &arguments))?;
        for line in tree.lines() {
            let dependency = line.split(' ').next().unwrap_or_default();
            if IMPURE.contains(&dependency) {
                wrong.push(format!("{package} -> … -> {dependency} (it must stay pure)"));
            }
        }
    }
    wrong.dedup();
    Ok(wrong)
}
