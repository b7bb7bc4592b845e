//! Fetches the IDL from where it is published: out of Go modules, and out of a Python package.

use crate::workspace::{cache, files, fixture, lock, run};
use anyhow::{Context, Result};
use heddle_e2e_cluster::Progress;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is unpacked, by the name and version in the requirements of pip.
const GOOGLEAPIS: &str = "googleapis-common-protos-1.76.0";

/// The files of a source repository.
pub(crate) struct Idl(pub(crate) BTreeMap<String, Vec<u8>>);

impl Idl {
    /// What nearly everybody imports who describes an API by gRPC.
    pub(crate) fn googleapis() -> Result<Self> {
        Ok(Self(protos(&googleapis()?, "")?))
    }

    /// etcd's own, and what it imports.
    pub(crate) fn etcd() -> Result<Self> {
        let mut all = protos(&go_module("go.etcd.io/etcd/api/v3")?, "etcd/api/")?;
        all.extend(protos(&googleapis()?, "")?);
        let gogo = protos(&go_module("github.com/gogo/protobuf")?, "")?;
        let gateway = protos(&go_module("github.com/grpc-ecosystem/grpc-gateway/v2")?, "")?;
        let imported = |name: &String| {
            name == "gogoproto/gogo.proto" || name.starts_with("protoc-gen-openapiv2/options/")
        };
        all.extend(gogo.into_iter().chain(gateway).filter(|(name, _)| imported(name)));
        Ok(Self(all))
    }

    /// Every object of Kubernetes, in proto2.
    pub(crate) fn kubernetes() -> Result<Self> {
        let mut all = protos(&go_module("k8s.io/api")?, "k8s.io/api/")?;
        all.extend(protos(
            &go_module("k8s.io/apimachinery")?,
            "k8s.io/apimachinery/",
        )?);
        Ok(Self(all))
    }

    /// How many messages there are.
    pub(crate) fn messages(&self) -> usize {
        let is_message = |line: &&str| line.trim_start().starts_with("message ") && line.contains('{');
        let texts = self.0.values().map(|content| String::from_utf8_lossy(content));
        texts.map(|text| text.lines().filter(is_message).count()).sum()
    }
}

fn protos(folder: &Path, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let found = files(folder, |name| name.ends_with(".proto"))?;
    Ok(found
        .into_iter()
        .map(|(name, content)| (format!("{prefix}{name}"), content))
        .collect())
}

/// Where Go keeps the module, in the version that the fixture's go.mod names.
fn go_module(path: &str) -> Result<PathBuf> {
    let mut command = Command::new("go");
    command
        .args(["mod", "download", "-json", path])
        .current_dir(fixture("inputs"))
        .env("GOWORK", "off");
    let told: Value = serde_json::from_str(&run(&mut command)?)?;
    let folder = told["Dir"]
        .as_str()
        .with_context(|| format!("Go has no folder of {path}: {told}"))?;
    Ok(folder.into())
}

/// Downloads and unpacks the Python package once.
fn googleapis() -> Result<PathBuf> {
    let _lock = lock(&cache()?.join("python.lock"))?;
    let folder = cache()?.join(GOOGLEAPIS);
    if folder.is_dir() {
        return Ok(folder);
    }
    heddle_e2e_cluster::ensure_python_packages(&Progress::new())?;
    let fresh = tempfile::tempdir_in(cache()?)?;
    let wheels = fresh.path().join("wheels");
    let unpacked = fresh.path().join("unpacked");
    let mut download = Command::new("pip3");
    download
        .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
        .arg(fixture("inputs/requirements.txt"))
        .arg("--dest")
        .arg(&wheels);
    run(&mut download)?;
    for entry in fs::read_dir(&wheels)? {
        let mut unpack = Command::new("python3");
        unpack.args([OsStr::new("-m"), "zipfile".as_ref(), "-e".as_ref()]);
        run(unpack.arg(entry?.path()).arg(&unpacked))?;
    }
    fs::rename(&unpacked, &folder).context("failed to keep what was unpacked")?;
    Ok(folder)
}
