//! The descriptor sets that IdlRepos have published: what watches say of each, and the sets themselves, read when they are
//! needed and kept as long as they are what is published.

use crate::cache::Remembered;
use crate::conditions::Problem;
use heddle_crds::publication::{CHUNK_KEY, INDEX_KEY, Index, ReadError, SET_KEY, index_name};
use heddle_crds::{IdlRepo, metadata};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often a set is read again that was replaced while it was read.
const TRIES: usize = 3;

/// The value of `app.kubernetes.io/component` on published descriptor sets.
pub(crate) const COMPONENT: &str = "descriptors";

/// The labels of the ConfigMaps that sets are published in.
pub(crate) fn labels() -> String {
    format!("{}={COMPONENT}", metadata::COMPONENT)
}

/// What the annotations of an index say is published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredIndex {
    pub(crate) digest: String,
}

impl Remembered for StoredIndex {
    fn differs_from(&self, older: &Self) -> bool {
        self != older
    }
}

/// What is remembered of a ConfigMap with these labels: nothing of one that is no index.
pub(crate) fn stored_index(config_map: PartialObjectMeta<ConfigMap>) -> Option<StoredIndex> {
    let digest = config_map.annotations().get(metadata::DESCRIPTORS_DIGEST)?;
    Some(StoredIndex {
        digest: digest.clone(),
    })
}

/// A set as it is published. Its parts are checked; the whole is checked by who uncompresses it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) index: Index,
    pub(crate) compressed: Vec<u8>,
}

/// Why there is no set, as people are told.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("IdlRepo {0}, which spec.transcoding.idlRepoRef names, does not exist in this namespace.")]
    NoIdlRepo(String),
    #[error("IdlRepo {0} has not published its descriptor set yet; see its condition Published.")]
    NotPublished(String),
    #[error("What IdlRepo {idl_repo} published cannot be read: {why}.")]
    Unreadable { idl_repo: String, why: String },
}

impl Unavailable {
    /// As a kind reports it that has a reason for an IdlRepo that is missing, and one for a set that is.
    pub(crate) fn problem<R>(&self, no_idl_repo: R, no_set: R) -> Problem<R> {
        Problem {
            reason: match self {
                Self::NoIdlRepo(_) => no_idl_repo,
                Self::NotPublished(_) | Self::Unreadable { .. } => no_set,
            },
            message: self.to_string(),
        }
    }
}

