use super::*;
use crate::sharding::View;
use crate::sse_subscription::checkpoint::{CheckpointError, Place};
use crate::sse_subscription::resolve::Secrets;
use crate::sse_subscription::types::Types;
use crate::sse_subscription::types::tests::types;
use crate::sse_subscription::validate::validate;
use crate::sse_subscription::watcher::progress::{News, Progress};
use crate::sse_subscription::watchers::RunningWatcher;
use crate::sse_subscription::world::StoredSubscription;
use heddle_crds::SseSubscription;
use heddle_crds::sse_subscription::Counts;
use serde_json::{Value, json};
use std::sync::Arc;

const OWN: &str = "pod-0/1";

fn object(spec: &Value) -> SseSubscription {
    let mut whole = json!({
        "source": { "url": "https://forge.example/events" },
        "sinks": [{ "name": "log", "log": {} }],
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "SseSubscription",
        "metadata": { "namespace": "shop", "name": "pushes", "uid": "u", "generation": 3 },
        "spec": whole,
    }))
    .unwrap()
}

fn observed(spec: &Value, place: Option<Place>) -> Observed {
    let object = object(spec);
    let spec = Arc::new(object.spec);
    Observed {
        stored: Arc::new(StoredSubscription {
            metadata: object.metadata,
            status: None,
            spec: Ok(Arc::clone(&spec)),
        }),
        view: View::alone(OWN, "pod-0"),
        validated: validate(&spec).map_err(Invalid::Spec),
        running: None,
        found: Some(found(Ok(place.map(Stored::for_test)))),
        types: None,
    }
}

fn found(checkpoint: Result<Option<Stored>, CheckpointError>) -> Found {
    Found {
        secrets: Secrets::new(),
        digest: [0; 32],
        checkpoint,
    }
}

fn running(generation: i64, has_ended: bool) -> RunningWatcher {
    let news = News::default();
    let metrics = Arc::default();
    let progress = Progress::new("k".into(), news, metrics, "".into(), &Counts::default(), None);
    RunningWatcher {
        circumstances: Circumstances {
            uid: "u".into(),
            generation,
            requested_at: None,
            secrets: [0; 32],
        },
        types: None,
        progress: Arc::new(progress),
        has_ended,
    }
}

fn owned_by(owner: &str) -> Place {
    Place {
        owner: Some(owner.into()),
        ..Place::default()
    }
}

#[test]
fn a_stream_is_begun_when_nobody_else_who_is_there_has_it() {
    for place in [None, Some(Place::default()), Some(owned_by("pod-9/7"))] {
        let observed = observed(&json!({}), place);
        assert!(matches!(plan(&observed), Plan::Start { .. }));
    }
    let mut shared = observed(&json!({}), Some(owned_by("pod-1/2")));
    // Of the same replica, so that the subscription is this one's whatever the hash says.
    shared.view = View::of(OWN, &[(OWN, "pod-0"), ("pod-1/2", "pod-0")]);
    assert_eq!(plan(&shared), Plan::Wait);
}

/// A watcher that panics, or cannot give its claim back, leaves it in this process's name.
#[test]
fn a_claim_of_this_process_for_a_watcher_that_is_gone_is_gone_on_with() {
    let observed = observed(&json!({}), Some(owned_by(OWN)));
    assert!(matches!(plan(&observed), Plan::Start { .. }));
}

#[test]
fn what_is_anothers_is_left_alone() {
    let mut observed = observed(&json!({}), None);
    observed.view.own = None;
    assert_eq!(plan(&observed), Plan::Leave);
}

#[test]
fn a_watcher_goes_on_until_what_it_works_by_changes_or_it_ends() {
    let mut observed = observed(&json!({}), None);
    observed.running = Some(running(3, false));
    assert_eq!(plan(&observed), Plan::Keep);
    observed.running = Some(running(2, false));
    assert_eq!(plan(&observed), Plan::Stop);
    observed.running = Some(running(3, true));
    assert_eq!(plan(&observed), Plan::Stop);
    observed.running = Some(running(3, false));
    observed.found.as_mut().unwrap().digest = [1; 32];
    assert_eq!(plan(&observed), Plan::Stop, "a Secret has changed");
    observed.found = None;
    assert_eq!(plan(&observed), Plan::Keep);
}

#[test]
fn a_stream_that_has_ended_stays_so_until_somebody_asks() {
    let ended = |generation| Ended {
        reason: Reason::EndedByServer,
        message: "over".into(),
        generation,
        requested_at: None,
    };
    let place = |generation| Place {
        ended: Some(ended(generation)),
        ..Place::default()
    };
    let same = observed(&json!({}), Some(place(3)));
    assert_eq!(plan(&same), Plan::StayEnded(ended(3)));
    let changed = observed(&json!({}), Some(place(2)));
    assert!(matches!(plan(&changed), Plan::Start { .. }));
}

fn transcoded_by(messages: &str) -> Option<Result<Arc<Types>, Problem>> {
    Some(Ok(types(messages)))
}

fn no_types() -> Problem {
    Problem {
        reason: Reason::IdlRepoNotFound,
        message: "IdlRepo shop is away.".into(),
    }
}

#[test]
fn a_watcher_without_types_is_not_started_and_one_that_has_some_is_never_stopped_for_others() {
    let mut observed = observed(&json!({}), None);
    observed.types = Some(Err(no_types()));
    assert_eq!(plan(&observed), Plan::Rest(no_types()));
    observed.types = transcoded_by("message A {}");
    assert!(matches!(plan(&observed), Plan::Start { .. }));

    for found in [observed.found.take(), None] {
        observed.found = found;
        observed.running = Some(RunningWatcher {
            types: Some(types("message A {}")),
            ..running(3, false)
        });
        assert_eq!(plan(&observed), Plan::Keep, "the same as it has");
        observed.types = transcoded_by("message B {}");
        assert_eq!(plan(&observed), Plan::Swap);
        observed.types = Some(Err(no_types()));
        assert_eq!(plan(&observed), Plan::KeepDespite(no_types()));
        observed.types = transcoded_by("message A {}");
    }
}

#[test]
fn what_cannot_work_rests_with_its_reason() {
    let resting = |observed: &Observed| match plan(observed) {
        Plan::Rest(problem) => problem.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        resting(&observed(&json!({ "suspend": true }), None)),
        Reason::Suspended
    );
    let filter = json!({ "filter": { "cel": "data." } });
    assert_eq!(resting(&observed(&filter, None)), Reason::FilterInvalid);
    let mut foreign = observed(&json!({}), None);
    foreign.found = Some(found(Err(CheckpointError::Foreign {
        name: "pushes-checkpoint".into(),
    })));
    assert_eq!(resting(&foreign), Reason::CheckpointFailed);
}
