//! Every read: what the caches have of a namespace, the Secrets and descriptor sets that its routes name, and how far its
//! sidecars are.

mod descriptors;
mod secrets;

use super::WsRouteContext;
use super::validate::{ValidatedRoute, validate};
use super::world::{Snapshot, StoredRoute};
use crate::conditions;
use crate::config_stream::{Descriptors, ObservedSidecar, PodId};
use heddle_crds::ws_route::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) use descriptors::DescriptorsCache;
pub(crate) use secrets::SecretsCache;

/// Something that people have to know of.
pub(crate) type Problem = conditions::Problem<Reason>;

/// Why the world could not be observed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObserveError {
    #[error("failed to read Secret {name}")]
    Secret {
        name: String,
        #[source]
        source: kube::Error,
    },
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

/// A route.
#[derive(Clone, Debug)]
pub(crate) struct ObservedRoute {
    pub(crate) stored: Arc<StoredRoute>,
    /// What it says, or what is wrong with it.
    pub(crate) spec: Result<ValidatedRoute, String>,
}

/// A pod.
#[derive(Clone, Debug)]
pub(crate) struct ObservedPod {
    pub(crate) id: PodId,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ready: bool,
    pub(crate) has_sidecar: bool,
    pub(crate) sidecar: ObservedSidecar,
}

/// A namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// In the order of their names.
    pub(crate) routes: Vec<ObservedRoute>,
    /// In the order of their names.
    pub(crate) pods: Vec<ObservedPod>,
    /// The usable keys of the Secrets that routes name. Those that do not exist are not in it.
    pub(crate) secrets: BTreeMap<String, BTreeSet<&'static str>>,
    /// What the IdlRepos that routes name have published.
    pub(crate) descriptors: BTreeMap<String, Result<Arc<Descriptors>, Problem>>,
    /// The authorities that sidecars trust, in PEM.
    pub(crate) trust_bundle: Arc<str>,
}

/// Reads everything.
pub(crate) async fn observe(
    context: &WsRouteContext,
    namespace: &str,
    snapshot: Snapshot,
) -> Result<Observed, ObserveError> {
    let routes: Vec<_> = snapshot
        .routes
        .into_values()
        .map(|stored| ObservedRoute {
            spec: match &stored.object {
                Ok(object) => {
                    validate(object).map_err(|error| heddle_telemetry::ErrorChain(&error).to_string())
                }
                Err(error) => Err(format!("failed to read the stored object: {error}")),
            },
            stored,
        })
        .collect();
    let valid = || routes.iter().filter_map(|route| route.spec.as_ref().ok());
    let names: BTreeSet<_> = valid().flat_map(|spec| spec.secrets().into_keys()).collect();
    let secrets = context
        .secrets
        .read(&context.client, namespace, &names, &snapshot.secrets)
        .await?;
    let idl_repos: BTreeSet<_> = valid()
        .filter_map(|spec| Some(spec.route.transcoding.as_ref()?.idl_repo.as_str()))
        .collect();
    let descriptors = context
        .descriptors
        .read(&context.client, namespace, &idl_repos, &snapshot.indexes)
        .await?;
    let mut sidecars = context.sidecars.of_namespace(namespace);
    let pods = snapshot.pods.into_iter().map(|(name, pod)| {
        let id = PodId {
            namespace: namespace.to_owned(),
            name,
            uid: pod.uid.clone(),
        };
        ObservedPod {
            labels: pod.labels.clone(),
            ready: pod.ready,
            has_sidecar: pod.has_sidecar,
            sidecar: sidecars.remove(&id).unwrap_or_default(),
            id,
        }
    });
    Ok(Observed {
        pods: pods.collect(),
        routes,
        secrets,
        descriptors,
        trust_bundle: context.trust_bundle.borrow().clone(),
    })
}
