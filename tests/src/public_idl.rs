//! IDL that others have published: fetched from where it is, out of Go modules and out of a Python package, in the versions
//! that fixtures pin by digest.

use crate::protobuf_tools::cache::{cached, fingerprint, run};
use anyhow::{Context, Result};
use heddle_e2e_cluster::Progress;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of a source repository by path.
pub struct Idl(pub BTreeMap<String, Vec<u8>>);

/// Which versions are meant: a folder of the fixtures with go.mod, go.sum and the requirements of pip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Some years old.
    Former,
    /// What code is generated from in tests.
    Current,
}

impl Release {
    fn folder(self) -> PathBuf {
        let folder = match self {
            Self::Former => "fixtures/breaking/former",
            Self::Current => "fixtures/real_idl/inputs",
        };
        heddle_e2e_cluster::checkout().join("tests").join(folder)
    }
}

impl Idl {
    /// What nearly everybody imports who describes an API by gRPC.
    ///
    /// # Errors
    /// The package cannot be downloaded.
    pub fn googleapis(release: Release) -> Result<Self> {
        Ok(Self(protos(&googleapis(release)?, "")?))
    }

    /// etcd's own, and what it imports.
    ///
    /// # Errors
    /// Go cannot download a module.
    pub fn etcd(release: Release) -> Result<Self> {
        let mut all = protos(&go_module("go.etcd.io/etcd/api/v3", release)?, "etcd/api/")?;
        all.extend(protos(&googleapis(release)?, "")?);
        let gogo = protos(&go_module("github.com/gogo/protobuf", release)?, "")?;
        let gateway = protos(
            &go_module("github.com/grpc-ecosystem/grpc-gateway/v2", release)?,
            "",
        )?;
        let imported = |name: &String| {
            name == "gogoproto/gogo.proto" || name.starts_with("protoc-gen-openapiv2/options/")
        };
        all.extend(gogo.into_iter().chain(gateway).filter(|(name, _)| imported(name)));
        Ok(Self(all))
    }

    /// Every object of Kubernetes, in proto2.
    ///
    /// # Errors
    /// Go cannot download a module.
    pub fn kubernetes(release: Release) -> Result<Self> {
        let mut all = protos(&go_module("k8s.io/api", release)?, "k8s.io/api/")?;
        all.extend(protos(
            &go_module("k8s.io/apimachinery", release)?,
            "k8s.io/apimachinery/",
        )?);
        Ok(Self(all))
    }

    /// How many messages there are.
    #[must_use]
    pub fn messages(&self) -> usize {
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

/// All files below `folder` that `is_wanted` by their relative path.
///
/// # Errors
/// A folder or file cannot be read.
pub fn files(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("failed to list {}", next.display()))? {
            let path = entry?.path();
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if is_wanted(&name) {
                found.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// Where Go keeps the module, in the version that the fixture's go.mod names.
fn go_module(path: &str, release: Release) -> Result<PathBuf> {
    let mut command = Command::new("go");
    command
        .args(["mod", "download", "-json", path])
        .current_dir(release.folder())
        .env("GOWORK", "off");
    let told: Value = serde_json::from_str(&run(&mut command)?)?;
    let folder = told["Dir"]
        .as_str()
        .with_context(|| format!("Go has no folder of {path}: {told}"))?;
    Ok(folder.into())
}

/// Downloads and unpacks the Python package once.
fn googleapis(release: Release) -> Result<PathBuf> {
    let requirements = release.folder().join("requirements.txt");
    let name = format!("googleapis-{}", fingerprint(&fs::read(&requirements)?));
    cached(&name, |folder| {
        heddle_e2e_cluster::ensure_python_packages(&Progress::new())?;
        let wheels = tempfile::tempdir()?;
        let mut download = Command::new("pip3");
        download
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
            .arg(&requirements)
            .arg("--dest")
            .arg(wheels.path());
        run(&mut download)?;
        for entry in fs::read_dir(wheels.path())? {
            let mut unpack = Command::new("python3");
            unpack.args([OsStr::new("-m"), "zipfile".as_ref(), "-e".as_ref()]);
            run(unpack.arg(entry?.path()).arg(folder))?;
        }
        Ok(())
    })
}
