//! Which routes yield to older ones.

use crate::ws_route::observe::{ObservedPod, ObservedRoute};
use heddle_route_config::{Conflict, RouteId, RouteTable};
use std::collections::{BTreeMap, BTreeSet};

/// The names of routes that yield, and to whom and why in words. Routes meet only in pods that both select.
pub(super) fn losers(routes: &[ObservedRoute], pods: &[ObservedPod]) -> BTreeMap<String, String> {
    let valid: Vec<_> = routes
        .iter()
        .filter_map(|route| route.spec.as_ref().ok())
        .collect();
    let mut meetings: BTreeMap<BTreeSet<usize>, &str> = BTreeMap::new();
    for pod in pods {
        let selecting = valid
            .iter()
            .enumerate()
            .filter(|(_, spec)| spec.selects(&pod.labels));
        let selecting: BTreeSet<_> = selecting.map(|(index, _)| index).collect();
        if selecting.len() > 1 {
            meetings.entry(selecting).or_insert(&pod.id.name);
        }
    }
    let mut conflicts: Vec<(Conflict, &str)> = Vec::new();
    for (indexes, pod) in &meetings {
        let met = indexes.iter().map(|index| valid[*index].route.clone());
        let found = RouteTable::new(met).conflicts();
        conflicts.extend(found.into_iter().map(|conflict| (conflict, *pod)));
    }
    let ages: BTreeMap<&RouteId, i64> = valid
        .iter()
        .map(|spec| (&spec.route.id, spec.route.created_at))
        .collect();
    let age = |route: &RouteId| (ages.get(route).copied(), route.clone());
    conflicts.sort_by_cached_key(|(conflict, _)| (age(&conflict.loser), age(&conflict.winner)));
    yielding(conflicts)
}

/// From the oldest loser to the youngest: nobody yields to a route that yields itself.
fn yielding(conflicts: Vec<(Conflict, &str)>) -> BTreeMap<String, String> {
    let mut losers = BTreeMap::new();
    for (conflict, pod) in conflicts {
        if losers.contains_key(&conflict.winner.name) || losers.contains_key(&conflict.loser.name) {
            continue;
        }
        let message = format!(
            "WsRoute {} is older and has this: {}. Both select pod {pod}, for example.",
            conflict.winner.name, conflict.claim
        );
        losers.insert(conflict.loser.name, message);
    }
    losers
}
