//! The SseSubscriptions that the API server has, which of them name which Secret, and what IdlRepos have published for them.

use super::resolve::secret_names;
use crate::cache::{Cache, Scope};
use crate::descriptors::{StoredIndex, stored_index};
use crate::write_status::Written;
use heddle_crds::publication::index_name;
use heddle_crds::sse_subscription::SseSubscriptionStatus;
use heddle_crds::{SseSubscription, SseSubscriptionSpec, metadata};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A subscription as the watch has it. One that cannot be read must not keep the others from being seen.
pub(super) type Guarded = DeserializeGuard<SseSubscription>;

/// An SseSubscription.
#[derive(Clone, Debug)]
pub(crate) struct StoredSubscription {
    pub(crate) metadata: ObjectMeta,
    /// What it says, or why it cannot be read.
    pub(crate) spec: Result<Arc<SseSubscriptionSpec>, String>,
    /// Of one that can be read.
    pub(crate) status: Option<SseSubscriptionStatus>,
}

/// All of them by `namespace/name`.
#[derive(Debug, Default)]
pub(crate) struct World(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    subscriptions: BTreeMap<String, Arc<StoredSubscription>>,
    /// What each watch has listed so far, while its list is under way.
    listed: BTreeMap<Scope, BTreeSet<String>>,
    /// Those whose Secrets may have changed since they were read.
    outdated: BTreeSet<String>,
    /// What IdlRepos have published.
    indexes: Cache<StoredIndex>,
}

impl StoredSubscription {
    pub(crate) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(crate) fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// What people asked for with the annotation.
    pub(crate) fn requested_at(&self) -> Option<&String> {
        let annotations = self.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(metadata::REQUESTED_AT))
    }

    /// What the operator has written itself is remembered already; a status that differs from that has to be mended.
    fn differs_from(&self, older: &Self) -> bool {
        (self.uid(), self.generation(), self.requested_at())
            != (older.uid(), older.generation(), older.requested_at())
            || self.status != older.status
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscription(&self, key: &str) -> Option<Arc<StoredSubscription>> {
        self.state().subscriptions.get(key).cloned()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.state().subscriptions.keys().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.state().subscriptions.len()
    }

    /// Whether the Secrets of a subscription may have changed since this was asked last.
    pub(super) fn take_outdated(&self, key: &str) -> bool {
        self.state().outdated.remove(key)
    }

    /// Takes an event in. The subscriptions to look at.
    pub(super) fn take(&self, scope: &Scope, event: Event<Guarded>) -> Vec<String> {
        let mut state = self.state();
        match event {
            Event::Init => {
                state.listed.insert(scope.clone(), BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let stored = stored(object);
                let key = key(&stored.metadata);
                state.listed.entry(scope.clone()).or_default().insert(key.clone());
                insert(&mut state, key, stored)
            }
            Event::InitDone => {
                let listed = state.listed.remove(scope).unwrap_or_default();
                let covered = |key: &str| match scope {
                    Some(namespace) => key.split('/').next() == Some(namespace),
                    None => true,
                };
                let gone: Vec<_> = state.subscriptions.keys().cloned().collect();
                let gone = gone
                    .into_iter()
                    .filter(|key| covered(key) && !listed.contains(key));
                gone.inspect(|key| drop(state.subscriptions.remove(key)))
                    .collect()
            }
            Event::Apply(object) => {
                let stored = stored(object);
                insert(&mut state, key(&stored.metadata), stored)
            }
            Event::Delete(object) => {
                let key = key(object.meta());
                state.subscriptions.remove(&key);
                vec![key]
            }
        }
    }

    /// The status of a subscription was written when it was at `version`. Unless the watch has brought something else since,
    /// that is what is known now: what is decided next must not go by the one before.
    pub(super) fn note_written(
        &self,
        key: &str,
        version: Option<&str>,
        written: Written<SseSubscriptionStatus>,
    ) {
        let mut state = self.state();
        let Some(stored) = state.subscriptions.get_mut(key) else {
            return;
        };
        if stored.metadata.resource_version.as_deref() != version {
            return;
        }
        let stored = Arc::make_mut(stored);
        stored.metadata.resource_version = written.resource_version;
        stored.status = Some(written.status);
    }

    /// A Secret has changed. The subscriptions that name it.
    pub(super) fn secret_changed(&self, namespace: &str, name: &str) -> Vec<String> {
        let mut state = self.state();
        let naming = state.of_namespace(namespace, |spec| secret_names(spec).contains(name));
        state.outdated.extend(naming.iter().cloned());
        naming
    }

    /// Takes in what has become of an index. The subscriptions that may go by it.
    pub(super) fn take_index(
        &self,
        scope: &Scope,
        event: Event<PartialObjectMeta<ConfigMap>>,
    ) -> Vec<String> {
        let mut state = self.state();
        let namespaces = state.indexes.take(scope, event, stored_index);
        let transcodes = |spec: &SseSubscriptionSpec| spec.transcoding.is_some();
        let keys = namespaces
            .iter()
            .flat_map(|namespace| state.of_namespace(namespace, transcodes));
        keys.collect()
    }

    /// What an IdlRepo has published, as far as the watch has seen.
    pub(super) fn index(&self, namespace: &str, idl_repo: &str) -> Option<StoredIndex> {
        let state = self.state();
        let indexes = state.indexes.of_namespace(namespace)?;
        indexes.get(&index_name(idl_repo)).cloned()
    }
}

impl State {
    /// The subscriptions of a namespace with such a specification.
    fn of_namespace(&self, namespace: &str, is_such: impl Fn(&SseSubscriptionSpec) -> bool) -> Vec<String> {
        let from = format!("{namespace}/");
        let until = format!("{namespace}0");
        let such = self.subscriptions.range(from..until).filter(|(_, stored)| {
            let spec = stored.spec.as_ref().ok();
            spec.is_some_and(|spec| is_such(spec))
        });
        such.map(|(key, _)| key.clone()).collect()
    }
}

fn insert(state: &mut State, key: String, stored: StoredSubscription) -> Vec<String> {
    let matters = state
        .subscriptions
        .get(&key)
        .is_none_or(|older| stored.differs_from(older));
    state.subscriptions.insert(key.clone(), Arc::new(stored));
    matters.then_some(key).into_iter().collect()
}

fn key(metadata: &ObjectMeta) -> String {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default())
}

