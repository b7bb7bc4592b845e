//! The conditions that follow from a plan, by the rules of kstatus: `Reconciling` and `Stalled` are there only while
//! true, and never both.

mod before;

use super::observe::ObservedRoute;
use super::plan::{PlannedRoute, Progress, Transcodes, names};
use crate::conditions;
use before::Before;
use heddle_crds::condition::{self, ConditionStatus};
use heddle_crds::metadata;
use heddle_crds::reason::Retry;
use heddle_crds::transcoding::Descriptors;
use heddle_crds::ws_route::{ConditionType, Reason, WsRouteStatus};
use heddle_route_config::protocol::RouteErrorKind;
use k8s_openapi::jiff::Timestamp;

/// How many refusals are quoted in a message.
const QUOTED_REFUSALS: usize = 3;

type State = conditions::State<Reason>;
type Conditions = conditions::Conditions<ConditionType>;

/// The status of a route by what was planned for it. `trace_id` is that of the change that sent this generation, if known.
pub(crate) fn status(
    route: &ObservedRoute,
    planned: &PlannedRoute,
    trace_id: Option<String>,
    now: Timestamp,
) -> WsRouteStatus {
    let mut status = route.stored.status.clone().unwrap_or_default();
    let accepted = accepted(planned);
    let before = Before::of(route, planned);
    let resolved = before.resolved(resolved(planned));
    let programmed = before.programmed(programmed(planned, route.stored.metadata.generation));
    let ready = [&accepted, &resolved]
        .into_iter()
        .find(|state| state.status == ConditionStatus::False)
        .unwrap_or(&programmed)
        .clone();
    if programmed.status == ConditionStatus::True {
        status.trace_id = trace_id.or(status.trace_id);
    }
    status.sidecars = Some(before.counts(planned.progress.counts.clone()));
    match planned.transcodes {
        Transcodes::No => status.descriptors = None,
        // What was acknowledged last stands until the next one is.
        Transcodes::ByFormer => {}
        Transcodes::ByNewest => {
            status.descriptors = planned.descriptors.as_ref().map(|descriptors| Descriptors {
                digest: descriptors.reference.digest.clone(),
                source_revision: descriptors.source_commit.clone(),
            });
        }
    }
    let annotations = route.stored.metadata.annotations.as_ref();
    status.last_handled_requested_at =
        annotations
            .and_then(|all| all.get(metadata::REQUESTED_AT))
            .map(|value| {
                let mut value = value.clone();
                condition::truncate(&mut value, REQUEST_LIMIT);
                value
            });
    status.observed_generation = route.stored.metadata.generation;
    let mut conditions = Conditions::new(
        std::mem::take(&mut status.conditions),
        route.stored.metadata.generation,
        now,
    );
    conditions.set(ConditionType::Accepted, accepted);
    conditions.set(ConditionType::ResolvedRefs, resolved);
    conditions.set(ConditionType::Programmed, programmed);
    let until = |retry| ready.is_false_until(retry).then(|| ready.clone());
    conditions.set_while_true(ConditionType::Reconciling, until(Retry::Backoff));
    conditions.set_while_true(ConditionType::Stalled, until(Retry::OnChange));
    conditions.set(ConditionType::Ready, ready);
    status.conditions = conditions.into_list();
    status
}

/// The most characters of an answered request, which the schema sets.
const REQUEST_LIMIT: usize = 256;

fn accepted(planned: &PlannedRoute) -> State {
    match &planned.refusal {
        Some(problem) => problem.into(),
        None => State::is_true(
            Reason::Accepted,
            "The specification can work, and no older route has its requests.",
        ),
    }
}

fn resolved(planned: &PlannedRoute) -> State {
    if let Some(problem) = &planned.unresolved {
        return problem.into();
    }
    let refusals = planned.progress.refused.iter();
    let mut unknown_types = refusals.filter(|(_, error)| error.kind == RouteErrorKind::MessageType);
    match unknown_types.next() {
        Some((pod, error)) => State::is_false(
            Reason::MessageTypeNotFound,
            format!("{} (as pod {pod} found)", error.message),
        ),
        None => State::is_true(
            Reason::ResolvedRefs,
            "Everything that the specification names was found.",
        ),
    }
}

pub(super) fn programmed(planned: &PlannedRoute, generation: Option<i64>) -> State {
    let generation = generation.unwrap_or_default();
    if let Some(problem) = &planned.refusal {
        return State::is_false(
            problem.reason,
            format!(
                "Generation {generation} is not sent to sidecars{}: {}",
                match problem.reason {
                    // Of two that claim the same, one has to go.
                    Reason::Conflicted => "",
                    _ => ", which keep what they have of an older one",
                },
                problem.message
            ),
        );
    }
    let progress = &planned.progress;
    if let Some(state) = hindered(progress, generation) {
        return match planned.suspended {
            true => State::is_false(
                Reason::Suspended,
                format!(
                    "spec.suspend is true: sidecars keep what they have. {}",
                    state.message
                ),
            ),
            false => match &planned.unresolved {
                Some(problem) => problem.into(),
                None => state,
            },
        };
    }
    let ready = progress.counts.ready;
    State::is_true(
        Reason::Programmed,
        match ready {
            1 => format!("The one ready pod serves generation {generation}."),
            ready => format!("All {ready} ready pods serve generation {generation}."),
        },
    )
}

/// What keeps a generation from being served everywhere.
fn hindered(progress: &Progress, generation: i64) -> Option<State> {
    if !progress.refused.is_empty() {
        let quoted: Vec<_> = progress.refused[..progress.refused.len().min(QUOTED_REFUSALS)]
            .iter()
            .map(|(pod, error)| format!("{pod}: {}", error.message))
            .collect();
        let message = format!(
            "{} of {} connected sidecars cannot serve generation {generation}: {}",
            progress.refused.len(),
            progress.counts.connected,
            quoted.join("; ")
        );
        return Some(State::is_false(Reason::SidecarRefused, message));
    }
    let ready = progress.counts.ready;
    let several = |pods: &[String], what: &str| {
        let count = pods.len();
        format!("Of {ready} ready pods, {count} {what}: {}.", names(pods))
    };
    if !progress.missing.is_empty() {
        let text = several(&progress.missing, "without a sidecar");
        let advice = "A pod that is older than the route, or was made while the webhook was away, gets one when it is made anew.";
        return Some(State::is_false(
            Reason::SidecarMissing,
            format!("{text} {advice}"),
        ));
    }
    if !progress.excluded.is_empty() {
        let text = several(&progress.excluded, "left out by the webhook's selectors");
        let advice = "Such a pod gets no sidecar when it is made anew: change the labels of the pod or of its namespace first \
                      (the chart's webhook.objectSelector and webhook.namespaceSelector say which), or give the pod the \
                      annotation heddle.dev/sidecar: disabled, with which it does not count.";
        return Some(State::is_false(
            Reason::SidecarExcluded,
            format!("{text} {advice}"),
        ));
    }
    if !progress.not_connected.is_empty() {
        let text = several(
            &progress.not_connected,
            "whose sidecar is not connected to the operator",
        );
        return Some(State::is_false(Reason::SidecarNotConnected, text));
    }
    if !progress.pending.is_empty() {
        let what = format!("yet to acknowledge generation {generation}");
        let text = several(&progress.pending, &what);
        return Some(State::is_false(Reason::SidecarPending, text));
    }
    (ready == 0).then(|| {
        let text = match progress.counts.selected {
            0 => "The route selects no pods.".to_owned(),
            selected => format!("None of the {selected} pods that the route selects is ready."),
        };
        State::is_false(Reason::NoReadyPods, text)
    })
}
