//! What the node needs from the distribution: looked for, and installed with words about why.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command::{Event, LONG, Run, find};
use crate::progress::{Progress, Step};

/// Where Debian's `containernetworking-plugins` puts them.
pub(crate) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// A package, how to see that it is there, and what for.
#[derive(Debug)]
struct Package {
    name: &'static str,
    program: &'static str,
    purpose: &'static str,
}

/// What the node itself is made of.
const NODE: [Package; 6] = [
    Package {
        name: "containerd",
        program: "containerd",
        purpose: "runs the containers",
    },
    Package {
        name: "runc",
        program: "runc",
        purpose: "starts each container",
    },
    Package {
        name: "containernetworking-plugins",
        program: "/usr/lib/cni/ptp",
        purpose: "gives pods a network",
    },
    Package {
        name: "iproute2",
        program: "ip",
        purpose: "links the node's network to the host",
    },
    Package {
        name: "iptables",
        program: "iptables",
        purpose: "host ports of pods",
    },
    Package {
        name: "nftables",
        program: "nft",
        purpose: "Services, as kube-proxy programs them",
    },
];

/// What images are made with.
const IMAGES: [Package; 2] = [
    Package {
        name: "buildah",
        program: "buildah",
        purpose: "builds images without a daemon",
    },
    Package {
        name: "mmdebstrap",
        program: "mmdebstrap",
        purpose: "makes the base image",
    },
];

/// What the workspace is built with, beside Rust: libraries in C that are compiled into our programs.
const BUILD: [Package; 4] = [
    Package {
        name: "gcc",
        program: "gcc",
        purpose: "links programs and compiles libgit2",
    },
    Package {
        name: "libc6-dev",
        program: "/usr/include/stdlib.h",
        purpose: "headers of the C library",
    },
    Package {
        name: "make",
        program: "make",
        purpose: "builds OpenSSL, for ssh",
    },
    Package {
        name: "perl",
        program: "perl",
        purpose: "configures OpenSSL's build",
    },
];

/// What Git repositories are served and looked at with.
const GIT: [Package; 3] = [
    Package {
        name: "git",
        program: "git",
        purpose: "serves and clones the repositories of demo and tests",
    },
    Package {
        name: "openssh-server",
        program: "/usr/sbin/sshd",
        purpose: "serves repositories over ssh in tests",
    },
    Package {
        name: "openssh-client",
        program: "ssh-keygen",
        purpose: "makes keys for tests over ssh",
    },
];

/// What Python packages are downloaded with.
const PYTHON: [Package; 1] = [Package {
    name: "python3-pip",
    program: "pip3",
    purpose: "downloads IDL that is published as a Python package",
}];

/// What packages of the npm registry are downloaded with.
const NPM: [Package; 1] = [Package {
    name: "npm",
    program: "npm",
    purpose: "downloads the tools that protobuf is tested with",
}];

/// What black-box tests look at pages with.
const BROWSER: [Package; 1] = [Package {
    name: "chromium",
    program: "chromium",
    purpose: "talks to the example chat in tests",
}];

/// What the fuzz targets are built with.
const FUZZ: [Package; 1] = [Package {
    name: "g++",
    program: "g++",
    purpose: "compiles libFuzzer",
}];

impl Package {
    fn is_missing(&self) -> bool {
        if self.program.starts_with('/') {
            !Path::new(self.program).exists()
        } else {
            find(self.program).is_none()
        }
    }
}

/// Installs what the workspace is built with, as far as it is missing.
///
/// # Errors
/// When something is missing and this is not root, not Debian, or apt fails; the text has the command to run.
pub fn ensure_build_packages(progress: &Progress) -> Result<()> {
    ensure(progress, "Building Heddle", BUILD.iter())
}

/// Installs what the demo and the tests serve Git repositories with, as far as it is missing.
///
/// # Errors
/// As [`ensure_build_packages`].
pub fn ensure_git_packages(progress: &Progress) -> Result<()> {
    ensure(progress, "Serving Git repositories", GIT.iter())
}

/// Installs what tests download IDL with that is published as a Python package, as far as it is missing.
///
/// # Errors
/// As [`ensure_build_packages`].
pub fn ensure_python_packages(progress: &Progress) -> Result<()> {
    ensure(progress, "Downloading a Python package", PYTHON.iter())
}

/// Installs what tests download packages of the npm registry with, as far as it is missing.
///
/// # Errors
/// As [`ensure_build_packages`].
pub fn ensure_npm_packages(progress: &Progress) -> Result<()> {
    ensure(progress, "Downloading packages of npm", NPM.iter())
}

/// Installs what black-box tests look at pages with, as far as it is missing.
///
/// # Errors
/// As [`ensure_build_packages`].
pub fn ensure_browser_packages(progress: &Progress) -> Result<()> {
    ensure(progress, "Looking at pages", BROWSER.iter())
}

/// Installs what the fuzz targets are built with, as far as it is missing.
///
/// # Errors
/// As [`ensure_build_packages`].
pub fn ensure_fuzz_packages(progress: &Progress) -> Result<()> {
    ensure(progress, "Building the fuzz targets", FUZZ.iter())
}

/// Installs what a node and its images need, as far as it is missing; needs root only when something is.
///
/// # Errors
/// When something is missing and this is not root, not Debian, or apt fails; the text has the command to run.
pub(crate) fn ensure_node(progress: &Progress) -> Result<()> {
    ensure(progress, "A cluster", NODE.iter().chain(&IMAGES))
}

/// As [`ensure_node`], for images alone.
///
/// # Errors
/// As [`ensure_node`].
pub(crate) fn ensure_images(progress: &Progress) -> Result<()> {
    ensure(progress, "Building images", IMAGES.iter())
}

fn ensure<'a>(progress: &Progress, what: &str, packages: impl Iterator<Item = &'a Package>) -> Result<()> {
    let missing: Vec<&Package> = packages.filter(|package| package.is_missing()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if find("apt-get").is_none() || !nix::unistd::geteuid().is_root() {
        let command = format!("sudo apt-get install --no-install-recommends {}", names.join(" "));
        bail!("{} missing; install with: {command}", they_are(&names));
    }
    progress.say(&format!(
        "{what} needs these Debian packages, installed now with apt-get:"
    ));
    for package in &missing {
        progress.say(&format!("  {:28} {}", package.name, package.purpose));
    }
    let mut step = progress.step("Installing Debian packages");
    install(&mut step, &names)?;
    step.done(&format!("Installed {}", names.join(", ")));
    Ok(())
}

fn they_are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

/// A fresh machine has no package lists and an old one has stale ones: both show as a failed install.
fn install(step: &mut Step<'_>, names: &[&str]) -> Result<()> {
    let install = || apt("install").args(["-y", "--no-install-recommends"]).args(names);
    if watch(step, install()).is_ok() {
        return Ok(());
    }
    watch(step, apt("update")).context("failed to refresh the package lists")?;
    watch(step, install())
}

pub(crate) fn watch(step: &mut Step<'_>, run: Run) -> Result<()> {
    run.watched(|event| match event {
        Event::Out(line) => step.note(line),
        Event::Error(_) | Event::Tick => step.tick(),
    })
}

fn apt(verb: &str) -> Run {
    Run::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120", verb])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .limit(LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_package_is_missing_and_two_are() {
        assert_eq!(they_are(&["runc"]), "runc is");
        assert_eq!(they_are(&["runc", "buildah"]), "runc, buildah are");
    }
}
