//! Which generation of each route is to be served: what is held, or cannot be read, leaves what was served before.

use super::store::Kept;
use heddle_route_config::Route;
use heddle_route_config::protocol::{Acknowledgement, Configuration, Held, SentRoute};
use std::collections::BTreeMap;

/// A configuration and what was served before, as one.
#[derive(Debug, Default)]
pub(super) struct Merged {
    routes: Vec<(SentRoute, Route)>,
    /// What is wrong with manifests that cannot be read, by the names of their routes.
    unreadable: BTreeMap<String, String>,
}

impl Merged {
    pub(super) fn new(configuration: &Configuration, kept: Option<&Kept>) -> Self {
        let mut merged = Self::default();
        for sent in &configuration.routes {
            let former = kept.and_then(|kept| kept.former(sent));
            let former = former.and_then(|former| Some((former.clone(), former.route().ok()?)));
            let chosen = match (sent.held, sent.route(), former) {
                (Held::Yes, _, Some(former)) => Some(former),
                (_, Ok(route), _) => Some((sent.clone(), route)),
                (_, Err(error), former) => {
                    merged.unreadable.insert(sent.name().to_owned(), error);
                    former
                }
            };
            merged.routes.extend(chosen);
        }
        merged
    }

    /// What was served before, and nothing else.
    pub(super) fn kept(kept: &Kept) -> Self {
        let read = |sent: &SentRoute| Some((sent.clone(), sent.route().ok()?));
        Self {
            routes: kept.served.iter().filter_map(read).collect(),
            unreadable: BTreeMap::new(),
        }
    }

    /// What is to be served.
    pub(super) fn routes(&self) -> impl Iterator<Item = &(SentRoute, Route)> {
        self.routes.iter()
    }

    /// Why a route's manifest cannot be read.
    pub(super) fn unreadable(&self, name: &str) -> Option<&str> {
        self.unreadable.get(name).map(String::as_str)
    }

    /// What is served indeed, by what became of it: what could not be served has left a former generation or nothing.
    pub(super) fn served(&self, acknowledgement: &Acknowledgement, kept: Option<&Kept>) -> Vec<SentRoute> {
        let served = |(sent, _): &(SentRoute, Route)| {
            let result = acknowledgement.of(sent.name())?;
            let former = || kept?.former(sent).cloned();
            let is_served = |candidate: &SentRoute| result.generation == Some(candidate.generation());
            Some(sent.clone())
                .filter(is_served)
                .or_else(|| former().filter(is_served))
        };
        self.routes.iter().filter_map(served).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_route_config::protocol::RouteResult;
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

    fn configuration(routes: Vec<SentRoute>) -> Configuration {
        Configuration::new(routes, Vec::new(), String::new(), None)
    }

    fn kept() -> Kept {
        Kept {
            served: vec![sent("chat", 1, Held::No)],
            configuration: configuration(vec![sent("chat", 1, Held::No)]),
        }
    }

    fn generations(merged: &Merged) -> Vec<(String, i64)> {
        let routes = merged.routes();
        routes
            .map(|(_, route)| (route.id.name.clone(), route.generation))
            .collect()
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
        assert!(merged.unreadable("chat").unwrap().contains("newerField"));
        let merged = Merged::new(&configuration(vec![later]), None);
        assert_eq!(generations(&merged), []);
        assert!(merged.unreadable("chat").is_some());
    }

    #[test]
    fn what_could_not_be_served_is_not_kept() {
        let merged = Merged::new(
            &configuration(vec![sent("chat", 2, Held::No), sent("new", 1, Held::No)]),
            Some(&kept()),
        );
        let result = |name: &str, generation| RouteResult {
            name: name.into(),
            generation,
            ..RouteResult::default()
        };
        let acknowledgement = Acknowledgement {
            version: "v".into(),
            routes: vec![result("chat", Some(1)), result("new", None)],
        };
        let served = merged.served(&acknowledgement, Some(&kept()));
        let served: Vec<_> = served
            .iter()
            .map(|route| (route.name(), route.generation()))
            .collect();
        assert_eq!(served, [("chat", 1)]);
    }
}
