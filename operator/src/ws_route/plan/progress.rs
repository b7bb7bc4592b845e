//! How far the sidecars of a route's pods are.

use super::concerns;
use crate::config_stream::Presence;
use crate::ws_route::observe::{Injection, ObservedPod, ObservedRoute};
use crate::ws_route::takeover::Awaiting;
use heddle_crds::ws_route::{NAMED_PODS_LIMIT, Sidecars};
use heddle_route_config::protocol::{RouteError, RouteResult};
use k8s_openapi::jiff::Timestamp;

/// How many pods are named in a message.
const NAMES_IN_MESSAGE: usize = 5;

/// How far the sidecars of a route's pods are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) counts: Sidecars,
    /// Ready pods that do not serve this generation, by what keeps them from it, in the order of their names.
    pub(crate) missing: Vec<String>,
    pub(crate) excluded: Vec<String>,
    pub(crate) not_connected: Vec<String>,
    /// How many of those that are not connected may have served it under another leader, and until when they are awaited.
    pub(crate) awaited: usize,
    pub(crate) awaited_until: Option<Timestamp>,
    pub(crate) pending: Vec<String>,
    /// Pods, ready or not, whose sidecar cannot serve it.
    pub(crate) refused: Vec<(String, RouteError)>,
}

enum State<'a> {
    Missing,
    Excluded,
    NotConnected,
    Pending,
    Refused(&'a RouteError),
    Programmed,
}

pub(super) fn progress(route: &ObservedRoute, pods: &[ObservedPod], awaiting: Option<Awaiting>) -> Progress {
    let mut progress = Progress {
        awaited_until: awaiting.map(|awaiting| awaiting.until),
        ..Progress::default()
    };
    for pod in pods.iter().filter(|pod| concerns(route, pod)) {
        progress.add(pod, &state(route, pod));
    }
    progress
}

/// What a pod's sidecar has said of this very object.
pub(super) fn acknowledged<'a>(route: &ObservedRoute, pod: &'a ObservedPod) -> Option<&'a RouteResult> {
    let metadata = &route.stored.metadata;
    let acknowledged = pod.sidecar.acknowledged.as_ref()?;
    let result = acknowledged.of(metadata.name.as_deref().unwrap_or_default());
    result.filter(|result| result.uid == metadata.uid)
}

fn state<'a>(route: &ObservedRoute, pod: &'a ObservedPod) -> State<'a> {
    let metadata = &route.stored.metadata;
    match pod.injection {
        Injection::Done => {}
        Injection::Missing => return State::Missing,
        Injection::Excluded => return State::Excluded,
    }
    if !pod.sidecar.presence.is_connected() {
        return State::NotConnected;
    }
    let Some(result) = acknowledged(route, pod) else {
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
        counts.connected += i32::from(pod.has_sidecar() && pod.sidecar.presence.is_connected());
        let list = match state {
            State::Missing => {
                counts.missing += 1;
                name_some(&mut counts.missing_on, name);
                &mut self.missing
            }
            State::Excluded => {
                counts.excluded += 1;
                name_some(&mut counts.excluded_on, name);
                &mut self.excluded
            }
            State::Programmed => {
                counts.programmed += 1;
                return;
            }
            State::Refused(error) => {
                self.refused.push((name.clone(), (*error).clone()));
                return;
            }
            State::NotConnected => {
                let is_awaited = self.awaited_until.is_some() && pod.sidecar.presence == Presence::Unseen;
                self.awaited += usize::from(pod.ready && is_awaited);
                &mut self.not_connected
            }
            State::Pending => &mut self.pending,
        };
        if pod.ready {
            list.push(name.clone());
        }
    }
}

fn name_some(names: &mut Vec<String>, name: &str) {
    if names.len() < NAMED_PODS_LIMIT {
        names.push(name.to_owned());
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
