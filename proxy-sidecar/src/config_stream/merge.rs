//! Which generation of each route is to be served: what is held, or cannot be read, leaves what was served before.

use super::store::{Kept, Served};
use crate::config::{Applied, Candidate, DescriptorSets, RouteSet, ServeError, WantedRoute};
use heddle_route_config::protocol::{Configuration, Held, RouteErrorKind, SentRoute};
use heddle_route_config::{Route, RouteId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A configuration and what was served before, as one.
#[derive(Debug, Default)]
pub(super) struct Merged {
    routes: Vec<MergedRoute>,
    /// What is wrong with manifests that cannot be read.
    unreadable: BTreeMap<RouteId, String>,
}

/// What is to be served of one route.
#[derive(Debug)]
struct MergedRoute {
    wanted: (Served, Route),
    /// What was served before.
    former: Option<(Served, Route)>,
}

impl Merged {
    pub(super) fn new(configuration: &Configuration, kept: Option<&Kept>) -> Self {
        let mut merged = Self::default();
        for sent in &configuration.routes {
            let former = kept.and_then(|kept| kept.former(sent));
            let former = former.and_then(|former| Some((former.clone(), former.route.route().ok()?)));
            let wanted = match (sent.held, sent.route(), &former) {
                (Held::Yes, _, Some(former)) => Some(former.clone()),
                (_, Ok(route), _) => Some((as_sent(sent, &route, configuration), route)),
                (_, Err(error), former) => {
                    merged.unreadable.insert(id(sent), error);
                    former.clone()
                }
            };
            let route = wanted.map(|wanted| MergedRoute { wanted, former });
            merged.routes.extend(route);
        }
        merged
    }

    /// What is to be brought into effect, with those of `sets` that it goes by.
    pub(super) fn route_set(&self, sets: &DescriptorSets) -> RouteSet {
        let candidate = |(served, route): &(Served, Route)| Candidate {
            route: route.clone(),
            descriptors: served.descriptors.clone(),
        };
        let wanted = |route: &MergedRoute| WantedRoute {
            wanted: candidate(&route.wanted),
            former: route.former.as_ref().map(candidate),
        };
        let all = self
            .routes
            .iter()
            .flat_map(|route| [Some(&route.wanted), route.former.as_ref()])
            .flatten();
        let digests = all.filter_map(|(served, _)| served.descriptors.as_ref());
        let sets = digests.filter_map(|digest| Some((digest.clone(), Arc::clone(sets.get(digest)?))));
        RouteSet {
            routes: self.routes.iter().map(wanted).collect(),
            descriptors: sets.collect(),
        }
    }

    /// What became of all routes, with those whose manifest cannot be read.
    pub(super) fn with_unreadable(&self, mut applied: Vec<Applied>) -> Vec<Applied> {
        for (id, message) in &self.unreadable {
            let error = Some(ServeError {
                kind: RouteErrorKind::Invalid,
                message: message.clone(),
            });
            match applied.iter_mut().find(|applied| applied.id == *id) {
                Some(applied) => applied.error = error,
                None => applied.push(Applied {
                    id: id.clone(),
                    generation: None,
                    descriptors: None,
                    error,
                }),
            }
        }
        applied
    }

    /// What is served indeed, by what became of it. Of a route that nothing can be served of at the moment, what was served
    /// before: it may be possible again after a restart.
    pub(super) fn served(&self, applied: &[Applied]) -> Vec<Served> {
        let served = |route: &MergedRoute| {
            let failed = applied
                .iter()
                .any(|applied| applied.id == route.wanted.1.id && applied.error.is_some());
            let found = match failed {
                true => route.former.as_ref()?,
                false => &route.wanted,
            };
            Some(found.0.clone())
        };
        self.routes.iter().filter_map(served).collect()
    }
}

fn id(sent: &SentRoute) -> RouteId {
    let namespace = sent.manifest["metadata"]["namespace"].as_str();
    RouteId {
        namespace: namespace.unwrap_or_default().to_owned(),
        name: sent.name().to_owned(),
    }
}

/// What is sent, with the descriptor set that the configuration names for it.
fn as_sent(sent: &SentRoute, route: &Route, configuration: &Configuration) -> Served {
    let descriptors = route.transcoding.as_ref().map(|transcoding| {
        let mut named = configuration.descriptors.iter();
        let named = named.find(|reference| reference.idl_repo == transcoding.idl_repo);
        // The error says that there is none.
        named.map(|named| named.digest.clone()).unwrap_or_default()
    });
    Served {
        route: sent.clone(),
        descriptors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_route_config::protocol::DescriptorsReference;
    use serde_json::json;

    fn sent(name: &str, generation: i64, held: Held) -> SentRoute {
        let object = serde_json::from_value(json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "WsRoute",
            "metadata": { "name": name, "namespace": "shop", "uid": name, "generation": generation },
            "spec": {
                "selector": { "matchLabels": { "app": "chat" } },
                "backends": [{ "name": "app", "port": 8080 }],
            },
        }))
        .unwrap();
        SentRoute::new(&object, held)
    }

    fn served(name: &str, generation: i64) -> Served {
        Served {
            route: sent(name, generation, Held::No),
            descriptors: None,
        }
    }

    fn configuration(routes: Vec<SentRoute>) -> Configuration {
        Configuration::new(routes, Vec::new(), String::new(), None)
    }

    fn kept() -> Kept {
        Kept {
            served: vec![served("chat", 1)],
            configuration: configuration(vec![sent("chat", 1, Held::No)]),
        }
    }

    fn generations(merged: &Merged) -> Vec<(String, i64)> {
        let set = merged.route_set(&DescriptorSets::new());
        let routes = set.routes.into_iter().map(|route| route.wanted.route);
        routes.map(|route| (route.id.name, route.generation)).collect()
    }

    #[test]
    fn what_is_held_stays_and_who_has_nothing_takes_what_is_sent() {
        let routes = || vec![sent("chat", 2, Held::Yes), sent("new", 5, Held::Yes)];
        let merged = Merged::new(&configuration(routes()), Some(&kept()));
        assert_eq!(generations(&merged), [("chat".into(), 1), ("new".into(), 5)]);
        let merged = Merged::new(&configuration(routes()), None);
        assert_eq!(generations(&merged), [("chat".into(), 2), ("new".into(), 5)]);
        // Another object of the same name has nothing to do with what was served.
        let mut other = sent("chat", 2, Held::Yes);
        other.manifest["metadata"]["uid"] = json!("other");
        let merged = Merged::new(&configuration(vec![other]), Some(&kept()));
        assert_eq!(generations(&merged), [("chat".into(), 2)]);
    }

    #[test]
    fn a_manifest_of_a_later_version_leaves_what_was_served_and_is_told_of() {
        let mut later = sent("chat", 2, Held::No);
        later.manifest["spec"]["newerField"] = json!(1);
        let merged = Merged::new(&configuration(vec![later.clone()]), Some(&kept()));
        assert_eq!(generations(&merged), [("chat".into(), 1)]);
        let became = merged.with_unreadable(vec![Applied {
            error: None,
            ..applied("chat", Some(1))
        }]);
        let error = became[0].error.as_ref().unwrap();
        assert!(became[0].generation == Some(1) && error.message.contains("newerField"));
        let merged = Merged::new(&configuration(vec![later]), None);
        assert_eq!(generations(&merged), []);
        let became = merged.with_unreadable(Vec::new());
        assert_eq!((became[0].generation, became[0].error.is_some()), (None, true));
    }

    fn applied(name: &str, generation: Option<i64>) -> Applied {
        Applied {
            id: RouteId {
                namespace: "shop".into(),
                name: name.into(),
            },
            generation,
            descriptors: None,
            error: Some(ServeError {
                kind: RouteErrorKind::Other,
                message: "no".into(),
            }),
        }
    }

    #[test]
    fn what_could_not_be_served_is_not_kept_and_what_was_served_before_is() {
        let merged = Merged::new(
            &configuration(vec![sent("chat", 2, Held::No), sent("new", 1, Held::No)]),
            Some(&kept()),
        );
        // Nor is it lost when nothing of the route can be served at the moment.
        for generation in [Some(1), None] {
            let applied = [applied("chat", generation), applied("new", None)];
            assert_eq!(merged.served(&applied), [served("chat", 1)]);
        }
    }

    #[test]
    fn a_held_route_stays_with_the_descriptor_set_that_it_was_served_by() {
        let transcoding = |mut sent: SentRoute| {
            sent.manifest["spec"]["transcoding"] = json!({
                "idlRepoRef": { "name": "idl" }, "clientMessage": "a.B", "backendMessage": "a.C",
            });
            sent
        };
        let newer = |held| {
            let reference = DescriptorsReference {
                idl_repo: "idl".into(),
                digest: "new".into(),
            };
            let sent = transcoding(sent("chat", 1, held));
            Configuration::new(vec![sent], vec![reference], String::new(), None)
        };
        let kept = Kept {
            configuration: newer(Held::No),
            served: vec![Served {
                route: transcoding(sent("chat", 1, Held::No)),
                descriptors: Some("old".into()),
            }],
        };
        let sets: DescriptorSets = [("old", b"1"), ("new", b"2"), ("unused", b"3")]
            .map(|(digest, set)| (digest.to_owned(), Arc::from(&set[..])))
            .into();
        let goes_by = |held| {
            let set = Merged::new(&newer(held), Some(&kept)).route_set(&sets);
            let digests = set.descriptors.into_keys().collect::<Vec<_>>();
            (set.routes[0].wanted.descriptors.clone(), digests)
        };
        assert_eq!(goes_by(Held::Yes), (Some("old".into()), vec!["old".into()]));
        let both = vec!["new".into(), "old".into()];
        assert_eq!(goes_by(Held::No), (Some("new".into()), both));
    }
}
