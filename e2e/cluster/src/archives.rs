//! Debian packages that are unpacked into a folder and not installed: of this machine's Debian, so that no service of
//! theirs starts, or of another release, which would not go together with what is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command::{LONG, Run};
use crate::debian::watch;
use crate::progress::{Progress, Step};

/// Where an amd64 Debian has libraries, in the folder that packages were unpacked into.
pub const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// How long apt waits for another apt on this machine.
const LOCK_WAIT: Duration = Duration::from_secs(120);

/// Packages of one release, to be downloaded.
#[derive(Debug)]
pub struct Archives {
    folder: TempDir,
    /// Of another release than this machine's own, which needs sources and state of its own.
    is_foreign: bool,
}

impl Archives {
    /// Of the Debian that this machine runs, as its own sources have it.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn of_this_machine() -> Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        Ok(Self {
            folder,
            is_foreign: false,
        })
    }

    /// Of the release called `suite`, from the mirror that this machine has its own Debian from. apt checks signatures as
    /// always, and reads and writes nothing of the machine's own state.
    ///
    /// # Errors
    /// When this is not Debian.
    pub fn of_release(suite: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        let path = folder.path();
        fs::create_dir_all(path.join("state/lists/partial"))?;
        fs::create_dir_all(path.join("cache/archives/partial"))?;
        fs::write(path.join("status"), "")?;
        fs::write(
            path.join("sources.list"),
            format!("deb {} {suite} main\n", mirror()?),
        )?;
        Ok(Self {
            folder,
            is_foreign: true,
        })
    }

    /// Downloads these, each a name with or without `=version`; the paths are good as long as `self` is.
    ///
    /// # Errors
    /// When apt cannot; what it said is in the error.
    pub fn download(&self, progress: &Progress, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let mut step = progress.step("Downloading Debian packages");
        // A fresh machine has no package lists and an old one has stale ones: both show as a failed download.
        if self.is_foreign || watch(&mut step, self.apt("download").args(packages)).is_err() {
            self.refresh(&mut step)?;
            watch(&mut step, self.apt("download").args(packages))?;
        }
        step.done(&format!("Downloaded {}", packages.join(", ")));
        let mut archives = Vec::new();
        for entry in fs::read_dir(self.folder.path())? {
            archives.push(entry?.path());
        }
        archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        archives.sort();
        Ok(archives)
    }

    fn refresh(&self, step: &mut Step<'_>) -> Result<()> {
        watch(step, self.apt("update")).context("failed to refresh the package lists")
    }

    fn apt(&self, verb: &str) -> Run {
        let apt = Run::new("apt-get")
            .current_dir(self.folder.path())
            .args(["--quiet", "--option"])
            .arg(format!("DPkg::Lock::Timeout={}", LOCK_WAIT.as_secs()))
            // The unprivileged user of downloads cannot reach folders that are ours alone.
            .args(["--option", "APT::Sandbox::User=root"])
            .limit(LONG);
        let apt = if self.is_foreign { self.apart(apt) } else { apt };
        apt.arg(verb)
    }

    fn apart(&self, apt: Run) -> Run {
        let places = [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State", "state"),
            ("Dir::State::Status", "status"),
            ("Dir::Cache", "cache"),
        ];
        let options =
            places.map(|(option, place)| format!("{option}={}", self.folder.path().join(place).display()));
        let apt = options
            .into_iter()
            .fold(apt, |apt, option| apt.arg("--option").arg(option));
        apt.args(["--option", "Dir::Etc::SourceParts=/dev/null"])
            .args(["--option", "Acquire::Languages=none"])
    }
}

/// Unpacks these into `folder`, as if that were the root.
///
/// # Errors
/// When one of them is no package, or the folder cannot be written.
pub fn unpack(archives: &[PathBuf], folder: &Path) -> Result<()> {
    archives.iter().try_for_each(|archive| {
        Run::new("dpkg")
            .arg("--extract")
            .arg(archive)
            .arg(folder)
            .limit(LONG)
            .done()
    })
}

/// Where this machine gets its own Debian from.
fn mirror() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("failed to read what system this is")?;
    // Without `--no-release-info` it tells nothing before the first update.
    let targets = Run::new("apt-get")
        .args(["indextargets", "--no-release-info", "--format"])
        .args(["$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
        .output()?;
    own_archive(&release, &targets)
        .context("this machine has no Debian mirror to take packages of another release from")
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
