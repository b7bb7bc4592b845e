//! What the IdlRepos that routes name have published, ready to be sent to every sidecar that connects.

use super::Problem;
use crate::config_stream::Descriptors;
use crate::descriptors::{self, FetchError, Published, StoredIndex, Unavailable};
use heddle_crds::publication::index_name;
use heddle_crds::ws_route::Reason;
use heddle_route_config::protocol::DescriptorsReference;
use kube::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The sets that routes go by.
pub(crate) type DescriptorsCache = descriptors::DescriptorsCache<Arc<Descriptors>>;

/// What each IdlRepo has published. What others of the namespace have is forgotten.
pub(super) async fn read(
    cache: &DescriptorsCache,
    client: &Client,
    namespace: &str,
    idl_repos: &BTreeSet<&str>,
    indexes: &BTreeMap<String, StoredIndex>,
) -> Result<BTreeMap<String, Result<Arc<Descriptors>, Problem>>, FetchError> {
    cache.retain(|of, idl_repo, _| of != namespace || idl_repos.contains(idl_repo));
    let mut found = BTreeMap::new();
    for idl_repo in idl_repos {
        let index = indexes.get(&index_name(idl_repo));
        let known = index.and_then(|index| cache.known(namespace, idl_repo, &index.digest));
        let published = match known {
            Some(known) => Ok(known),
            None => match descriptors::fetch(client, namespace, idl_repo).await? {
                Ok(published) => {
                    let descriptors = Arc::new(ready(idl_repo, published));
                    let digest = descriptors.reference.digest.clone();
                    cache.keep(namespace, idl_repo, digest, Arc::clone(&descriptors));
                    Ok(descriptors)
                }
                Err(unavailable) => Err(problem(&unavailable)),
            },
        };
        found.insert((*idl_repo).to_owned(), published);
    }
    Ok(found)
}

fn ready(idl_repo: &str, published: Published) -> Descriptors {
    let Published { index, compressed } = published;
    let reference = DescriptorsReference {
        idl_repo: idl_repo.to_owned(),
        digest: index.digest,
    };
    Descriptors::new(reference, index.source_commit, index.bytes, &compressed)
}

fn problem(unavailable: &Unavailable) -> Problem {
    Problem {
        reason: match unavailable {
            Unavailable::NoIdlRepo(_) => Reason::IdlRepoNotFound,
            Unavailable::NotPublished(_) | Unavailable::Unreadable { .. } => Reason::DescriptorsUnavailable,
        },
        message: unavailable.to_string(),
    }
}