fn stored(object: Guarded) -> StoredSubscription {
    match object.0 {
        Ok(object) => {
            let mut metadata = object.metadata;
            metadata.managed_fields = None;
            StoredSubscription {
                metadata,
                spec: Ok(object.spec.into()),
                status: object.status,
            }
        }
        Err(error) => StoredSubscription {
            metadata: error.metadata,
            status: None,
            spec: Err(error.error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(namespace: &str, name: &str, generation: i64, secret: &str) -> Guarded {
        let headers: Value =
            json!([{ "name": "Authorization", "secretKeyRef": { "name": secret, "key": "token" } }]);
        serde_json::from_value(json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "SseSubscription",
            "metadata": { "namespace": namespace, "name": name, "generation": generation, "uid": name },
            "spec": {
                "source": { "url": "https://a.example", "headersFrom": headers },
                "sinks": [{ "name": "log", "log": {} }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn what_changes_is_looked_at_and_what_is_gone_after_a_break_too() {
        let world = World::default();
        world.take(&None, Event::Init);
        assert_eq!(
            world.take(&None, Event::InitApply(object("a", "x", 1, "s"))),
            ["a/x"]
        );
        assert_eq!(
            world.take(&None, Event::InitApply(object("a", "y", 1, "s"))),
            ["a/y"]
        );
        assert_eq!(world.take(&None, Event::InitDone), [""; 0]);
        assert_eq!(world.take(&None, Event::Apply(object("a", "x", 1, "s"))), [""; 0]);
        assert_eq!(world.take(&None, Event::Apply(object("a", "x", 2, "s"))), ["a/x"]);
        world.take(&None, Event::Init);
        world.take(&None, Event::InitApply(object("a", "x", 2, "s")));
        assert_eq!(world.take(&None, Event::InitDone), ["a/y"]);
        assert_eq!(
            world.take(&None, Event::Delete(object("a", "x", 2, "s"))),
            ["a/x"]
        );
        assert_eq!(world.len(), 0);
    }

    #[test]
    fn what_was_written_is_known_at_once_unless_something_newer_is() {
        let world = World::default();
        world.take(&None, Event::Apply(object("a", "x", 1, "s")));
        let written = |owner: &str| Written {
            resource_version: Some("2".into()),
            status: SseSubscriptionStatus {
                owner: Some(owner.into()),
                ..SseSubscriptionStatus::default()
            },
        };
        world.note_written("a/x", None, written("first"));
        world.note_written("a/x", Some("1"), written("late"));
        let stored = world.subscription("a/x").unwrap();
        assert_eq!(stored.metadata.resource_version.as_deref(), Some("2"));
        assert_eq!(stored.status.as_ref().unwrap().owner.as_deref(), Some("first"));
    }

    #[test]
    fn a_secret_concerns_those_of_its_namespace_that_name_it() {
        let world = World::default();
        for (namespace, name, secret) in [("a", "x", "s"), ("a", "y", "t"), ("a-b", "z", "s")] {
            world.take(&None, Event::Apply(object(namespace, name, 1, secret)));
        }
        assert_eq!(world.secret_changed("a", "s"), ["a/x"]);
        assert!(world.take_outdated("a/x"));
        assert!(!world.take_outdated("a/x"));
    }

    #[test]
    fn what_is_published_concerns_those_of_its_namespace_that_transcode() {
        let world = World::default();
        for (namespace, name) in [("a", "x"), ("a", "y"), ("b", "x")] {
            let mut guarded = object(namespace, name, 1, "s");
            if name == "x" {
                let transcoding = json!({ "idlRepoRef": { "name": "shop" }, "message": "a.B" });
                let spec = &mut guarded.0.as_mut().unwrap().spec;
                spec.transcoding = serde_json::from_value(transcoding).unwrap();
            }
            world.take(&None, Event::Apply(guarded));
        }
        let index = |digest: &str| {
            let metadata = json!({
                "name": "shop-descriptors", "namespace": "a",
                "annotations": { "heddle.dev/descriptors-digest": digest },
            });
            serde_json::from_value(json!({ "metadata": metadata })).unwrap()
        };
        assert_eq!(world.take_index(&None, Event::Apply(index("1"))), ["a/x"]);
        assert_eq!(world.take_index(&None, Event::Apply(index("1"))), [""; 0]);
        assert_eq!(world.take_index(&None, Event::Apply(index("2"))), ["a/x"]);
        let published = world.index("a", "shop").map(|index| index.digest);
        assert_eq!(published.as_deref(), Some("2"));
        assert_eq!(world.index("b", "shop"), None);
    }

    #[test]
    fn one_that_cannot_be_read_is_kept_with_the_reason() {
        let guarded: Guarded = serde_json::from_value(json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "SseSubscription",
            "metadata": { "namespace": "a", "name": "x" },
            "spec": { "source": 3 },
        }))
        .unwrap();
        let world = World::default();
        world.take(&None, Event::Apply(guarded));
        assert!(world.subscription("a/x").unwrap().spec.is_err());
    }
}
