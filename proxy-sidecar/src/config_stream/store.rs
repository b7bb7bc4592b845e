//! What is served, on disk: one file for routes, one for each descriptor set. Files are replaced as a whole, and the
//! routes last, so that what they name is there. Sets are compressed: as many fit the folder as the operator can send.

use heddle_crds::publication::{SET_BYTES_LIMIT, digest};
use heddle_route_config::protocol::{Configuration, SentRoute};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
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
    /// The routes as they are served.
    pub(super) served: Vec<SentRoute>,
}

impl Kept {
    /// What is served of the same object.
    pub(super) fn former(&self, sent: &SentRoute) -> Option<&SentRoute> {
        let is_same = |former: &&SentRoute| former.name() == sent.name() && former.uid() == sent.uid();
        self.served.iter().find(is_same)
    }
}

/// Descriptor sets by IdlRepo.
type Sets = BTreeMap<String, Arc<[u8]>>;

/// The file of a set has the name of its IdlRepo, which is a DNS name.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(DESCRIPTORS);
        fs::create_dir_all(&path).map_err(|source| StoreError::Create { path, source })?;
        Ok(Self(folder.to_owned()))
    }

    /// What is kept; nothing in a new pod. A set whose file is damaged is left out, and its routes say so.
    pub(super) fn read(&self) -> Result<Option<(Kept, Sets)>, StoreError> {
        let path = self.0.join(ROUTES);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path, source }),
            Ok(bytes) => bytes,
        };
        let mut kept: Kept =
            serde_json::from_slice(&bytes).map_err(|source| StoreError::Parse { path, source })?;
        let mut sets = Sets::new();
        for entry in fs::read_dir(self.0.join(DESCRIPTORS))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let (Some(name), Ok(set)) = (name.strip_suffix(SUFFIX), read_set(&entry.path())) {
                sets.insert(name.to_owned(), Arc::from(set));
            }
        }
        kept.configuration.descriptors.retain(|reference| {
            sets.get(&reference.idl_repo)
                .is_some_and(|set| digest(set) == reference.digest)
        });
        Ok(Some((kept, sets)))
    }

    pub(super) fn write(&self, kept: &Kept, sets: &Sets) -> Result<(), StoreError> {
        for (name, set) in sets {
            let path = self.set(name);
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

    fn set(&self, idl_repo: &str) -> PathBuf {
        self.0.join(DESCRIPTORS).join(format!("{idl_repo}{SUFFIX}"))
    }

    /// What stays by mistake costs space and nothing else.
    fn remove_others(&self, sets: &Sets) {
        let wanted: BTreeSet<_> = sets.keys().map(|name| self.set(name)).collect();
        for entry in fs::read_dir(self.0.join(DESCRIPTORS))
            .into_iter()
            .flatten()
            .flatten()
        {
            if !wanted.contains(&entry.path()) {
                fs::remove_file(entry.path()).ok();
            }
        }
    }
}

/// No more than is ever published.
fn read_set(path: &Path) -> io::Result<Vec<u8>> {
    let mut set = Vec::new();
    zstd::Decoder::new(File::open(path)?)?
        .take(SET_BYTES_LIMIT as u64)
        .read_to_end(&mut set)?;
    Ok(set)
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

    fn kept(digest_: String) -> Kept {
        let reference = DescriptorsReference {
            idl_repo: "idl".into(),
            digest: digest_,
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
        let sets = Sets::from([("idl".to_owned(), Arc::from(set.as_slice()))]);
        store.write(&kept(digest(&set)), &sets).unwrap();
        let size = fs::metadata(store.set("idl")).unwrap().len();
        assert!(size < 1 << 20, "{size}");
        assert_eq!(store.read().unwrap().unwrap().1, sets);
    }

    #[test]
    fn what_was_written_is_read_and_a_damaged_set_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.read().unwrap(), None);
        let sets = |set: &[u8]| Sets::from([("idl".to_owned(), Arc::from(set))]);
        let (first, second) = (kept(digest(b"one")), kept(digest(b"two")));
        store.write(&first, &sets(b"one")).unwrap();
        assert_eq!(store.read().unwrap().unwrap(), (first, sets(b"one")));
        store.write(&second, &sets(b"two")).unwrap();
        assert_eq!(store.read().unwrap().unwrap(), (second.clone(), sets(b"two")));

        fs::write(store.set("idl"), b"torn").unwrap();
        let (read, _) = store.read().unwrap().unwrap();
        assert_eq!(read.configuration.descriptors, []);
        assert_eq!(read.configuration.version, second.configuration.version);

        store.write(&second, &Sets::new()).unwrap();
        assert_eq!(store.read().unwrap().unwrap().1, Sets::new());
        fs::write(folder.path().join(ROUTES), b"{").unwrap();
        assert!(matches!(store.read(), Err(StoreError::Parse { .. })));
    }
}
