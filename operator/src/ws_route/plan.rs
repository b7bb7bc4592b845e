//! What each sidecar should have, and what is the case with each route: a pure function of the observed namespace.

mod conflicts;
mod progress;

use super::observe::{Observed, ObservedPod, ObservedRoute, Problem};
use super::validate::ValidatedRoute;
use crate::config_stream::{Descriptors, Member, PodId, Presence};
use heddle_crds::WsRoute;
use heddle_crds::ws_route::Reason;
use heddle_route_config::protocol::{Configuration, Held, SentRoute};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Resource;
use kube::core::{Selector, SelectorExt};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use progress::{Progress, names};

/// What is to be done in a namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// What every pod with a sidecar should have.
    pub(crate) configurations: Vec<PlannedConfiguration>,
    /// In the order of the observed routes.
    pub(crate) routes: Vec<PlannedRoute>,
    /// When to look again, whatever happens.
    pub(crate) wake_after: Option<Duration>,
}

/// What some pods should have.
#[derive(Clone, Debug)]
pub(crate) struct PlannedConfiguration {
    pub(crate) pods: Vec<PodId>,
    /// Without a trace yet, which its version does not depend on.
    pub(crate) configuration: Configuration,
    pub(crate) descriptors: Vec<Arc<Descriptors>>,
}

/// What is the case with a route.
#[derive(Clone, Debug)]
pub(crate) struct PlannedRoute {
    /// Why it cannot be had as it is.
    pub(crate) refusal: Option<Problem>,
    /// What it names and is not there or of no use.
    pub(crate) unresolved: Option<Problem>,
    pub(crate) suspended: bool,
    /// The descriptor set that it is to go by.
    pub(crate) descriptors: Option<Arc<Descriptors>>,
    pub(crate) transcodes: Transcodes,
    pub(crate) progress: Progress,
}

/// Which types a route goes by where it is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transcodes {
    /// Messages go through as they are.
    No,
    /// Every connected sidecar has acknowledged the newest descriptor set.
    ByNewest,
    /// Not all of them have, or it is not known, or nobody is there.
    ByFormer,
}

/// How soon what is missing is looked for again: what makes it appear may not be watched.
const UNRESOLVED_DELAY: Duration = Duration::from_secs(30);

/// Decides.
pub(crate) fn plan(observed: &Observed) -> Plan {
    let losers = conflicts::losers(&observed.routes, &observed.pods);
    let mut routes: Vec<_> = observed
        .routes
        .iter()
        .map(|route| planned(observed, route, &losers))
        .collect();
    for (planned, route) in routes.iter_mut().zip(&observed.routes) {
        planned.progress = progress::progress(route, &observed.pods, observed.awaiting);
    }
    let configurations = configurations(observed, &routes);
    let serving = serving(observed, &configurations);
    for (planned, route) in routes.iter_mut().zip(&observed.routes) {
        planned.transcodes = transcodes(planned, route, observed, &serving);
    }
    let unresolved = routes
        .iter()
        .any(|route| route.unresolved.is_some() || !route.progress.excluded.is_empty());
    let lingering = observed.pods.iter().filter_map(|pod| match pod.sidecar.presence {
        Presence::Lingering(left) => Some(left + MARGIN),
        _ => None,
    });
    let awaited = routes.iter().any(|route| route.progress.awaited > 0);
    let awaited = observed.awaiting.filter(|_| awaited);
    let awaited = awaited.map(|awaiting| awaiting.left + MARGIN);
    let unresolved = unresolved.then_some(UNRESOLVED_DELAY);
    Plan {
        configurations,
        wake_after: lingering.chain(awaited).chain(unresolved).min(),
        routes,
    }
}

/// A moment later than needed, so that it is over by then.
const MARGIN: Duration = Duration::from_millis(100);

