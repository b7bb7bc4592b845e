//! Reads published descriptor sets, and keeps those that routes go by: they are sent to every sidecar that connects.

use super::{ObserveError, Problem};
use crate::config_stream::Descriptors;
use crate::ws_route::world::StoredIndex;
use heddle_crds::IdlRepo;
use heddle_crds::publication::{CHUNK_KEY, INDEX_KEY, Index, ReadError, SET_KEY, index_name};
use heddle_crds::ws_route::Reason;
use heddle_route_config::protocol::DescriptorsReference;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a set is read again that was replaced while it was read.
const TRIES: usize = 3;

type Kept = BTreeMap<(String, String), Arc<Descriptors>>;

/// The sets that routes go by, by namespace and IdlRepo.
#[derive(Debug, Default)]
pub(crate) struct DescriptorsCache(Mutex<Kept>);

impl DescriptorsCache {
    /// What each IdlRepo has published.
    pub(super) async fn read(
        &self,
        client: &Client,
        namespace: &str,
        idl_repos: &BTreeSet<&str>,
        indexes: &BTreeMap<String, StoredIndex>,
    ) -> Result<BTreeMap<String, Result<Arc<Descriptors>, Problem>>, ObserveError> {
        self.kept()
            .retain(|(of, name), _| of != namespace || idl_repos.contains(name.as_str()));
        let mut found = BTreeMap::new();
        for idl_repo in idl_repos {
            let published = match indexes.get(&index_name(idl_repo)) {
                Some(index) => self.set(client, namespace, idl_repo, &index.digest).await?,
                None => Err(unpublished(client, namespace, idl_repo).await?),
            };
            found.insert((*idl_repo).to_owned(), published);
        }
        Ok(found)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn set(
        &self,
        client: &Client,
        namespace: &str,
        idl_repo: &str,
        digest: &str,
    ) -> Result<Result<Arc<Descriptors>, Problem>, ObserveError> {
        let place = (namespace.to_owned(), idl_repo.to_owned());
        if let Some(kept) = self.kept().get(&place)
            && kept.reference.digest == digest
        {
            return Ok(Ok(Arc::clone(kept)));
        }
        let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        let mut problem = None;
        for _ in 0..TRIES {
            match fetch(&api, idl_repo).await? {
                Ok(descriptors) => {
                    let descriptors = Arc::new(descriptors);
                    self.kept().insert(place, Arc::clone(&descriptors));
                    return Ok(Ok(descriptors));
                }
                Err(error) => problem = Some(error),
            }
        }
        Ok(Err(Problem {
            reason: Reason::DescriptorsUnavailable,
            message: format!(
                "What IdlRepo {idl_repo} published cannot be read: {}",
                problem.map(|problem| problem.to_string()).unwrap_or_default()
            ),
        }))
    }
}

/// Why nothing is published.
async fn unpublished(client: &Client, namespace: &str, idl_repo: &str) -> Result<Problem, ObserveError> {
    let api = Api::<IdlRepo>::namespaced(client.clone(), namespace);
    let found = api.get_metadata_opt(idl_repo).await;
    let found = found.map_err(|source| ObserveError::IdlRepo {
        name: idl_repo.to_owned(),
        source,
    })?;
    Ok(match found {
        Some(_) => Problem {
            reason: Reason::DescriptorsUnavailable,
            message: format!(
                "IdlRepo {idl_repo} has not published its descriptor set yet; see its condition Published."
            ),
        },
        None => Problem {
            reason: Reason::IdlRepoNotFound,
            message: format!(
                "IdlRepo {idl_repo}, which spec.transcoding.idlRepoRef names, does not exist in this namespace."
            ),
        },
    })
}

/// A set as it is published, compressed. Its parts are checked; the whole is checked by who uncompresses it.
async fn fetch(api: &Api<ConfigMap>, idl_repo: &str) -> Result<Result<Descriptors, ReadError>, ObserveError> {
    let name = index_name(idl_repo);
    let config_map = get(api, &name).await?;
    let text = config_map.data.as_ref().and_then(|data| data.get(INDEX_KEY));
    let index = match Index::parse(text.map_or("", String::as_str)) {
        Ok(index) => index,
        Err(error) => return Ok(Err(error)),
    };
    let mut compressed = match index.chunks.is_empty() {
        true => match bytes(&config_map, SET_KEY) {
            Some(bytes) => bytes.to_vec(),
            None => return Ok(Err(ReadError::MatchChunk(name))),
        },
        false => Vec::new(),
    };
    for chunk in &index.chunks {
        let slot = get(api, &chunk.config_map).await?;
        let bytes = bytes(&slot, CHUNK_KEY).unwrap_or_default();
        if let Err(error) = chunk.check(bytes) {
            return Ok(Err(error));
        }
        compressed.extend_from_slice(bytes);
    }
    let reference = DescriptorsReference {
        idl_repo: idl_repo.to_owned(),
        digest: index.digest,
    };
    Ok(Ok(Descriptors::new(
        reference,
        index.source_commit,
        index.bytes,
        &compressed,
    )))
}

fn bytes<'a>(config_map: &'a ConfigMap, key: &str) -> Option<&'a [u8]> {
    let data = config_map.binary_data.as_ref()?;
    data.get(key).map(|bytes| bytes.0.as_slice())
}

/// One that is gone is as good as an empty one: its publication is being replaced.
async fn get(api: &Api<ConfigMap>, name: &str) -> Result<ConfigMap, ObserveError> {
    let found = api.get_opt(name).await;
    let found = found.map_err(|source| ObserveError::ConfigMap {
        name: name.to_owned(),
        source,
    })?;
    Ok(found.unwrap_or_default())
}
