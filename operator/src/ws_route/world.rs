//! What is remembered of the API server's objects: routes, pods, and the metadata of Secrets and of published descriptor sets.

use super::cache::{Cache, Remembered};
use super::sidecar;
use heddle_crds::ws_route::WsRouteStatus;
use heddle_crds::{WsRoute, metadata};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::ObjectMeta;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A WsRoute as the watch has it. One that cannot be read must not keep the others from being seen.
pub(super) type Guarded = DeserializeGuard<WsRoute>;

/// A WsRoute.
#[derive(Clone, Debug)]
pub(crate) struct StoredRoute {
    pub(crate) metadata: ObjectMeta,
    /// What it says, or why it cannot be read.
    pub(crate) object: Result<WsRoute, String>,
    /// Of one that can be read.
    pub(crate) status: Option<WsRouteStatus>,
}

/// A pod.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct StoredPod {
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ready: bool,
    pub(crate) has_sidecar: bool,
}

/// The version of an object of which the rest is read when it is needed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredVersion(pub(crate) String);

/// What the annotations of an index say is published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredIndex {
    pub(crate) digest: String,
}

/// A namespace at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) routes: BTreeMap<String, Arc<StoredRoute>>,
    pub(crate) pods: BTreeMap<String, Arc<StoredPod>>,
    pub(crate) secrets: BTreeMap<String, StoredVersion>,
    pub(crate) indexes: BTreeMap<String, StoredIndex>,
}

/// All of it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<Caches>>);

#[derive(Debug, Default)]
pub(super) struct Caches {
    pub(super) routes: Cache<Arc<StoredRoute>>,
    pub(super) pods: Cache<Arc<StoredPod>>,
    pub(super) secrets: Cache<StoredVersion>,
    pub(super) indexes: Cache<StoredIndex>,
}

impl World {
    pub(super) fn caches(&self) -> MutexGuard<'_, Caches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A namespace as it is now.
    pub(super) fn snapshot(&self, namespace: &str) -> Snapshot {
        let caches = self.caches();
        Snapshot {
            routes: caches.routes.of_namespace(namespace).cloned().unwrap_or_default(),
            pods: caches.pods.of_namespace(namespace).cloned().unwrap_or_default(),
            secrets: caches
                .secrets
                .of_namespace(namespace)
                .cloned()
                .unwrap_or_default(),
            indexes: caches
                .indexes
                .of_namespace(namespace)
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// Every namespace with a route.
    pub(super) fn namespaces_with_routes(&self) -> BTreeSet<String> {
        self.caches().routes.namespaces().cloned().collect()
    }
}

impl Remembered for Arc<StoredRoute> {
    /// Status is what the operator itself writes; it says nothing new.
    fn differs_from(&self, older: &Self) -> bool {
        let request = |route: &StoredRoute| {
            let annotations = route.metadata.annotations.as_ref();
            annotations.and_then(|all| all.get(metadata::REQUESTED_AT).cloned())
        };
        (&self.metadata.uid, self.metadata.generation) != (&older.metadata.uid, older.metadata.generation)
            || request(self) != request(older)
    }
}

impl Remembered for Arc<StoredPod> {
    fn differs_from(&self, older: &Self) -> bool {
        self != older
    }
}

impl Remembered for StoredVersion {
    fn differs_from(&self, older: &Self) -> bool {
        self != older
    }
}

impl Remembered for StoredIndex {
    fn differs_from(&self, older: &Self) -> bool {
        self != older
    }
}

/// A route that is being deleted is as good as gone: nothing holds it up.
pub(super) fn route(guarded: Guarded) -> Option<Arc<StoredRoute>> {
    let mut metadata = guarded.meta().clone();
    if metadata.deletion_timestamp.is_some() {
        return None;
    }
    metadata.managed_fields = None;
    Some(Arc::new(match guarded.0 {
        Ok(mut object) => {
            object.metadata.managed_fields = None;
            StoredRoute {
                metadata,
                status: object.status.take(),
                object: Ok(object),
            }
        }
        Err(invalid) => StoredRoute {
            metadata,
            object: Err(invalid.error),
            status: None,
        },
    }))
}

/// Nothing of a pod that has ended, is being deleted, or wants no sidecar.
pub(super) fn pod(pod: Pod) -> Option<Arc<StoredPod>> {
    let status = pod.status.unwrap_or_default();
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let opted_out = pod.metadata.annotations.as_ref().is_some_and(sidecar::opts_out);
    if ended || opted_out || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let containers = pod.spec.and_then(|spec| spec.init_containers);
    Some(Arc::new(StoredPod {
        uid: pod.metadata.uid.unwrap_or_default(),
        labels: pod.metadata.labels.unwrap_or_default(),
        ready,
        has_sidecar: containers
            .iter()
            .flatten()
            .any(|container| container.name == sidecar::NAME),
    }))
}

pub(super) fn secret(secret: PartialObjectMeta<Secret>) -> Option<StoredVersion> {
    let (uid, version) = (secret.uid(), secret.resource_version());
    Some(StoredVersion(format!(
        "{} {}",
        uid.unwrap_or_default(),
        version.unwrap_or_default()
    )))
}

pub(super) fn index(config_map: PartialObjectMeta<ConfigMap>) -> Option<StoredIndex> {
    let digest = config_map.annotations().get(metadata::DESCRIPTORS_DIGEST)?;
    Some(StoredIndex {
        digest: digest.clone(),
    })
}
