//! What local images stand on: a few Debian packages, unpacked once. Released images stand on distroless instead.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Buildah;
use crate::command::{Event, LONG, Run};
use crate::progress::Progress;

/// Used where the host does not say which Debian it is.
const DEFAULT_SUITE: &str = "bookworm";
/// What a dynamically linked program with TLS and time zones needs.
const MINIMAL: [&str; 6] = [
    "base-files",
    "ca-certificates",
    "libc6",
    "libgcc-s1",
    "netbase",
    "tzdata",
];
/// What the Git server of the tests needs besides.
const GIT: [&str; 2] = ["dash", "git"];
/// What packages' scripts would do, which do not run: the bundle of authorities, and the two users distroless has.
const FINISH: &str = r#"set -eu
mkdir -p "$1/etc/ssl/certs" "$1/tmp" "$1/home/nonroot"
chmod 1777 "$1/tmp"
cat "$1"/usr/share/ca-certificates/mozilla/*.crt > "$1/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' > "$1/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' > "$1/etc/group"
chown 65532:65532 "$1/home/nonroot""#;

/// What an image stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nothing: for static programs.
    Scratch,
    /// libc, certificates, time zones.
    Minimal,
    /// `Minimal` with Git and a shell, for the Git server of the tests.
    WithGit,
}

impl Base {
    fn packages(self) -> Vec<&'static str> {
        match self {
            Self::Scratch => Vec::new(),
            Self::Minimal => MINIMAL.to_vec(),
            Self::WithGit => MINIMAL.iter().chain(&GIT).copied().collect(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Minimal => "minimal",
            Self::WithGit => "with-git",
        }
    }

    /// Tells apart bases made by different recipes; the scripts and the hook they run in are part of one.
    pub(super) fn tag(self) -> String {
        if self == Self::Scratch {
            return self.name().to_owned();
        }
        let recipe = [&suite(), FINISH, &self.packages().join(",")].join("\n");
        let digest = Sha256::digest(recipe);
        let short: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{short}", self.name())
    }
}

/// The host's own Debian, since programs built here link against its libc.
fn suite() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    codename(&release).unwrap_or_else(|| DEFAULT_SUITE.to_owned())
}

fn codename(release: &str) -> Option<String> {
    let value = |key: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .map(|value| value.trim_matches('"'))
    };
    (value("ID=") == Some("debian")).then(|| value("VERSION_CODENAME=").map(str::to_owned))?
}

/// The image to build on, made when it is not in the storage; nothing for [`Base::Scratch`].
pub(super) fn ensure(
    progress: &Progress,
    buildah: &Buildah,
    cache: &Path,
    base: Base,
) -> Result<Option<String>> {
    if base == Base::Scratch {
        return Ok(None);
    }
    let image = format!("localhost/heddle-base:{}", base.tag());
    if !buildah.has(&image) {
        let tar = ensure_tar(progress, cache, base)?;
        import(buildah, &tar, &image).context("failed to make the base image")?;
    }
    Ok(Some(image))
}

fn ensure_tar(progress: &Progress, cache: &Path, base: Base) -> Result<PathBuf> {
    let tar = cache.join(format!("base-{}.tar", base.tag()));
    if tar.is_file() {
        return Ok(tar);
    }
    let fresh = cache.join(format!("building-{}.tar", std::process::id()));
    let mut step = progress.step(&format!(
        "Making base image {} ({})",
        base.name(),
        base.packages().join(", ")
    ));
    bootstrap(base, &fresh).watched(|event| match event {
        Event::Error(line) => step.note(line),
        Event::Out(_) | Event::Tick => step.tick(),
    })?;
    fs::rename(&fresh, &tar).with_context(|| format!("failed to write {}", tar.display()))?;
    step.done(&format!("Made base image {}", base.name()));
    Ok(tar)
}

/// `extract` unpacks without running any script, of packages or of the customize stage, hence the other hook. The host's own sources are used, with their mirrors.
fn bootstrap(base: Base, tar: &Path) -> Run {
    let include = format!("--include={}", base.packages().join(","));
    let finish = format!("--extract-hook={FINISH}");
    let run = Run::new("mmdebstrap").args(["--variant=extract", "--skip=output/dev", &include, &finish]);
    run.arg(suite()).arg(tar).args(sources()).limit(LONG)
}

fn sources() -> Option<PathBuf> {
    let candidates = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"].map(PathBuf::from);
    candidates
        .into_iter()
        .find(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0))
}

fn import(buildah: &Buildah, tar: &Path, image: &str) -> Result<()> {
    buildah.clear()?;
    let context = buildah.folder();
    fs::hard_link(tar, context.join("base.tar"))
        .or_else(|_| fs::copy(tar, context.join("base.tar")).map(drop))?;
    fs::write(context.join("Dockerfile"), "FROM scratch\nADD base.tar /\n")?;
    buildah.commit(&context.join("Dockerfile"), context, None, image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_the_hosts_own_debian() {
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=trixie\n").as_deref(),
            Some("trixie")
        );
        assert_eq!(codename("ID=ubuntu\nVERSION_CODENAME=noble\n"), None);
        assert_eq!(codename(""), None);
    }

    #[test]
    fn each_base_has_a_tag_of_its_own() {
        assert_ne!(Base::Minimal.tag(), Base::WithGit.tag());
        assert!(Base::WithGit.packages().contains(&"git"));
    }
}
