//! Decides what is to be done about a subscription: a pure function of what was observed.

use super::checkpoint::{Ended, Stored};
use super::observe::{Found, Invalid, Observed};
use super::watchers::Circumstances;
use crate::conditions;
use heddle_crds::sse_subscription::Reason;
use heddle_telemetry::ErrorChain;

type Problem = conditions::Problem<Reason>;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Plan {
    /// Another replica looks after it: a watcher of this one stops, and nothing is said.
    Leave,
    /// No watcher is to run, and this is why.
    Rest(Problem),
    /// Nothing more is to come until somebody changes something.
    StayEnded(Ended),
    /// Another process has the claim and is still there.
    Wait,
    /// The watcher that runs goes on.
    Keep,
    /// It goes on, and transcodes by the types that were observed from now on.
    Swap,
    /// It goes on by the types that it has, though there is something wrong with those that it is to have.
    KeepDespite(Problem),
    /// A watcher that runs by something older, or has ended, is stopped; then it is looked again.
    Stop,
    /// A watcher is started, to go on from what is stored.
    Start {
        circumstances: Circumstances,
        before: Option<Box<Stored>>,
    },
}

/// What is to be done.
pub(crate) fn plan(observed: &Observed) -> Plan {
    let stored = &observed.stored;
    if !observed.view.is_mine(stored.uid()) {
        return Plan::Leave;
    }
    let validated = match &observed.validated {
        Ok(validated) => validated,
        Err(invalid) => return Plan::Rest(refusal(invalid)),
    };
    if validated.spec.suspend {
        return Plan::Rest(Problem {
            reason: Reason::Suspended,
            message: "spec.suspend is true: the connection is closed, and the stream's place is kept.".into(),
        });
    }
    let Some(found) = &observed.found else {
        return keep(observed);
    };
    start(observed, found)
}

fn refusal(invalid: &Invalid) -> Problem {
    match invalid {
        Invalid::Object(error) => Problem {
            reason: Reason::InvalidSpec,
            message: format!("The object cannot be read: {error}."),
        },
        Invalid::Spec(error) => Problem {
            reason: error.reason(),
            message: format!("{}.", ErrorChain(error)),
        },
    }
}

/// A watcher that runs is not stopped for the sake of types: nothing of its stream may be lost for that.
fn keep(observed: &Observed) -> Plan {
    let running = observed
        .running
        .as_ref()
        .and_then(|running| running.types.as_ref());
    match (&observed.types, running) {
        (Some(Err(problem)), _) => Plan::KeepDespite(problem.clone()),
        (Some(Ok(types)), Some(running)) if types.descriptors.digest != running.descriptors.digest => {
            Plan::Swap
        }
        _ => Plan::Keep,
    }
}

fn start(observed: &Observed, found: &Found) -> Plan {
    let stored = &observed.stored;
    let circumstances = Circumstances {
        uid: stored.uid().to_owned(),
        generation: stored.generation(),
        requested_at: stored.requested_at().cloned(),
        secrets: found.digest,
    };
    if let Some(running) = &observed.running {
        return match running.circumstances == circumstances && !running.has_ended {
            true => keep(observed),
            // What it stores at its end is what to go on from.
            false => Plan::Stop,
        };
    }
    let before = match &found.checkpoint {
        Ok(before) => before.clone(),
        Err(error) => {
            return Plan::Rest(Problem {
                reason: Reason::CheckpointFailed,
                message: format!("{}.", ErrorChain(error)),
            });
        }
    };
    let place = before.as_ref().map(|before| &before.place);
    let owner = place.and_then(|place| place.owner.as_deref());
    // What this process claimed for a watcher that is no more, it may go on with.
    let is_own = owner.is_some() && owner == observed.view.own.as_deref();
    if !is_own && owner.is_some_and(|owner| observed.view.is_there(owner)) {
        return Plan::Wait;
    }
    match place.and_then(|place| place.ended.clone()) {
        Some(ended)
            if ended.generation == circumstances.generation
                && ended.requested_at == circumstances.requested_at =>
        {
            Plan::StayEnded(ended)
        }
        _ => match &observed.types {
            Some(Err(problem)) => Plan::Rest(problem.clone()),
            _ => Plan::Start {
                circumstances,
                before: before.map(Box::new),
            },
        },
    }
}

#[cfg(test)]
mod tests;
