//! How far the sidecars of a route's pods are.

use super::selects;
use crate::ws_route::observe::{ObservedPod, ObservedRoute};
use heddle_crds::ws_route::{NAMED_PODS_LIMIT, Sidecars};
use heddle_route_config::protocol::RouteError;

/// How many pods are named in a message.
const NAMES_IN_MESSAGE: usize = 5;

/// How far the sidecars of a route's pods are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) counts: Sidecars,
    /// Ready pods that do not serve this generation, by what keeps them from it, in the order of their names.
    pub(crate) missing: Vec<String>,
    pub(crate) not_connected: Vec<String>,
    pub(crate) pending: Vec<String>,
    /// Pods, ready or not, whose sidecar cannot serve it.
    pub(crate) refused: Vec<(String, RouteError)>,
}

enum State<'a> {
    Missing,
    NotConnected,
    Pending,
    Refused(&'a RouteError),
    Programmed,
}

pub(super) fn progress(route: &ObservedRoute, pods: &[ObservedPod]) -> Progress {
    let mut progress = Progress::default();
    for pod in pods.iter().filter(|pod| selects(route, pod)) {
        progress.add(pod, &state(route, pod));
    }
    progress
}

fn state<'a>(route: &ObservedRoute, pod: &'a ObservedPod) -> State<'a> {
    let metadata = &route.stored.metadata;
    if !pod.has_sidecar {
        return State::Missing;
    }
    if !pod.sidecar.connected {
        return State::NotConnected;
    }
    let acknowledged = pod.sidecar.acknowledged.as_ref();
    let result = acknowledged
        .and_then(|acknowledged| acknowledged.of(metadata.name.as_deref().unwrap_or_default()))
        .filter(|result| result.uid == metadata.uid);
    let Some(result) = result else {
        return State::Pending;
    };
    // What was refused before this generation was sent says nothing about it.
    let refused = result
        .error
        .as_ref()
        .filter(|error| Some(error.generation) == metadata.generation);
    match refused {
        Some(error) => State::Refused(error),
        None if result.generation == metadata.generation => State::Programmed,
        None => State::Pending,
    }
}

impl Progress {
    fn add(&mut self, pod: &ObservedPod, state: &State<'_>) {
        let name = &pod.id.name;
        let counts = &mut self.counts;
        counts.selected += 1;
        counts.ready += i32::from(pod.ready);
        counts.connected += i32::from(pod.has_sidecar && pod.sidecar.connected);
        let list = match state {
            State::Missing => {
                counts.missing += 1;
                if counts.missing_on.len() < NAMED_PODS_LIMIT {
                    counts.missing_on.push(name.clone());
                }
                &mut self.missing
            }
            State::Programmed => {
                counts.programmed += 1;
                return;
            }
            State::Refused(error) => {
                self.refused.push((name.clone(), (*error).clone()));
                return;
            }
            State::NotConnected => &mut self.not_connected,
            State::Pending => &mut self.pending,
        };
        if pod.ready {
            list.push(name.clone());
        }
    }
}

/// Some names for people, and how many more there are.
pub(crate) fn names(pods: &[String]) -> String {
    let named = pods[..pods.len().min(NAMES_IN_MESSAGE)].join(", ");
    match pods.len().saturating_sub(NAMES_IN_MESSAGE) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
