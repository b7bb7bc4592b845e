use super::*;
use crate::conditions::Problem;
use crate::sse_subscription::notice::notice;
use heddle_crds::condition::Condition;
use kube::api::ObjectMeta;

fn stored(status: Option<SseSubscriptionStatus>) -> StoredSubscription {
    StoredSubscription {
        metadata: ObjectMeta {
            generation: Some(1),
            ..ObjectMeta::default()
        },
        spec: Err("not needed here".into()),
        status,
    }
}

fn watched(connection: Connection, failing: &[(&str, Reason)]) -> Watched {
    Watched {
        told: Told {
            connection,
            failing: failing
                .iter()
                .map(|(sink, reason)| {
                    let problem = Problem {
                        reason: *reason,
                        message: "it answered 503".to_owned(),
                    };
                    (Arc::from(*sink), problem)
                })
                .collect(),
            held: BTreeMap::new(),
            gone: None,
            checkpoint_failure: None,
            done_up_to: "7".into(),
            last_event_at: None,
        },
        counts: Counts::default(),
        descriptors: None,
    }
}

fn waiting(reason: Reason) -> Connection {
    Connection::Waiting {
        reason,
        message: "why".into(),
        until: Some(Timestamp::from_second(100).unwrap()),
    }
}

fn after(before: Option<SseSubscriptionStatus>, watched: &Watched) -> SseSubscriptionStatus {
    let now = Timestamp::from_second(10).unwrap();
    status(&stored(before), &Applied::Watching, Some(watched), "pod-0", now)
}

fn reason<'a>(status: &'a SseSubscriptionStatus, type_: &str) -> Option<&'a str> {
    let found: Option<&Condition> = condition::find(&status.conditions, type_);
    found.map(|condition| condition.reason.as_str())
}

#[test]
fn ready_says_the_first_thing_that_is_wrong() {
    let failing = ("orders", Reason::SinkFailing);
    let missing = ("route", Reason::RouteNotFound);
    for (connection, failing, ready, reconciling) in [
        (Connection::Open, &[][..], "Streaming", None),
        (Connection::Open, &[failing], "SinkFailing", Some("SinkFailing")),
        (
            Connection::Open,
            &[missing],
            "RouteNotFound",
            Some("RouteNotFound"),
        ),
        (
            Connection::Open,
            &[failing, missing],
            "SinkFailing",
            Some("SinkFailing"),
        ),
        (
            waiting(Reason::Unreachable),
            &[failing],
            "Unreachable",
            Some("Unreachable"),
        ),
        (Connection::Connecting, &[], "Connecting", Some("Connecting")),
    ] {
        let status = after(None, &watched(connection, failing));
        assert_eq!(reason(&status, "Ready"), Some(ready));
        assert_eq!(reason(&status, "Reconciling"), reconciling);
        assert_eq!(reason(&status, "Stalled"), None);
        assert_eq!(status.owner.as_deref(), Some("pod-0"));
        assert_eq!(status.last_event_id.as_deref(), Some("7"));
    }
}

#[test]
fn an_event_that_does_not_fit_and_types_that_are_not_there_are_told_of() {
    let mut holds = watched(Connection::Open, &[]);
    holds
        .told
        .held
        .insert("7\n8".into(), "its data is no JSON of shop.v1.Order".into());
    let holding = after(None, &holds);
    assert_eq!(reason(&holding, "Delivering"), Some("DataInvalid"));
    assert_eq!(reason(&holding, "Ready"), Some("DataInvalid"));
    let told = condition::find(&holding.conditions, "Ready").unwrap();
    assert!(
        told.message.contains("Event 78 cannot be delivered: its data"),
        "{}",
        told.message
    );

    let despite = Applied::WatchingDespite(Problem {
        reason: Reason::MessageTypeNotFound,
        message: "There is no shop.v1.Order.".into(),
    });
    let descriptors = Descriptors {
        digest: "sha256:0".into(),
        source_revision: "c0ffee".into(),
    };
    let goes_on = Watched {
        descriptors: Some(descriptors.clone()),
        ..watched(Connection::Open, &[])
    };
    let now = Timestamp::UNIX_EPOCH;
    let status = status(&stored(None), &despite, Some(&goes_on), "pod-0", now);
    assert_eq!(reason(&status, "Ready"), Some("MessageTypeNotFound"));
    assert_eq!(reason(&status, "Delivering"), Some("Delivering"));
    assert_eq!(status.owner.as_deref(), Some("pod-0"));
    assert_eq!(status.descriptors, Some(descriptors));
}

#[test]
fn what_waits_says_until_when_and_what_rests_has_no_owner() {
    let waits = after(None, &watched(waiting(Reason::RateLimited), &[]));
    assert_eq!(
        waits.next_attempt_at.as_ref().map(|at| at.0.as_second()),
        Some(100)
    );
    let resting = Applied::Resting(Problem {
        reason: Reason::SecretNotFound,
        message: "Secret token does not exist in this namespace.".into(),
    });
    let rests = status(
        &stored(Some(waits)),
        &resting,
        None,
        "pod-0",
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!((rests.owner, rests.next_attempt_at), (None, None));
    assert_eq!(
        reason(
            &status(&stored(None), &resting, None, "p", Timestamp::UNIX_EPOCH),
            "Stalled"
        ),
        Some("SecretNotFound")
    );
}

#[test]
fn transitions_are_told_and_what_every_connection_goes_through_is_not() {
    let open = after(None, &watched(Connection::Open, &[]));
    assert!(notice(None, &open).is_some(), "the first connection");
    assert!(notice(Some(&open), &open).is_none());
    let lost = after(Some(open.clone()), &watched(waiting(Reason::ConnectionLost), &[]));
    assert!(notice(Some(&open), &lost).is_none());
    let again = after(Some(lost.clone()), &watched(Connection::Open, &[]));
    assert!(notice(Some(&lost), &again).is_none());
    let away = after(Some(lost.clone()), &watched(waiting(Reason::Unreachable), &[]));
    assert!(notice(Some(&lost), &away).is_some());
    let back = after(Some(away.clone()), &watched(Connection::Open, &[]));
    assert!(notice(Some(&away), &back).is_some());
}
