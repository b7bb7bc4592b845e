//! What is watched, and which IdlRepos a change concerns.

use super::Guarded;
use crate::descriptors::COMPONENT as DESCRIPTORS;
use crate::health::Health;
use crate::idl_repo::job::{COMPONENT, MANAGER, label_value};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use heddle_crds::metadata;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::controller::{ReconcileRequest, trigger_self, trigger_with};
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{PredicateConfig, WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use tokio_util::sync::CancellationToken;

/// A watch broke; it is started again after a pause that grows.
#[derive(Debug, thiserror::Error)]
#[error("failed to watch {kind}")]
pub(crate) struct WatchError {
    /// What was watched.
    pub(crate) kind: &'static str,
    #[source]
    source: watcher::Error,
}

type Trigger = Result<ReconcileRequest<Guarded>, WatchError>;

/// What is cancelled when each watch has seen all there is for the first time.
#[derive(Clone, Debug)]
pub(crate) struct Synced {
    idl_repos: CancellationToken,
    jobs: CancellationToken,
    pods: CancellationToken,
    secrets: CancellationToken,
    config_maps: CancellationToken,
}

impl Synced {
    /// Has readiness wait for all of them: an operator that may not watch Jobs or Secrets does half of its work.
    pub(crate) fn expected_by(health: &Health) -> Self {
        Self {
            idl_repos: health.expect_cache("IdlRepos"),
            jobs: health.expect_cache("Jobs"),
            pods: health.expect_cache("pods"),
            secrets: health.expect_cache("Secrets"),
            config_maps: health.expect_cache("ConfigMaps"),
        }
    }
}

/// Tells when the first list of a watch is complete.
fn telling<K>(
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
    synced: CancellationToken,
) -> impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static
where
    K: Send + 'static,
{
    events.inspect_ok(move |event| {
        if matches!(event, watcher::Event::InitDone) {
            synced.cancel();
        }
    })
}

/// Requests to reconcile, and the cache of the IdlRepos of one namespace, or of all.
pub(super) fn triggers(
    client: &Client,
    namespace: Option<&str>,
    synced: &Synced,
) -> (impl Stream<Item = Trigger> + Send + 'static, Store<Guarded>) {
    let (cache, writer) = store::<Guarded>();
    let watched = watcher(api::<Guarded>(client, namespace), watcher::Config::default()).modify(trim);
    // Status is what the operator itself writes; it says nothing new.
    let changed = telling(reflector(writer, watched), synced.idl_repos.clone())
        .default_backoff()
        .applied_objects()
        .predicate_filter(what_counts, PredicateConfig::default());
    let own = trigger_self(changed, ());
    let jobs = watch::<Job>(client, namespace, &selector(COMPONENT), &synced.jobs);
    let jobs = trigger_with(jobs, owner);
    let of_label = cache.clone();
    let pods = watch::<Pod>(client, namespace, &selector(COMPONENT), &synced.pods);
    let pods = trigger_with(pods, move |pod| labelled(&of_label, &pod));
    let of_secret = cache.clone();
    let secrets = watch::<Secret>(client, namespace, "", &synced.secrets);
    let secrets = trigger_with(secrets, move |secret| naming(&of_secret, &secret));
    let config_maps = watch::<ConfigMap>(client, namespace, &selector(DESCRIPTORS), &synced.config_maps);
    let config_maps = trigger_with(config_maps, owner);
    let triggers = stream::select_all([
        named("IdlRepos", own),
        named("Jobs", jobs),
        named("pods", pods),
        named("Secrets", secrets),
        named("ConfigMaps", config_maps),
    ]);
    (triggers, cache)
}

fn named(
    kind: &'static str,
    stream: impl Stream<Item = Result<ReconcileRequest<Guarded>, watcher::Error>> + Send + 'static,
) -> BoxStream<'static, Trigger> {
    stream.map_err(move |source| WatchError { kind, source }).boxed()
}

fn selector(component: &str) -> String {
    format!(
        "{}={MANAGER},{}={component}",
        metadata::MANAGED_BY,
        metadata::COMPONENT
    )
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Watches only the metadata: what is in Secrets, Jobs and pods is read when it is needed. Each watch has a backoff of
/// its own, so that one that is forbidden does not hold up the others.
fn watch<K>(
    client: &Client,
    namespace: Option<&str>,
    labels: &str,
    synced: &CancellationToken,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api = api::<PartialObjectMeta<K>>(client, namespace);
    let events = watcher(api, watcher::Config::default().labels(labels));
    telling(events, synced.clone())
        .default_backoff()
        .touched_objects()
}

/// Takes away what nobody reads from the cache.
fn trim(object: &mut Guarded) {
    object.managed_fields_mut().clear();
    if let Ok(idl_repo) = &mut object.0 {
        idl_repo.status = None;
    }
}

/// A digest of what people change: the specification, the requests to look and to let a commit through, and the deletion.
fn what_counts(object: &Guarded) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    object.meta().generation.hash(&mut hasher);
    object.annotations().get(metadata::REQUESTED_AT).hash(&mut hasher);
    object
        .annotations()
        .get(metadata::ACCEPT_BREAKING)
        .hash(&mut hasher);
    object.meta().deletion_timestamp.is_some().hash(&mut hasher);
    Some(hasher.finish())
}

fn owner<K: Resource>(object: PartialObjectMeta<K>) -> Vec<ObjectRef<Guarded>> {
    let namespace = object.namespace();
    let owners = object.owner_references().iter();
    owners
        .filter_map(|owner| ObjectRef::from_owner_ref(namespace.as_deref(), owner, ()))
        .collect()
}

fn labelled(cache: &Store<Guarded>, pod: &PartialObjectMeta<Pod>) -> Vec<ObjectRef<Guarded>> {
    let Some(label) = pod.labels().get(metadata::IDL_REPO) else {
        return Vec::new();
    };
    let namespace = pod.namespace();
    let by_name = ObjectRef::new(label).within(namespace.as_deref().unwrap_or_default());
    if cache.get(&by_name).is_some() {
        return vec![by_name];
    }
    // A long name is not in the label as it is.
    let objects = cache
        .state_filter(|object| object.namespace() == namespace && label_value(&object.name_any()) == *label);
    objects
        .iter()
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}

fn naming(cache: &Store<Guarded>, secret: &PartialObjectMeta<Secret>) -> Vec<ObjectRef<Guarded>> {
    let (name, namespace) = (secret.name_any(), secret.namespace());
    let objects = cache.state_filter(|object| {
        let Ok(idl_repo) = &object.0 else { return false };
        let references = [&idl_repo.spec.source.secret_ref, &idl_repo.spec.output.secret_ref];
        object.namespace() == namespace
            && references
                .into_iter()
                .flatten()
                .any(|reference| reference.name == name)
    });
    objects
        .iter()
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}
