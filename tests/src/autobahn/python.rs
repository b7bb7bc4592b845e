//! The Python that the suite is written for, with the suite in it. Debian 11 is the last one that has it; its packages
//! are unpacked and not installed.

use super::cached;
use crate::protobuf_tools::cache::run;
use anyhow::{Context, Result, ensure};
use heddle_e2e_cluster::Progress;
use heddle_e2e_cluster::archives::{Archives, LIBRARIES, unpack};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SUITE: &str = "bullseye";
const PACKAGES: &str = include_str!("../../fixtures/autobahn/packages.txt");
const BOOTSTRAP: &str = include_str!("../../fixtures/autobahn/bootstrap.txt");
const REQUIREMENTS: &str = include_str!("../../fixtures/autobahn/requirements.txt");

/// Where requirements are, for pip.
const FIXTURES: &str = "tests/fixtures/autobahn";

/// Places in the folder that is cached.
const SYSTEM: &str = "system";
const INSTALLER: &str = "installer";
const MODULES: &str = "modules";

/// The interpreter and the suite.
#[derive(Clone, Debug)]
pub(super) struct Python {
    folder: PathBuf,
}

/// Installs it unless it is in the cache.
pub(super) fn ensure() -> Result<Python> {
    let folder = cached("suite", &[PACKAGES, BOOTSTRAP, REQUIREMENTS], install)?;
    Ok(Python { folder })
}

impl Python {
    /// The interpreter, ready for arguments.
    pub(super) fn command(&self) -> Command {
        self.with_modules(MODULES)
    }

    fn with_modules(&self, modules: &str) -> Command {
        let system = self.folder.join(SYSTEM);
        let mut command = Command::new(system.join("usr/bin/python2.7"));
        command
            .env("LD_LIBRARY_PATH", system.join(LIBRARIES))
            .env("PYTHONPATH", self.folder.join(modules))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("PYTHONHOME");
        command
    }
}

fn install(folder: &Path) -> Result<()> {
    heddle_e2e_cluster::ensure_build_packages(&Progress::new())?;
    heddle_e2e_cluster::ensure_python_packages(&Progress::new())?;
    unpack_interpreter(&folder.join(SYSTEM))?;
    install_installer(&folder.join(INSTALLER))?;
    let python = Python {
        folder: folder.to_owned(),
    };
    install_modules(&python)?;
    fs::remove_dir_all(folder.join(INSTALLER)).context("failed to remove pip")
}

fn unpack_interpreter(folder: &Path) -> Result<()> {
    let pins: Vec<[&str; 3]> = PACKAGES.lines().filter_map(pin).collect();
    let wanted: Vec<String> = pins
        .iter()
        .map(|[name, version, _]| format!("{name}={version}"))
        .collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let archives = Archives::of_release(SUITE)?;
    let paths = archives.download(&Progress::new(), &wanted)?;
    for path in &paths {
        let digest = hexadecimal_digest(&fs::read(path)?);
        ensure!(
            pins.iter().any(|[_, _, pinned]| *pinned == digest),
            "{} has the digest {digest}, which is not pinned",
            path.display()
        );
    }
    unpack(&paths, folder)
}

/// Package, version and digest of a line that is not a comment.
fn pin(line: &str) -> Option<[&str; 3]> {
    let mut words = line.split(' ').filter(|_| !line.starts_with('#'));
    Some([words.next()?, words.next()?, words.next()?])
}

fn hexadecimal_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The machine's own pip can install a pip for another Python, as that is pure Python.
fn install_installer(folder: &Path) -> Result<()> {
    let mut pip = Command::new("pip3");
    pip.args(["install", "--no-compile"]);
    run(with_pins(&mut pip, "bootstrap.txt", folder)).map(drop)
}

fn install_modules(python: &Python) -> Result<()> {
    let headers = python.folder.join(SYSTEM).join("usr/include");
    let modules = python.folder.join(MODULES);
    let mut pip = python.with_modules(INSTALLER);
    pip.args(["-m", "pip", "install", "--no-build-isolation"])
        .args(["--no-warn-script-location", "--no-cache-dir"])
        // What Python was compiled with may be another compiler than this machine's.
        .env("CC", "gcc")
        .env(
            "C_INCLUDE_PATH",
            std::env::join_paths([headers.join("python2.7"), headers])?,
        );
    run(with_pins(&mut pip, "requirements.txt", &modules))?;
    // Its package is a namespace that only an installation for the whole machine would make known.
    fs::write(modules.join("zope/__init__.py"), "")
        .context("failed to complete the installation of zope.interface")
}

fn with_pins<'a>(pip: &'a mut Command, requirements: &str, target: &Path) -> &'a mut Command {
    pip.args(["--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--require-hashes", "--requirement"])
        .arg(heddle_e2e_cluster::checkout().join(FIXTURES).join(requirements))
        .arg("--target")
        .arg(target)
}