fn planned(observed: &Observed, route: &ObservedRoute, losers: &BTreeMap<String, String>) -> PlannedRoute {
    let name = route.stored.metadata.name.as_deref().unwrap_or_default();
    let (refusal, unresolved, descriptors) = match &route.spec {
        Err(error) => {
            let problem = Problem {
                reason: Reason::InvalidSpec,
                message: error.clone(),
            };
            (Some(problem), None, None)
        }
        Ok(spec) => {
            let conflict = losers.get(name).map(|message| Problem {
                reason: Reason::Conflicted,
                message: message.clone(),
            });
            let descriptors = descriptors(observed, spec);
            let (problem, descriptors) = match descriptors {
                Some(Ok(descriptors)) => (None, Some(descriptors)),
                Some(Err(problem)) => (Some(problem), None),
                None => (None, None),
            };
            (conflict, unusable_secret(observed, spec).or(problem), descriptors)
        }
    };
    PlannedRoute {
        refusal,
        unresolved,
        suspended: route.spec.as_ref().is_ok_and(|spec| spec.suspended),
        descriptors,
        transcodes: Transcodes::No,
        progress: Progress::default(),
    }
}

fn descriptors(observed: &Observed, spec: &ValidatedRoute) -> Option<Result<Arc<Descriptors>, Problem>> {
    let transcoding = spec.route.transcoding.as_ref()?;
    observed.descriptors.get(&transcoding.idl_repo).cloned()
}

fn unusable_secret(observed: &Observed, spec: &ValidatedRoute) -> Option<Problem> {
    spec.secrets().into_iter().find_map(|(name, needed)| {
        let Some(usable) = observed.secrets.get(name) else {
            return Some(Problem {
                reason: Reason::SecretNotFound,
                message: format!(
                    "Secret {name} does not exist in this namespace. Sidecars keep what they have until it does."
                ),
            });
        };
        let lacking: Vec<_> = needed.difference(usable).copied().collect();
        (!lacking.is_empty()).then(|| Problem {
            reason: Reason::SecretInvalid,
            message: format!("Secret {name} has no usable {}.", lacking.join(" and ")),
        })
    })
}

/// Which routes a pod gets, by their place in the list.
fn wanted(observed: &Observed, routes: &[PlannedRoute], pod: &ObservedPod) -> BTreeSet<usize> {
    let pairs = observed.routes.iter().zip(routes).enumerate();
    let wanted = pairs.filter(|(_, (route, planned))| {
        let conflicted = planned
            .refusal
            .as_ref()
            .is_some_and(|problem| problem.reason == Reason::Conflicted);
        !conflicted && concerns(route, pod)
    });
    wanted.map(|(index, _)| index).collect()
}

/// Whether a route is to be had by a pod. One that is invalid or cannot be read selects as far as can be told, and is not taken
/// away from a sidecar that has an older generation of it.
fn concerns(route: &ObservedRoute, pod: &ObservedPod) -> bool {
    match &route.spec {
        Ok(spec) => spec.selects(&pod.labels),
        Err(_) => selects(route, pod).unwrap_or(false) || has_some_generation(route, pod),
    }
}

/// The connected sidecars that are to serve a route.
pub(crate) fn members(route: &ObservedRoute, pods: &[ObservedPod]) -> Vec<Member> {
    let members = pods
        .iter()
        .filter(|pod| concerns(route, pod) && pod.has_sidecar() && pod.sidecar.presence.is_connected());
    members
        .map(|pod| Member {
            pod: pod.id.clone(),
            is_ready: pod.ready,
        })
        .collect()
}

/// Whether the selector of a route that is invalid selects a pod. Nothing if the selector is what cannot be read.
fn selects(route: &ObservedRoute, pod: &ObservedPod) -> Option<bool> {
    let selector = match &route.stored.object {
        Ok(object) => object.spec.selector.clone(),
        Err(unreadable) => LabelSelector::deserialize(&unreadable.spec["selector"]).ok()?,
    };
    let selector = Selector::try_from(selector).ok()?;
    Some(!selector.selects_all() && selector.matches(&pod.labels))
}

fn has_some_generation(route: &ObservedRoute, pod: &ObservedPod) -> bool {
    progress::acknowledged(route, pod).is_some_and(|result| result.generation.is_some())
}

/// Whether it cannot be told what a pod should have until its sidecar has said what it has.
fn depends_on_sidecar(route: &ObservedRoute, pod: &ObservedPod) -> bool {
    route.spec.is_err() && selects(route, pod).is_none() && !pod.sidecar.presence.is_connected()
}