/// Why it could not be found out what is published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("failed to read IdlRepo {name}")]
    IdlRepo {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to read ConfigMap {name}")]
    ConfigMap {
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// What was made of sets, by namespace and IdlRepo, each with the digest of its set.
#[derive(Debug)]
pub(crate) struct DescriptorsCache<V>(Mutex<Kept<V>>);

type Kept<V> = BTreeMap<(String, String), (String, V)>;

impl<V> Default for DescriptorsCache<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> DescriptorsCache<V> {
    fn kept(&self) -> MutexGuard<'_, Kept<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was made of the set that an IdlRepo has published, or what `make` makes of it now. `index` is what the watch has
    /// seen of it, which may not be all there is.
    pub(crate) async fn read(
        &self,
        client: &Client,
        namespace: &str,
        idl_repo: &str,
        index: Option<&StoredIndex>,
        make: impl AsyncFnOnce(Published) -> V,
    ) -> Result<Result<V, Unavailable>, FetchError> {
        let known = index.and_then(|index| self.known(namespace, idl_repo, &index.digest));
        if let Some(known) = known {
            return Ok(Ok(known));
        }
        Ok(match fetch(client, namespace, idl_repo).await? {
            Ok(published) => {
                let digest = published.index.digest.clone();
                let made = make(published).await;
                self.keep(namespace, idl_repo, digest, made.clone());
                Ok(made)
            }
            Err(unavailable) => Err(unavailable),
        })
    }

    /// What was made of the set with this digest.
    pub(crate) fn known(&self, namespace: &str, idl_repo: &str, digest: &str) -> Option<V> {
        let kept = self.kept();
        let (known, value) = kept.get(&(namespace.to_owned(), idl_repo.to_owned()))?;
        (known == digest).then(|| value.clone())
    }

    /// Keeps what was made of a set instead of what was made of the one before.
    pub(crate) fn keep(&self, namespace: &str, idl_repo: &str, digest: String, value: V) {
        let place = (namespace.to_owned(), idl_repo.to_owned());
        self.kept().insert(place, (digest, value));
    }

    /// Forgets what `is_needed` says nobody needs, by namespace, IdlRepo and what was made of the set.
    pub(crate) fn retain(&self, is_needed: impl Fn(&str, &str, &V) -> bool) {
        self.kept()
            .retain(|(namespace, idl_repo), (_, value)| is_needed(namespace, idl_repo, value));
    }
}

/// Reads what an IdlRepo has published.
async fn fetch(
    client: &Client,
    namespace: &str,
    idl_repo: &str,
) -> Result<Result<Published, Unavailable>, FetchError> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let mut problem = None;
    for _ in 0..TRIES {
        let Some(index) = get(&api, &index_name(idl_repo)).await? else {
            return Ok(Err(unpublished(client, namespace, idl_repo).await?));
        };
        match fetch_set(&api, &index).await? {
            Ok(published) => return Ok(Ok(published)),
            Err(error) => problem = Some(error),
        }
    }
    Ok(Err(Unavailable::Unreadable {
        idl_repo: idl_repo.to_owned(),
        why: problem.map(|problem| problem.to_string()).unwrap_or_default(),
    }))
}

/// Why nothing is published.
async fn unpublished(client: &Client, namespace: &str, idl_repo: &str) -> Result<Unavailable, FetchError> {
    let api = Api::<IdlRepo>::namespaced(client.clone(), namespace);
    let name = idl_repo.to_owned();
    match api.get_metadata_opt(idl_repo).await {
        Ok(Some(_)) => Ok(Unavailable::NotPublished(name)),
        Ok(None) => Ok(Unavailable::NoIdlRepo(name)),
        Err(source) => Err(FetchError::IdlRepo { name, source }),
    }
}

async fn fetch_set(
    api: &Api<ConfigMap>,
    config_map: &ConfigMap,
) -> Result<Result<Published, ReadError>, FetchError> {
    let text = config_map.data.as_ref().and_then(|data| data.get(INDEX_KEY));
    let index = match Index::parse(text.map_or("", String::as_str)) {
        Ok(index) => index,
        Err(error) => return Ok(Err(error)),
    };
    let mut compressed = match index.chunks.is_empty() {
        true => match bytes(config_map, SET_KEY) {
            Some(bytes) => bytes.to_vec(),
            None => return Ok(Err(ReadError::MatchChunk(config_map.name_any()))),
        },
        false => Vec::new(),
    };
    for chunk in &index.chunks {
        // One that is gone is as good as an empty one: the publication is being replaced.
        let slot = get(api, &chunk.config_map).await?.unwrap_or_default();
        let bytes = bytes(&slot, CHUNK_KEY).unwrap_or_default();
        if let Err(error) = chunk.check(bytes) {
            return Ok(Err(error));
        }
        compressed.extend_from_slice(bytes);
    }
    Ok(Ok(Published { index, compressed }))
}

fn bytes<'a>(config_map: &'a ConfigMap, key: &str) -> Option<&'a [u8]> {
    let data = config_map.binary_data.as_ref()?;
    data.get(key).map(|bytes| bytes.0.as_slice())
}

async fn get(api: &Api<ConfigMap>, name: &str) -> Result<Option<ConfigMap>, FetchError> {
    let found = api.get_opt(name).await;
    found.map_err(|source| FetchError::ConfigMap {
        name: name.to_owned(),
        source,
    })
}
