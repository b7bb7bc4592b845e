//! What each sidecar should have, and what is the case with each route: a pure function of the observed namespace.

mod conflicts;
mod progress;

use super::observe::{Observed, ObservedPod, ObservedRoute, Problem};
use super::validate::ValidatedRoute;
use crate::config_stream::{Descriptors, GRACE, PodId};
use heddle_crds::ws_route::Reason;
use heddle_route_config::protocol::{Held, SentRoute};
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
    pub(crate) routes: Vec<SentRoute>,
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
    /// The descriptor set that it goes by.
    pub(crate) descriptors: Option<Arc<Descriptors>>,
    pub(crate) progress: Progress,
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
        planned.progress = progress::progress(route, &observed.pods);
    }
    let unresolved = routes.iter().any(|route| route.unresolved.is_some());
    let lingering = observed.pods.iter().filter_map(|pod| pod.sidecar.gone_at);
    let lingering = lingering.map(|at| GRACE.saturating_sub(at.elapsed()) + MARGIN);
    Plan {
        configurations: configurations(observed, &routes),
        wake_after: lingering.chain(unresolved.then_some(UNRESOLVED_DELAY)).min(),
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
        !conflicted && selects(route, pod)
    });
    wanted.map(|(index, _)| index).collect()
}

/// Whether a route selects a pod. One that is invalid does as far as can be told.
fn selects(route: &ObservedRoute, pod: &ObservedPod) -> bool {
    match (&route.spec, &route.stored.object) {
        (Ok(spec), _) => spec.selects(&pod.labels),
        (Err(_), Ok(object)) => {
            kube::core::Selector::try_from(object.spec.selector.clone()).is_ok_and(|selector| {
                use kube::core::SelectorExt;
                !selector.selects_all() && selector.matches(&pod.labels)
            })
        }
        (Err(_), Err(_)) => false,
    }
}

fn configurations(observed: &Observed, routes: &[PlannedRoute]) -> Vec<PlannedConfiguration> {
    let mut groups: BTreeMap<BTreeSet<usize>, Vec<PodId>> = BTreeMap::new();
    for pod in observed.pods.iter().filter(|pod| pod.has_sidecar) {
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
            PlannedConfiguration {
                pods,
                routes: of_group()
                    .filter_map(|(route, planned)| sent(route, planned))
                    .collect(),
                descriptors,
            }
        })
        .collect()
}

/// What is suspended, or cannot work at the moment, takes nothing away from a sidecar that has an older generation of it.
fn sent(route: &ObservedRoute, planned: &PlannedRoute) -> Option<SentRoute> {
    let object = route.stored.object.as_ref().ok()?;
    let held = planned.suspended || planned.unresolved.is_some() || planned.refusal.is_some();
    Some(SentRoute::new(object, if held { Held::Yes } else { Held::No }))
}

#[cfg(test)]
mod tests;