fn configurations(observed: &Observed, routes: &[PlannedRoute]) -> Vec<PlannedConfiguration> {
    let mut groups: BTreeMap<BTreeSet<usize>, Vec<PodId>> = BTreeMap::new();
    for pod in observed.pods.iter().filter(|pod| pod.has_sidecar()) {
        if observed.routes.iter().any(|route| depends_on_sidecar(route, pod)) {
            continue;
        }
        let wanted = wanted(observed, routes, pod);
        groups.entry(wanted).or_default().push(pod.id.clone());
    }
    groups
        .into_iter()
        .map(|(wanted, pods)| {
            let of_group = || {
                wanted
                    .iter()
                    .map(|index| (&observed.routes[*index], &routes[*index]))
            };
            let mut descriptors: Vec<_> = of_group()
                .filter_map(|(_, planned)| planned.descriptors.clone())
                .collect();
            descriptors.sort_by(|a, b| a.reference.cmp(&b.reference));
            descriptors.dedup_by(|a, b| a.reference == b.reference);
            let routes = of_group().map(|(route, planned)| sent(route, planned));
            let references = descriptors
                .iter()
                .map(|descriptors| descriptors.reference.clone());
            let trust_bundle = observed.trust_bundle.to_string();
            PlannedConfiguration {
                pods,
                configuration: Configuration::new(routes.collect(), references.collect(), trust_bundle, None),
                descriptors,
            }
        })
        .collect()
}

/// The pods whose sidecar has acknowledged the whole of what it should have.
fn serving<'a>(observed: &Observed, configurations: &'a [PlannedConfiguration]) -> BTreeSet<&'a PodId> {
    let versions = configurations.iter().flat_map(|planned| {
        let version = planned.configuration.version.as_str();
        planned.pods.iter().map(move |pod| (pod, version))
    });
    let versions: BTreeMap<_, _> = versions.collect();
    let pods = observed.pods.iter().filter_map(|pod| {
        let (id, version) = versions.get_key_value(&pod.id)?;
        let acknowledged = pod.sidecar.acknowledged.as_ref()?;
        (acknowledged.version == *version).then_some(*id)
    });
    pods.collect()
}

fn transcodes(
    planned: &PlannedRoute,
    route: &ObservedRoute,
    observed: &Observed,
    serving: &BTreeSet<&PodId>,
) -> Transcodes {
    if route
        .spec
        .as_ref()
        .is_ok_and(|spec| spec.route.transcoding.is_none())
    {
        return Transcodes::No;
    }
    let connected = || {
        let pods = observed.pods.iter().filter(|pod| concerns(route, pod));
        pods.filter(|pod| pod.has_sidecar() && pod.sidecar.presence.is_connected())
    };
    let progress = &planned.progress;
    let is_known = planned.descriptors.is_some() && progress.awaited == 0 && progress.refused.is_empty();
    match is_known && connected().count() > 0 && connected().all(|pod| serving.contains(&pod.id)) {
        true => Transcodes::ByNewest,
        false => Transcodes::ByFormer,
    }
}

/// What is suspended, or cannot work at the moment, takes nothing away from a sidecar that has an older generation of it.
fn sent(route: &ObservedRoute, planned: &PlannedRoute) -> SentRoute {
    match &route.stored.object {
        Ok(object) => {
            let held = planned.suspended || planned.unresolved.is_some() || planned.refusal.is_some();
            SentRoute::new(object, if held { Held::Yes } else { Held::No })
        }
        Err(unreadable) => SentRoute {
            manifest: json!({
                "apiVersion": WsRoute::api_version(&()),
                "kind": WsRoute::kind(&()),
                "metadata": {
                    "name": route.stored.metadata.name,
                    "namespace": route.stored.metadata.namespace,
                    "uid": route.stored.metadata.uid,
                    "generation": route.stored.metadata.generation,
                    "creationTimestamp": route.stored.metadata.creation_timestamp,
                },
                "spec": unreadable.spec,
            }),
            held: Held::Yes,
        },
    }
}

#[cfg(test)]
mod tests;
