//! Every read: what the caches have of a namespace, the Secrets and descriptor sets that its routes name, and how far its
//! sidecars are.

mod descriptors;
mod exclusion;
mod secrets;

use super::WsRouteContext;
use super::takeover::Awaiting;
use super::validate::{ValidatedRoute, validate};
use super::world::{Snapshot, StoredPod, StoredRoute};
use crate::conditions;
use crate::config_stream::{Descriptors, ObservedSidecar, PodId};
use crate::descriptors::FetchError;
use heddle_crds::ws_route::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) use descriptors::DescriptorsCache;
pub(crate) use exclusion::{Exclusion, ExclusionsCache};
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
    #[error("failed to read MutatingWebhookConfiguration {name}")]
    WebhookConfiguration {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to read Namespace {name}")]
    Namespace {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    Descriptors(#[from] FetchError),
}

/// Whether a pod has a sidecar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Injection {
    Done,
    /// It has none, and gets one when it is made anew.
    Missing,
    /// It has none, and gets none: the webhook is not asked about it.
    Excluded,
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
    pub(crate) injection: Injection,
    pub(crate) sidecar: ObservedSidecar,
}

impl ObservedPod {
    pub(crate) fn has_sidecar(&self) -> bool {
        self.injection == Injection::Done
    }
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
    /// Whether sidecars that served under another leader may be about to connect.
    pub(crate) awaiting: Option<Awaiting>,
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
                Err(unreadable) => Err(format!(
                    "the stored object cannot be read: {}; write it again with `kubectl apply`",
                    unreadable.error
                )),
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
    let (cache, client) = (&context.descriptors, &context.client);
    let descriptors = descriptors::read(cache, client, namespace, &idl_repos, &snapshot.indexes).await?;
    let lacking = |pod: &Arc<StoredPod>| !pod.has_sidecar && valid().any(|spec| spec.selects(&pod.labels));
    let exclusion = match snapshot.pods.values().any(lacking) {
        true => exclusion(context, namespace).await,
        false => Exclusion::default(),
    };
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
            injection: match pod.has_sidecar {
                true => Injection::Done,
                false if exclusion.covers(&pod.labels) => Injection::Excluded,
                false => Injection::Missing,
            },
            sidecar: sidecars.remove(&id).unwrap_or_default(),
            id,
        }
    });
    Ok(Observed {
        pods: pods.collect(),
        routes,
        secrets,
        descriptors,
        awaiting: context.takeover.awaiting(),
        trust_bundle: context.trust_bundle.borrow().clone(),
    })
}

/// What cannot be found out about is taken for not left out: all that depends on it is what people are advised to do.
async fn exclusion(context: &WsRouteContext, namespace: &str) -> Exclusion {
    let Some(configuration) = &context.webhook_configuration else {
        return Exclusion::default();
    };
    let read = context.exclusions.read(&context.client, configuration, namespace);
    read.await.unwrap_or_else(|error| {
        tracing::debug!(namespace, error = %heddle_telemetry::ErrorChain(&error), "not known whom the webhook leaves out");
        Exclusion::default()
    })
}
