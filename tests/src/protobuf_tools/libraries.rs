//! The libraries of a newer Debian than the machine's own, unpacked beside it: the runner is linked against them.

use super::cache::{cached, run};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first Debian whose C library the runner starts with.
const SUITE: &str = "trixie";
const PACKAGES: [&str; 3] = ["libc6", "libgcc-s1", "libstdc++6"];
/// Where these packages have libraries and loader.
const FOLDER: &str = "usr/lib/x86_64-linux-gnu";

/// The folder of the libraries, with the loader among them.
pub(super) fn ensure() -> Result<PathBuf> {
    let root = cached(&format!("libraries-{SUITE}"), fetch)?;
    Ok(root.join(FOLDER))
}

/// apt checks signatures as always, but reads and writes nothing of the machine's own state.
fn fetch(folder: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let apt = Apt::new(scratch.path())?;
    run(&mut apt.command("update"))?;
    run(apt.command("download").args(PACKAGES))?;
    for entry in fs::read_dir(scratch.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("--extract").arg(&path).arg(folder))?;
        }
    }
    Ok(())
}

/// An apt with one source and folders of its own.
struct Apt<'a> {
    folder: &'a Path,
}

impl<'a> Apt<'a> {
    fn new(folder: &'a Path) -> Result<Self> {
        fs::create_dir_all(folder.join("state/lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        fs::write(folder.join("status"), "")?;
        fs::write(
            folder.join("sources.list"),
            format!("deb {} {SUITE} main\n", mirror()?),
        )?;
        Ok(Self { folder })
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new("apt-get");
        command.current_dir(self.folder).arg("--quiet");
        let places = [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State", "state"),
            ("Dir::State::Status", "status"),
            ("Dir::Cache", "cache"),
        ];
        for (option, place) in places {
            let value = format!("{option}={}", self.folder.join(place).display());
            command.arg("--option").arg(value);
        }
        // The unprivileged user of downloads cannot reach folders that are ours alone.
        for option in [
            "Dir::Etc::SourceParts=/dev/null",
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
        ] {
            command.args(["--option", option]);
        }
        command.arg(verb);
        command
    }
}

/// Where this machine gets its own Debian from.
fn mirror() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("failed to read what system this is")?;
    let mut command = Command::new("apt-get");
    // Without `--no-release-info` it tells nothing before the first update.
    command.args([
        "indextargets",
        "--no-release-info",
        "--format",
        "$(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]);
    let targets = run(&mut command)?;
    own_archive(&release, &targets)
        .context("the runner needs a newer C library, and this machine has no Debian mirror to take it from")
}

fn own_archive(release: &str, targets: &str) -> Option<String> {
    let value = |key: &str| {
        let mut lines = release.lines();
        lines.find_map(|line| Some(line.strip_prefix(key)?.trim_matches('"')))
    };
    let codename = value("VERSION_CODENAME=").filter(|_| value("ID=") == Some("debian"))?;
    targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (mirror, suite, component) = (words.next()?, words.next()?, words.next()?);
        (suite == codename && component == "main").then(|| mirror.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";
    const TARGETS: &str = "http://mirror/security/ bookworm-security main\n\
        http://elsewhere/ sdk-bookworm main\n\
        http://mirror/debian/ bookworm contrib\n\
        http://mirror/debian/ bookworm main\n";

    #[test]
    fn the_mirror_is_the_one_of_the_machines_own_suite() {
        let found = own_archive(DEBIAN, TARGETS);
        assert_eq!(found.as_deref(), Some("http://mirror/debian/"));
    }

    #[test]
    fn other_systems_have_no_debian_mirror() {
        let ubuntu = "ID=ubuntu\nVERSION_CODENAME=bookworm\n";
        assert_eq!(own_archive(ubuntu, TARGETS), None);
        assert_eq!(own_archive(DEBIAN, ""), None);
    }
}
