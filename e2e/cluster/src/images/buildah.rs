//! buildah with a storage of its own: chroot isolation and plain copies need neither daemon nor kernel features.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::ImageSpec;
use crate::command::{LONG, Run};

/// Fixed in buildah for root: where it notes which registry has which layer, of no use to an archive.
const BLOB_CACHE: &str = "/var/lib/containers/cache/blob-info-cache-v1.boltdb";

/// Where buildah keeps its images and its notes about containers.
#[derive(Debug)]
pub(super) struct Buildah {
    root: PathBuf,
    run: PathBuf,
    scratch: PathBuf,
    settings: PathBuf,
    /// True when `BLOB_CACHE` was not there before.
    untouched: bool,
}

impl Buildah {
    /// Settings of its own keep buildah from writing its network's lock among the host's configuration.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn new(cache: &Path) -> Result<Self> {
        let settings = cache.join("containers.conf");
        let text = format!("[network]\nnetwork_config_dir = {:?}\n", cache.join("network"));
        fs::write(&settings, text).with_context(|| format!("failed to write {}", settings.display()))?;
        let [root, run, scratch] = ["storage", "run", "staging"].map(|folder| cache.join(folder));
        let untouched = !Path::new(BLOB_CACHE).exists();
        Ok(Self {
            root,
            run,
            scratch,
            settings,
            untouched,
        })
    }

    /// The folder that [`Buildah::clear`] empties.
    pub(super) fn folder(&self) -> &Path {
        &self.scratch
    }

    fn command(&self) -> Run {
        let storage = ["--storage-driver", "vfs"];
        Run::new("buildah")
            .arg("--root")
            .arg(&self.root)
            .arg("--runroot")
            .arg(&self.run)
            .args(storage)
            .env("TMPDIR", &self.scratch)
            .env("CONTAINERS_CONF", &self.settings)
            .limit(LONG)
    }

    /// True when an image of this name is in the storage.
    pub(super) fn has(&self, image: &str) -> bool {
        fs::create_dir_all(&self.scratch).is_ok()
            && self
                .command()
                .args(["inspect", "--type", "image", image])
                .done()
                .is_ok()
    }

    /// Builds `spec` on `base` and writes the archive, whole or not at all. The image does not stay in the storage.
    pub(super) fn build(&self, spec: &ImageSpec, base: Option<&str>, archive: &Path) -> Result<()> {
        self.clear()?;
        let context = self.scratch.join("context");
        stage(&spec.context, &context)?;
        let image = format!("localhost/{}", spec.name);
        self.commit(&spec.dockerfile, &context, base, &image)?;
        let fresh = self.scratch.join("image.tar");
        let destination = format!("docker-archive:{}:{}", fresh.display(), spec.name);
        let pushed = self
            .command()
            .args(["push", "--quiet", &image, &destination])
            .done();
        self.command().args(["rmi", "--force", &image]).done()?;
        pushed?;
        fs::rename(&fresh, archive).with_context(|| format!("failed to write {}", archive.display()))?;
        self.clear()
    }

    /// Builds into the storage under `image`.
    pub(super) fn commit(
        &self,
        dockerfile: &Path,
        context: &Path,
        base: Option<&str>,
        image: &str,
    ) -> Result<()> {
        let mut build: Vec<OsString> = [
            "build",
            "--isolation",
            "chroot",
            "--layers=false",
            "--pull-never",
            "--timestamp",
            "0",
        ]
        .map(Into::into)
        .to_vec();
        if let Some(base) = base {
            build.extend(["--build-arg".into(), format!("BASE_IMAGE={base}").into()]);
        }
        build.extend([
            "--tag".into(),
            image.into(),
            "--file".into(),
            dockerfile.into(),
            context.into(),
        ]);
        self.command().args(build).done()
    }

    /// An empty folder for one build, whatever an interrupted one left.
    pub(super) fn clear(&self) -> Result<()> {
        let context = || format!("failed to clear {}", self.scratch.display());
        if self.scratch.exists() {
            fs::remove_dir_all(&self.scratch).with_context(context)?;
        }
        fs::create_dir_all(&self.scratch).with_context(context)
    }
}

/// Removes the note about blobs and the folders made for it; a folder with anything else in it stays.
impl Drop for Buildah {
    fn drop(&mut self) {
        if !self.untouched {
            return;
        }
        let _ = fs::remove_file(BLOB_CACHE);
        for folder in Path::new(BLOB_CACHE).ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Copies exactly the files of the context; a link would change under buildah when cargo links a program anew.
fn stage(files: &[(PathBuf, String)], context: &Path) -> Result<()> {
    fs::create_dir_all(context)?;
    for (host, path) in files {
        let target = context.join(path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(host, &target)
            .with_context(|| format!("failed to put {} into the build context", host.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_the_context_are_staged() {
        let folder = std::env::temp_dir().join(format!("heddle-stage-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("secret"), "no").unwrap();
        fs::write(folder.join("binary"), "yes").unwrap();
        let context = folder.join("context");
        stage(&[(folder.join("binary"), "bin/tool".to_owned())], &context).unwrap();
        assert_eq!(fs::read_to_string(context.join("bin/tool")).unwrap(), "yes");
        assert_eq!(fs::read_dir(&context).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
