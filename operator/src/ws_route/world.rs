//! What is remembered of the API server's objects: routes, pods, and the metadata of Secrets and of published descriptor sets.

use super::sidecar;
use crate::cache::{Cache, Remembered};
use crate::descriptors::StoredIndex;
use crate::write_status::Written;
use heddle_crds::ws_route::WsRouteStatus;
use heddle_crds::{WsRoute, metadata};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A WsRoute as the watch has it. One that cannot be read must not keep the others from being seen.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "WsRoute")]
pub(super) struct RawRoute {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

/// A WsRoute.
#[derive(Clone, Debug)]
pub(crate) struct StoredRoute {
    pub(crate) metadata: ObjectMeta,
    /// What it says, or why it cannot be read.
    pub(crate) object: Result<WsRoute, UnreadableRoute>,
    /// What was said of it last, if that can be read.
    pub(crate) status: Option<WsRouteStatus>,
}

/// A WsRoute that does not have the shape that this program knows: it is from before or after a change of the schema.
#[derive(Clone, Debug)]
pub(crate) struct UnreadableRoute {
    pub(crate) spec: Value,
    pub(crate) error: String,
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

    /// Takes in a status that has just been written for `older`, so that the next one is compared with it and not with what
    /// the watch has brought so far. What the watch has brought meanwhile is newer.
    pub(super) fn note_written(&self, older: &StoredRoute, written: Written<WsRouteStatus>) {
        let mut caches = self.caches();
        let namespace = older.metadata.namespace.as_deref().unwrap_or_default();
        let name = older.metadata.name.as_deref().unwrap_or_default();
        let Some(current) = caches.routes.entry_mut(namespace, name) else {
            return;
        };
        if current.metadata.resource_version == older.metadata.resource_version {
            let mut newer = StoredRoute::clone(current);
            newer.metadata.resource_version = written.resource_version;
            newer.status = Some(written.status);
            *current = Arc::new(newer);
        }
    }

    /// Every namespace with a route.
    pub(super) fn namespaces_with_routes(&self) -> BTreeSet<String> {
        self.caches().routes.namespaces().cloned().collect()
    }
}

impl Remembered for Arc<StoredRoute> {
    /// What the operator has written itself is remembered already; a status that differs from that has to be mended.
    fn differs_from(&self, older: &Self) -> bool {
        let request = |route: &StoredRoute| {
            let annotations = route.metadata.annotations.as_ref();
            annotations.and_then(|all| all.get(metadata::REQUESTED_AT).cloned())
        };
        (&self.metadata.uid, self.metadata.generation) != (&older.metadata.uid, older.metadata.generation)
            || request(self) != request(older)
            || self.status != older.status
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

/// A route that is being deleted is as good as gone: nothing holds it up.
pub(super) fn route(raw: RawRoute) -> Option<Arc<StoredRoute>> {
    let mut metadata = raw.metadata;
    if metadata.deletion_timestamp.is_some() {
        return None;
    }
    metadata.managed_fields = None;
    let object = json!({
        "apiVersion": WsRoute::api_version(&()), "kind": WsRoute::kind(&()), "metadata": metadata, "spec": raw.spec,
    });
    let object = serde_json::from_value(object);
    Some(Arc::new(StoredRoute {
        metadata,
        object: object.map_err(|error| UnreadableRoute {
            spec: raw.spec,
            error: error.to_string(),
        }),
        status: WsRouteStatus::deserialize(raw.status).ok(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher::Event;

    /// Route `chat` as the watch brings it, with a status of so many programmed pods.
    fn version(number: u32, programmed: Option<u32>) -> RawRoute {
        let mut object = json!({
            "metadata": { "name": "chat", "namespace": "shop", "uid": "u", "generation": 1, "resourceVersion": number.to_string() },
            "spec": {
                "selector": { "matchLabels": { "app": "chat" } },
                "backends": [{ "name": "app", "port": 8080 }],
            },
        });
        if let Some(programmed) = programmed {
            object["status"] = json!({ "sidecars": {
                "selected": 9, "ready": 9, "connected": 9, "missing": 0, "programmed": programmed,
            }});
        }
        serde_json::from_value(object).unwrap()
    }

    fn status(programmed: u32) -> WsRouteStatus {
        route(version(0, Some(programmed)))
            .unwrap()
            .status
            .clone()
            .unwrap()
    }

    fn take(world: &World, raw: RawRoute) -> usize {
        world.caches().routes.take(&None, Event::Apply(raw), route).len()
    }

    fn chat(world: &World) -> Arc<StoredRoute> {
        Arc::clone(&world.snapshot("shop").routes["chat"])
    }

    #[test]
    fn a_status_that_is_taken_back_within_the_delay_of_the_watch_is_not_mistaken_for_the_one_that_is_there() {
        let world = World::default();
        take(&world, version(1, Some(1)));
        let before = chat(&world);
        let written = Written {
            resource_version: Some("2".into()),
            status: status(2),
        };
        world.note_written(&before, written);
        // The watch has not said so yet, and the next status is the first one again: it differs from what is there.
        let known = chat(&world);
        assert_eq!(known.status, Some(status(2)));
        assert_eq!(
            known.metadata.resource_version.as_deref(),
            Some("2"),
            "or it would be refused"
        );
        // What the watch then says of it is no news, and what somebody else has written is.
        assert_eq!(take(&world, version(2, Some(2))), 0);
        assert_eq!(take(&world, version(3, Some(7))), 1);
        assert_eq!(chat(&world).status, Some(status(7)));
    }

    #[test]
    fn what_the_watch_has_brought_after_a_write_is_not_overwritten_by_it() {
        let world = World::default();
        take(&world, version(1, None));
        let before = chat(&world);
        take(&world, version(3, Some(3)));
        let written = Written {
            resource_version: Some("2".into()),
            status: status(2),
        };
        world.note_written(&before, written);
        assert_eq!(chat(&world).status, Some(status(3)));
    }

    #[test]
    fn what_cannot_be_read_is_remembered_with_what_was_said_of_it() {
        let mut raw = version(1, Some(1));
        raw.spec["newer"] = json!(true);
        let stored = route(raw).unwrap();
        assert!(stored.status.is_some());
        let unreadable = stored.object.as_ref().unwrap_err();
        assert!(unreadable.error.contains("newer"), "{}", unreadable.error);
        assert_eq!(unreadable.spec["selector"]["matchLabels"]["app"], "chat");
    }
}
