//! What the API server has of one kind, in the form that is needed here, by namespace and name: far smaller than the objects,
//! and it knows whether a change is one that matters.

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

/// What is remembered of an object.
pub(crate) trait Remembered {
    /// Whether a reconcile could come to anything else by `self` than by `older`.
    fn differs_from(&self, older: &Self) -> bool;
}

/// The namespace that a watch watches; all, if absent.
pub(crate) type Scope = Option<String>;

/// The watches of these namespaces, or of all.
pub(crate) fn scopes(namespaces: &[String]) -> Vec<Scope> {
    match namespaces.is_empty() {
        true => vec![None],
        false => namespaces.iter().cloned().map(Some).collect(),
    }
}

type ByNamespace<V> = BTreeMap<String, BTreeMap<String, V>>;

/// Objects of one kind.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    current: ByNamespace<V>,
    /// What has been listed so far by each watch, while its list is under way.
    listed: BTreeMap<Scope, ByNamespace<V>>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self {
            current: ByNamespace::new(),
            listed: BTreeMap::new(),
        }
    }
}

impl<V: Remembered> Cache<V> {
    /// Takes an event in. The namespaces in which something has changed that matters. What `remember` makes nothing of is
    /// as good as deleted.
    pub(crate) fn take<K>(
        &mut self,
        scope: &Scope,
        event: Event<K>,
        remember: impl Fn(K) -> Option<V>,
    ) -> BTreeSet<String>
    where
        K: Resource,
    {
        match event {
            Event::Init => {
                self.listed.insert(scope.clone(), ByNamespace::new());
                BTreeSet::new()
            }
            Event::InitApply(object) => {
                let (namespace, name) = key(&object);
                if let (Some(listed), Some(value)) = (self.listed.get_mut(scope), remember(object)) {
                    listed.entry(namespace).or_default().insert(name, value);
                }
                BTreeSet::new()
            }
            Event::InitDone => match self.listed.remove(scope) {
                Some(listed) => self.replace(scope, listed),
                None => BTreeSet::new(),
            },
            Event::Apply(object) => {
                let (namespace, name) = key(&object);
                match remember(object) {
                    Some(value) => self.insert(namespace, name, value),
                    None => self.remove(namespace, &name),
                }
            }
            Event::Delete(object) => {
                let (namespace, name) = key(&object);
                self.remove(namespace, &name)
            }
        }
    }

    /// The objects of a namespace by name.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Option<&BTreeMap<String, V>> {
        self.current.get(namespace)
    }

    /// An object, to be replaced by what is known of it from elsewhere than the watch.
    pub(crate) fn entry_mut(&mut self, namespace: &str, name: &str) -> Option<&mut V> {
        self.current.get_mut(namespace)?.get_mut(name)
    }

    /// The namespaces with any.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &String> {
        self.current.keys()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.current.values().map(BTreeMap::len).sum()
    }

    fn insert(&mut self, namespace: String, name: String, value: V) -> BTreeSet<String> {
        let objects = self.current.entry(namespace.clone()).or_default();
        let matters = objects.get(&name).is_none_or(|older| value.differs_from(older));
        objects.insert(name, value);
        matters.then_some(namespace).into_iter().collect()
    }

    fn remove(&mut self, namespace: String, name: &str) -> BTreeSet<String> {
        let Some(objects) = self.current.get_mut(&namespace) else {
            return BTreeSet::new();
        };
        let was_there = objects.remove(name).is_some();
        if objects.is_empty() {
            self.current.remove(&namespace);
        }
        was_there.then_some(namespace).into_iter().collect()
    }

    /// A new list replaces everything of its scope: what was deleted while the watch was broken is told of by nothing else.
    fn replace(&mut self, scope: &Scope, mut listed: ByNamespace<V>) -> BTreeSet<String> {
        let older = match scope {
            None => std::mem::replace(&mut self.current, listed),
            Some(namespace) => {
                let older = self.current.remove(namespace);
                if let Some(objects) = listed.remove(namespace) {
                    self.current.insert(namespace.clone(), objects);
                }
                older
                    .map(|objects| (namespace.clone(), objects))
                    .into_iter()
                    .collect()
            }
        };
        let in_scope = |namespace: &&String| scope.as_ref().is_none_or(|scope| scope == *namespace);
        let newer = self.current.keys().filter(in_scope);
        let namespaces: BTreeSet<_> = older.keys().chain(newer).cloned().collect();
        let differ = |namespace: &String| match (older.get(namespace), self.current.get(namespace)) {
            (Some(older), Some(newer)) => {
                older.len() != newer.len()
                    || newer
                        .iter()
                        .any(|(name, value)| older.get(name).is_none_or(|older| value.differs_from(older)))
            }
            _ => true,
        };
        namespaces.into_iter().filter(differ).collect()
    }
}

fn key(object: &impl ResourceExt) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    #[derive(Debug, PartialEq)]
    struct Version(String);

    impl Remembered for Version {
        fn differs_from(&self, older: &Self) -> bool {
            self != older
        }
    }

    fn object(namespace: &str, name: &str, version: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some(namespace.into()),
                resource_version: Some(version.into()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn names(namespaces: &BTreeSet<String>) -> Vec<&str> {
        namespaces.iter().map(String::as_str).collect()
    }

    #[test]
    fn only_changes_that_matter_are_told_and_a_new_list_finds_what_was_missed() {
        let mut cache = Cache::default();
        let mut take = |event| {
            let remember = |object: ConfigMap| object.metadata.resource_version.map(Version);
            cache.take(&None, event, remember)
        };
        take(Event::Init);
        for (namespace, name) in [("a", "x"), ("a", "y"), ("b", "x")] {
            take(Event::InitApply(object(namespace, name, "1")));
        }
        assert_eq!(names(&take(Event::InitDone)), ["a", "b"]);
        assert_eq!(names(&take(Event::Apply(object("a", "x", "1")))), [""; 0]);
        assert_eq!(names(&take(Event::Apply(object("a", "x", "2")))), ["a"]);
        assert_eq!(names(&take(Event::Delete(object("a", "x", "2")))), ["a"]);
        assert_eq!(names(&take(Event::Delete(object("a", "x", "2")))), [""; 0]);
        // The watch breaks; b/x is deleted meanwhile.
        take(Event::Init);
        take(Event::InitApply(object("a", "y", "1")));
        assert_eq!(names(&take(Event::InitDone)), ["b"]);
        // A watch of one namespace replaces nothing of another's.
        let remember = |object: ConfigMap| object.metadata.resource_version.map(Version);
        let scope = Some("b".to_owned());
        cache.take(&scope, Event::Init, remember);
        cache.take(&scope, Event::InitApply(object("b", "z", "1")), remember);
        assert_eq!(names(&cache.take(&scope, Event::InitDone, remember)), ["b"]);
        assert_eq!(cache.len(), 2);
        cache.take(&scope, Event::Delete(object("b", "z", "1")), remember);
        assert_eq!(cache.namespaces().collect::<Vec<_>>(), ["a"]);
    }
}
