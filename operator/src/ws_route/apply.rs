//! Has every sidecar of a namespace get what the plan says.

use super::WsRouteContext;
use super::observe::Observed;
use super::plan::{self, Plan, PlannedConfiguration};
use super::status;
use super::world::StoredRoute;
use crate::config_stream::{Audience, Desired, PodId};
use heddle_crds::condition::{self, ConditionStatus};
use heddle_crds::ws_route::ConditionType;
use heddle_route_config::protocol::{Configuration, Held, SentRoute};
use heddle_telemetry::TraceParent;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::info_span;

/// Which change of each route was sent last. What was programmed already is found out from statuses again when the process
/// is a new one.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<HashMap<String, Change>>);

/// The change that a generation was sent by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) generation: i64,
    pub(crate) trace_id: Option<String>,
}

impl Changes {
    /// The change that this generation of the route was sent by.
    pub(crate) fn of(&self, uid: Option<&str>, generation: Option<i64>) -> Option<Change> {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let change = changes.get(uid?)?;
        (Some(change.generation) == generation).then(|| change.clone())
    }

    /// Takes over what another leader has brought everywhere.
    fn adopt(&self, route: &StoredRoute) {
        let (uid, generation) = (route.metadata.uid.as_ref(), route.metadata.generation);
        let Some(((uid, generation), status)) = uid.zip(generation).zip(route.status.as_ref()) else {
            return;
        };
        let programmed = condition::find(&status.conditions, ConditionType::Programmed.as_str());
        let is_programmed = programmed.is_some_and(|programmed| {
            programmed.status == ConditionStatus::True && programmed.observed_generation == Some(generation)
        });
        if is_programmed {
            let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            changes.entry(uid.clone()).or_insert_with(|| Change {
                generation,
                trace_id: status.trace_id.clone(),
            });
        }
    }

    fn is_known(&self, route: &SentRoute) -> bool {
        self.of(route.uid(), Some(route.generation())).is_some()
    }

    fn note(&self, route: &SentRoute, trace_id: Option<String>) {
        let change = Change {
            generation: route.generation(),
            trace_id,
        };
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.insert(route.uid().unwrap_or_default().to_owned(), change);
    }

    /// Forgets routes of which `is_there` says that they are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.retain(|uid, _| is_there(uid));
    }
}

/// Hands everything to the streams. Nothing can fail: a sidecar that is away gets it when it is back.
pub(crate) fn apply(context: &WsRouteContext, namespace: &str, observed: &Observed, plan: &Plan) {
    for route in &observed.routes {
        context.changes.adopt(&route.stored);
    }
    let trace_parent = change(context, namespace, plan);
    let mut desired: HashMap<PodId, Arc<Desired>> = HashMap::new();
    for planned in &plan.configurations {
        let one = Arc::new(desire(planned, trace_parent.as_ref()));
        desired.extend(planned.pods.iter().map(|pod| (pod.clone(), Arc::clone(&one))));
    }
    context
        .sidecars
        .desire(namespace, &desired, audiences(observed, plan));
}

/// Who serves each route.
fn audiences(observed: &Observed, plan: &Plan) -> HashMap<String, Audience> {
    let routes = observed.routes.iter().zip(&plan.routes);
    let audiences = routes.map(|(route, planned)| {
        let metadata = &route.stored.metadata;
        let programmed = status::programmed(planned, metadata.generation);
        let is_programmed = programmed.status == ConditionStatus::True;
        let audience = Audience {
            trouble: (!is_programmed).then_some(programmed.message),
            members: plan::members(route, &observed.pods),
        };
        (metadata.name.clone().unwrap_or_default(), audience)
    });
    audiences.collect()
}

fn desire(planned: &PlannedConfiguration, trace_parent: Option<&TraceParent>) -> Desired {
    let configuration = Configuration {
        traceparent: trace_parent.map(TraceParent::to_string),
        ..planned.configuration.clone()
    };
    Desired::new(configuration, planned.descriptors.clone())
}

/// A new generation of a route starts a trace, which goes on in the sidecars that it reaches.
fn change(context: &WsRouteContext, namespace: &str, plan: &Plan) -> Option<TraceParent> {
    let routes = plan
        .configurations
        .iter()
        .flat_map(|planned| &planned.configuration.routes);
    let new: Vec<_> = routes
        .filter(|route| route.held == Held::No && !context.changes.is_known(route))
        .collect();
    if new.is_empty() {
        return None;
    }
    let span = info_span!(parent: None, "ws_route.change", namespace);
    let trace_parent = TraceParent::of(&span);
    let trace_id = trace_parent.as_ref().map(TraceParent::trace_id_hex);
    for route in new {
        if context.changes.is_known(route) {
            continue;
        }
        context.changes.note(route, trace_id.clone());
        let (name, generation) = (route.name(), route.generation());
        span.in_scope(|| tracing::info!(namespace, name, generation, "route is sent to sidecars"));
    }
    trace_parent
}
