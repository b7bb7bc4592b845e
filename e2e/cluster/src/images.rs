//! Images: built from the product's own Dockerfiles without a daemon, kept as archives, loaded where they run.

mod base;
mod buildah;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

pub use base::Base;

use crate::cluster::Cluster;
use crate::command::{LONG, Run};
use crate::debian;
use crate::layout::{cache_root, checkout};
use crate::progress::Progress;
use crate::tools::{Lock, Tool, Tools};
use buildah::Buildah;

/// An image to build.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// Name and tag as pods write it, such as `heddle-operator:dev`.
    pub name: String,
    /// Path of the Dockerfile on the host. It is given `BASE_IMAGE` unless the base is [`Base::Scratch`].
    pub dockerfile: PathBuf,
    /// Files of the context: where each is on the host, and its path in the context. Nothing else is sent.
    pub context: Vec<(PathBuf, String)>,
    /// What `BASE_IMAGE` stands for.
    pub base: Base,
}

/// A built image in the cache, in the format of `docker save`.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Name and tag of the image.
    pub name: String,
    /// The archive.
    pub path: PathBuf,
    /// Digest of everything the image was built from.
    pub digest: String,
}

impl ImageSpec {
    /// Digest of name, base, Dockerfile and context, by content.
    fn digest(&self) -> Result<String> {
        let files: Vec<&Path> = std::iter::once(self.dockerfile.as_path())
            .chain(self.context.iter().map(|(host, _)| host.as_path()))
            .collect();
        let mut digest = Sha256::new();
        digest.update(format!("{}\0{}\0", self.name, self.base.tag()));
        for (path, sum) in std::iter::once("Dockerfile")
            .chain(self.context.iter().map(|(_, p)| p.as_str()))
            .zip(sums(&files)?)
        {
            digest.update(format!("{path}\0{sum}\0"));
        }
        Ok(format!("{:x}", digest.finalize()))
    }

    /// The name as one component of a path.
    fn file_stem(&self) -> String {
        file_stem(&self.name)
    }
}

pub(crate) fn file_stem(image: &str) -> String {
    image
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// Checksums by coreutils, which hash a debug build's hundreds of megabytes at the speed of the disk.
fn sums(files: &[&Path]) -> Result<Vec<String>> {
    let output = Run::new("sha256sum").arg("--").args(files).limit(LONG).output()?;
    let sums = parse_sums(&output);
    ensure!(
        sums.len() == files.len(),
        "failed to take the checksum of {} files: {output}",
        files.len()
    );
    Ok(sums)
}

/// A line starts with a backslash when the file's name needed quoting.
fn parse_sums(output: &str) -> Vec<String> {
    let sum = |line: &str| {
        line.trim_start_matches('\\')
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    output.lines().map(sum).collect()
}

/// Builds each image unless an archive of the same content is in the cache.
///
/// # Errors
/// When a file of a context is missing or buildah fails; the text repeats what it said.
pub fn build(progress: &Progress, specs: &[ImageSpec]) -> Result<Vec<Archive>> {
    let cache = cache_root()?.join("images");
    let _lock = Lock::acquire(progress, &cache.join("lock"), "another run is building images")?;
    specs
        .iter()
        .map(|spec| {
            build_one(progress, &cache, spec).with_context(|| format!("failed to build image {}", spec.name))
        })
        .collect()
}

fn build_one(progress: &Progress, cache: &Path, spec: &ImageSpec) -> Result<Archive> {
    let digest = spec.digest()?;
    let archives = cache.join("archives");
    fs::create_dir_all(&archives)?;
    let path = archives.join(format!("{}.tar", spec.file_stem()));
    let note = archives.join(format!("{}.digest", spec.file_stem()));
    let archive = Archive {
        name: spec.name.clone(),
        path,
        digest,
    };
    if archive.path.is_file() && fs::read_to_string(&note).is_ok_and(|noted| noted == archive.digest) {
        return Ok(archive);
    }
    debian::ensure_images(progress)?;
    let buildah = Buildah::new(cache)?;
    let base = base::ensure(progress, &buildah, cache, spec.base)?;
    let step = progress.step(&format!("Building image {}", spec.name));
    buildah.build(spec, base.as_deref(), &archive.path)?;
    fs::write(&note, &archive.digest)?;
    step.done(&format!("Built image {}", spec.name));
    Ok(archive)
}

/// Builds the images and loads those that the cluster does not have yet. A cluster that somebody else made has to
/// be able to pull them; that is said, and nothing is built.
///
/// # Errors
/// As [`build`], and when the cluster refuses an image.
pub fn build_and_load(cluster: &Cluster, progress: &Progress, specs: &[ImageSpec]) -> Result<()> {
    if !cluster.takes_archives() {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        progress.say(&format!(
            "This cluster is yours: its nodes must be able to pull {}",
            names.join(", ")
        ));
        return Ok(());
    }
    for archive in build(progress, specs)? {
        cluster.load(progress, &archive)?;
    }
    Ok(())
}

/// The images that the cluster itself runs.
///
/// # Errors
/// As [`build`].
pub(crate) fn system_images(progress: &Progress, tools: &Tools) -> Result<Vec<Archive>> {
    let spec = |tool: Tool, folder: &str, name: &str| ImageSpec {
        name: name.to_owned(),
        dockerfile: checkout()
            .join("e2e/cluster/images")
            .join(folder)
            .join("Dockerfile"),
        context: vec![(tools.path(tool), tool.name().to_owned())],
        base: Base::Scratch,
    };
    let specs = [
        spec(Tool::Pause, "pause", "heddle-pause:e2e"),
        spec(Tool::CoreDns, "coredns", "heddle-coredns:e2e"),
    ];
    build(progress, &specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_whatever_the_name() {
        assert_eq!(parse_sums("abc  one\n\\def  two\\nlines\n"), ["abc", "def"]);
    }

    #[test]
    fn a_name_becomes_one_component_of_a_path() {
        assert_eq!(
            file_stem("registry.example/team/heddle-operator:dev"),
            "registry.example_team_heddle-operator_dev"
        );
    }

    #[test]
    fn the_digest_follows_the_content() {
        let folder = std::env::temp_dir().join(format!("heddle-image-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (dockerfile, binary) = (folder.join("Dockerfile"), folder.join("binary"));
        fs::write(&dockerfile, "FROM scratch").unwrap();
        fs::write(&binary, "one").unwrap();
        let context = vec![(binary.clone(), "binary".to_owned())];
        let spec = ImageSpec {
            name: "x:dev".to_owned(),
            dockerfile,
            context,
            base: Base::Scratch,
        };
        let first = spec.digest().unwrap();
        assert_eq!(first, spec.digest().unwrap());
        fs::write(&binary, "two").unwrap();
        assert_ne!(first, spec.digest().unwrap());
        fs::remove_dir_all(&folder).unwrap();
    }
}
