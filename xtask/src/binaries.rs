//! Builds the workspace once and tells where everything it built lies.

use crate::process::{cargo, run};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An executable full of tests.
pub(crate) struct TestBinary {
    /// The package it tests.
    pub(crate) package: String,
    /// The target's name: the library's, or the integration test's.
    pub(crate) target: String,
    pub(crate) executable: PathBuf,
    /// The folder that tests expect to run in.
    pub(crate) folder: PathBuf,
}

impl TestBinary {
    /// Whether it takes away what the others of its package need.
    fn is_last(&self) -> bool {
        self.target == "uninstall"
    }
}

/// What one build of the workspace left.
#[derive(Default)]
pub(crate) struct Binaries {
    programs: BTreeMap<String, PathBuf>,
    pub(crate) tests: Vec<TestBinary>,
}

impl Binaries {
    /// Builds what the demo's images need, and no tests.
    pub(crate) fn build_programs(root: &Path) -> Result<Self> {
        let packages = [
            "heddle-operator",
            "heddle-codegen-job",
            "heddle-proxy-sidecar",
            "heddle-example-audit",
            "heddle-example-chat",
            "heddle-git-server",
        ];
        Self::build_packages(root, &["build", "--locked", "--bins"], &packages)
    }

    /// Builds what is released, in the release profile.
    pub(crate) fn build_release(root: &Path) -> Result<Self> {
        let packages = ["heddle-operator", "heddle-codegen-job", "heddle-proxy-sidecar"];
        Self::build_packages(root, &["build", "--locked", "--bins", "--release"], &packages)
    }

    fn build_packages(root: &Path, arguments: &[&str], packages: &[&str]) -> Result<Self> {
        let mut arguments = arguments.to_vec();
        arguments.extend(packages.iter().flat_map(|package| ["--package", package]));
        Self::build(root, &arguments)
    }

    /// Builds every target. One command for all of it, because features of dependencies are unified per command and
    /// two would compile the heavy ones twice.
    pub(crate) fn build_everything(root: &Path) -> Result<Self> {
        Self::build(root, &["build", "--locked", "--workspace", "--all-targets"])
    }

    /// The program of this name.
    pub(crate) fn program(&self, name: &str) -> Result<&Path> {
        self.programs
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("cargo built no program {name}"))
    }

    fn build(root: &Path, arguments: &[&str]) -> Result<Self> {
        let mut child = cargo(root, arguments)
            .arg("--message-format=json-render-diagnostics")
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start cargo")?;
        let stdout = child.stdout.take().context("failed to read what cargo says")?;
        let mut binaries = Self::default();
        for line in BufReader::new(stdout).lines() {
            let line = line.context("failed to read what cargo says")?;
            let message: Value =
                serde_json::from_str(&line).context("failed to understand what cargo says")?;
            binaries.record(&message);
        }
        let status = child.wait().context("failed to wait for cargo")?;
        if !status.success() {
            bail!("`cargo {}` ended with {status}", arguments.join(" "));
        }
        binaries
            .tests
            .sort_by(|a, b| (&a.package, a.is_last(), &a.target).cmp(&(&b.package, b.is_last(), &b.target)));
        Ok(binaries)
    }

    fn record(&mut self, message: &Value) {
        let Some(executable) = message["executable"].as_str().map(PathBuf::from) else {
            return;
        };
        let name = message["target"]["name"].as_str().unwrap_or_default().to_owned();
        if message["profile"]["test"] != true {
            self.programs.insert(name, executable);
            return;
        }
        let manifest = PathBuf::from(message["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().map(PathBuf::from).unwrap_or_default();
        let package = package_name(message["package_id"].as_str().unwrap_or_default(), &folder);
        self.tests.push(TestBinary {
            package,
            target: name,
            executable,
            folder,
        });
    }
}

/// The package's name in cargo's id of it: `path+file:///…/folder#name@version`, or `…/name#version`.
fn package_name(id: &str, folder: &Path) -> String {
    let fragment = id.rsplit('#').next().unwrap_or_default();
    match fragment.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    }
}

/// Builds the Go plugins that the codegen image ships, into `folder`.
pub(crate) fn build_go_plugins(root: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new("go");
    command
        .current_dir(root.join("codegen-job/plugins/go"))
        .env("GOBIN", folder)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .args(["install", "-trimpath", "-ldflags=-s -w", "tool"]);
    run(&mut command)
        .context("failed to build the Go plugins\n  is Go installed? see https://go.dev/doc/install")
}
