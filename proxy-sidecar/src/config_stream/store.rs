//! What is served, on disk: one file for routes, one for each descriptor set. Files are replaced as a whole, and the
//! routes last, so that what they name is there. Sets are compressed: as many fit the folder as the operator can send.

use crate::config::DescriptorSets;
use heddle_crds::publication::{SET_BYTES_LIMIT, digest, uncompress};
use heddle_route_config::protocol::{Configuration, SentRoute};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROUTES: &str = "configuration.json";
const DESCRIPTORS: &str = "descriptors";
const SUFFIX: &str = ".binpb.zst";
/// Of zstd: its default.
const COMPRESSION_LEVEL: i32 = 3;
const TEMPORARY: &str = ".new";

/// Why what is served cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("failed to make {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to understand {}", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// What is kept of routes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    /// What arrived last.
    pub(super) configuration: Configuration,
    /// The routes as they were served last.
    pub(super) served: Vec<Served>,
}

/// A route as it was served.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Served {
    #[serde(flatten)]
    pub(super) route: SentRoute,
    /// The digest of the descriptor set that it went by, if it transcodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) descriptors: Option<String>,
}

impl Kept {
    /// What was served of the same object.
    pub(super) fn former(&self, sent: &SentRoute) -> Option<&Served> {
        let is_same =
            |former: &&Served| former.route.name() == sent.name() && former.route.uid() == sent.uid();
        self.served.iter().find(is_same)
    }
}

/// Whether `served` or the configuration goes by a set: then it stays, and the operator counts on that.
pub(super) fn needs(configuration: &Configuration, served: &[Served], digest: &str) -> bool {
    let named = configuration
        .descriptors
        .iter()
        .map(|reference| reference.digest.as_str());
    let used = served.iter().filter_map(|served| served.descriptors.as_deref());
    named.chain(used).any(|needed| needed == digest)
}

/// The file of a set has the name of its digest.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(DESCRIPTORS);
        fs::create_dir_all(&path).map_err(|source| StoreError::Create { path, source })?;
        Ok(Self(folder.to_owned()))
    }

    /// What is kept; nothing in a new pod. A set whose file is damaged is left out, and its routes say so.
    pub(super) fn read(&self) -> Result<Option<(Kept, DescriptorSets)>, StoreError> {
        let path = self.0.join(ROUTES);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path, source }),
            Ok(bytes) => bytes,
        };
        let kept = serde_json::from_slice(&bytes).map_err(|source| StoreError::Parse { path, source })?;
        let mut sets = DescriptorSets::new();
        for path in self.files() {
            let Ok(bytes) = read_set(&path) else { continue };
            let digest = digest(&bytes);
            if self.set(&digest) == path {
                sets.insert(digest, Arc::from(bytes));
            }
        }
        Ok(Some((kept, sets)))
    }

    pub(super) fn write(&self, kept: &Kept, sets: &DescriptorSets) -> Result<(), StoreError> {
        for (digest, set) in sets {
            let path = self.set(digest);
            let is_same = read_set(&path).is_ok_and(|old| old == **set);
            if !is_same {
                let compressed =
                    zstd::bulk::compress(set, COMPRESSION_LEVEL).map_err(|source| StoreError::Write {
                        path: path.clone(),
                        source,
                    })?;
                replace(&path, &compressed)?;
            }
        }
        let path = self.0.join(ROUTES);
        let bytes = serde_json::to_vec(kept).map_err(|source| StoreError::Parse {
            path: path.clone(),
            source,
        })?;
        replace(&path, &bytes)?;
        self.remove_others(sets);
        Ok(())
    }

    /// A digest is `sha256:` and hexadecimal digits; what arrives was compared with its digest.
    fn set(&self, digest: &str) -> PathBuf {
        let name = digest.replace(':', "-");
        self.0.join(DESCRIPTORS).join(format!("{name}{SUFFIX}"))
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join(DESCRIPTORS)).into_iter().flatten();
        entries.flatten().map(|entry| entry.path()).collect()
    }

    /// What stays by mistake costs space and nothing else.
    fn remove_others(&self, sets: &DescriptorSets) {
        let wanted: BTreeSet<_> = sets.keys().map(|digest| self.set(digest)).collect();
        for path in self.files() {
            if !wanted.contains(&path) {
                fs::remove_file(path).ok();
            }
        }
    }
}

/// No more than is ever published.
fn read_set(path: &Path) -> io::Result<Vec<u8>> {
    uncompress(File::open(path)?, SET_BYTES_LIMIT).map_err(io::Error::other)
}

/// Whoever reads sees the old content or the new one, also after the power went.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| StoreError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_route_config::protocol::DescriptorsReference;

    fn kept(set: &[u8]) -> Kept {
        let reference = DescriptorsReference {
            idl_repo: "idl".into(),
            digest: digest(set),
        };
        Kept {
            configuration: Configuration::new(Vec::new(), vec![reference], "PEM".into(), None),
            served: Vec::new(),
        }
    }

    /// The folder has 256 MiB, which is what one set may have before it is compressed.
    #[test]
    fn a_set_takes_no_more_room_than_it_does_on_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let set: Vec<u8> = (0..4 << 20).map(|number| (number % 251) as u8).collect();
        let sets = DescriptorSets::from([(digest(&set), Arc::from(set.as_slice()))]);
        store.write(&kept(&set), &sets).unwrap();
        let size = fs::metadata(store.set(&digest(&set))).unwrap().len();
        assert!(size < 1 << 20, "{size}");
        assert_eq!(store.read().unwrap().unwrap().1, sets);
    }

    #[test]
    fn what_was_written_is_read_and_a_damaged_set_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.read().unwrap(), None);
        let sets = |set: &[u8]| DescriptorSets::from([(digest(set), Arc::from(set))]);
        let (first, second) = (kept(b"one"), kept(b"two"));
        store.write(&first, &sets(b"one")).unwrap();
        assert_eq!(store.read().unwrap().unwrap(), (first, sets(b"one")));
        store.write(&second, &sets(b"two")).unwrap();
        assert_eq!(store.read().unwrap().unwrap(), (second.clone(), sets(b"two")));

        fs::write(store.set(&digest(b"two")), b"torn").unwrap();
        let (read, left) = store.read().unwrap().unwrap();
        assert_eq!((read, left), (second.clone(), DescriptorSets::new()));

        store.write(&second, &DescriptorSets::new()).unwrap();
        assert_eq!(store.files(), Vec::<PathBuf>::new());
        fs::write(folder.path().join(ROUTES), b"{").unwrap();
        assert!(matches!(store.read(), Err(StoreError::Parse { .. })));
    }
}
