//! The conditions that follow from what a watcher tells, by the rules of kstatus: `Reconciling` and `Stalled` are there only
//! while true, and never both.

use super::apply::Applied;
use super::watcher::progress::{Connection, Told};
use super::world::StoredSubscription;
use crate::conditions;
use heddle_crds::condition::{self, ConditionStatus};
use heddle_crds::reason::Retry;
use heddle_crds::sse_subscription::{ConditionType, Counts, Reason, SseSubscriptionStatus};
use heddle_crds::transcoding::Descriptors;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

type State = conditions::State<Reason>;
type Conditions = conditions::Conditions<ConditionType>;

/// The most characters of an answered request, which the schema sets.
const REQUEST_LIMIT: usize = 256;

/// The most characters of an id, which the schema sets.
const ID_LIMIT: usize = 1024;

/// The most characters of an id in a message.
const QUOTED_ID_LIMIT: usize = 128;

/// What a watcher tells.
pub(crate) struct Watched {
    pub(crate) told: Told,
    pub(crate) counts: Counts,
    /// What it transcodes by.
    pub(crate) descriptors: Option<Descriptors>,
}

/// The status of a subscription. `watched` is what its watcher tells, if there is one.
pub(crate) fn status(
    stored: &StoredSubscription,
    applied: &Applied,
    watched: Option<&Watched>,
    owner: &str,
    now: Timestamp,
) -> SseSubscriptionStatus {
    let mut status = stored.status.clone().unwrap_or_default();
    let (connected, delivering, ready) = states(applied, watched);
    let is_watching = matches!(applied, Applied::Watching | Applied::WatchingDespite(_));
    status.owner = is_watching.then(|| owner.to_owned());
    status.next_attempt_at = None;
    status.descriptors = watched.and_then(|watched| watched.descriptors.clone());
    if let Some(Watched { told, counts, .. }) = watched {
        status.last_event_id = Some(cut(&told.done_up_to, ID_LIMIT)).filter(|id| !id.is_empty());
        status.last_event_at = told.last_event_at.map(|at| Time(whole_seconds(at)));
        status.counts = Some(counts.clone());
        status.next_attempt_at = match &told.connection {
            Connection::Waiting { until, .. } => until.map(|until| Time(whole_seconds(until))),
            _ => None,
        };
    }
    status.last_handled_requested_at = stored.requested_at().map(|value| cut(value, REQUEST_LIMIT));
    let generation = stored.metadata.generation;
    status.observed_generation = generation;
    let mut conditions = Conditions::new(std::mem::take(&mut status.conditions), generation, now);
    conditions.set(ConditionType::Connected, connected);
    conditions.set(ConditionType::Delivering, delivering);
    let until = |retry| ready.is_false_until(retry).then(|| ready.clone());
    conditions.set_while_true(ConditionType::Reconciling, until(Retry::Backoff));
    conditions.set_while_true(ConditionType::Stalled, until(Retry::OnChange));
    conditions.set(ConditionType::Ready, ready);
    status.conditions = conditions.into_list();
    status
}

/// Connected, Delivering and Ready.
fn states(applied: &Applied, watched: Option<&Watched>) -> (State, State, State) {
    if let Applied::Resting(problem) = applied {
        let state = State::from(problem);
        return (state.clone(), state.clone(), state);
    }
    let Some(Watched { told, .. }) = watched else {
        let pending = State::unknown(Reason::Pending, "The connection has not been tried yet.");
        return (pending.clone(), pending.clone(), pending);
    };
    let (connected, delivering) = (connected(&told.connection), delivering(told));
    let ready = [&connected, &delivering]
        .into_iter()
        .find(|state| state.status != ConditionStatus::True)
        .cloned()
        .unwrap_or_else(|| otherwise(applied, told));
    (connected, delivering, ready)
}

/// Ready, if the source is connected and sinks acknowledge.
fn otherwise(applied: &Applied, told: &Told) -> State {
    match (applied, &told.checkpoint_failure) {
        (Applied::WatchingDespite(problem), _) => State::is_false(
            problem.reason,
            format!(
                "{} Until that is mended, events are transcoded by what was published before.",
                problem.message
            ),
        ),
        (_, Some(failure)) => State::is_false(
            Reason::CheckpointFailed,
            format!("The stream's place cannot be stored: {failure}."),
        ),
        (_, None) => State::is_true(
            Reason::Streaming,
            "The connection to the source is open, and sinks acknowledge.",
        ),
    }
}

fn connected(connection: &Connection) -> State {
    match connection {
        Connection::Open => State::is_true(Reason::Connected, "The connection to the source is open."),
        Connection::Connecting => State::is_false(
            Reason::Connecting,
            "The connection to the source is being opened.",
        ),
        Connection::Waiting { reason, message, .. } | Connection::Ended { reason, message } => {
            State::is_false(*reason, message.clone())
        }
    }
}

fn delivering(told: &Told) -> State {
    if let Some((sink, message)) = &told.gone {
        return State::is_false(Reason::SinkGone, format!("Sink {sink} is gone: {message}."));
    }
    if let Some((id, why)) = told.held.first_key_value() {
        return State::is_false(Reason::DataInvalid, held(id, why));
    }
    if told.failing.is_empty() {
        return State::is_true(
            Reason::Delivering,
            "No sink has failed since its last acknowledgement.",
        );
    }
    let mut reasons: Vec<_> = told.failing.values().map(|problem| problem.reason).collect();
    reasons.dedup();
    let reason = match reasons[..] {
        [one] => one,
        _ => Reason::SinkFailing,
    };
    State::is_false(reason, failing(&told.failing))
}

fn held(id: &str, why: &str) -> String {
    let mut id = cut(id, QUOTED_ID_LIMIT);
    id.retain(|character| !character.is_control());
    format!(
        "Event {id} cannot be delivered: {why}. It is tried again, at once when its IdlRepo publishes other types; the source \
         waits meanwhile. With spec.delivery.deadLetter such events go there, and the stream goes on."
    )
}

fn failing(sinks: &BTreeMap<Arc<str>, conditions::Problem<Reason>>) -> String {
    let sinks: Vec<_> = sinks
        .iter()
        .map(|(sink, problem)| format!("Sink {sink} does not acknowledge: {}.", problem.message))
        .collect();
    format!(
        "{} It is tried again; the source waits meanwhile.",
        sinks.join(" ")
    )
}

fn cut(text: &str, limit: usize) -> String {
    let mut text = text.to_owned();
    condition::truncate(&mut text, limit);
    text
}

/// What the API stores.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
