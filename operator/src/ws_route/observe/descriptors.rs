//! What the IdlRepos that routes name have published, ready to be sent to every sidecar that connects.

use super::Problem;
use crate::config_stream::Descriptors;
use crate::descriptors::{self, FetchError, Published, StoredIndex};
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
        let make = async |published| Arc::new(ready(idl_repo, published));
        let published = cache.read(client, namespace, idl_repo, index, make).await?;
        let published = published.map_err(|unavailable| {
            unavailable.problem(Reason::IdlRepoNotFound, Reason::DescriptorsUnavailable)
        });
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
