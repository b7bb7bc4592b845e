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
        object: Err("not needed here".into()),
        status,
    }
}

fn watched(connection: Connection, failing: &[&str]) -> Watched {
    Watched {
        told: Told {
            connection,
            failing: failing
                .iter()
                .map(|sink| (Arc::from(*sink), "it answered 503".to_owned()))
                .collect(),
            gone: None,
            checkpoint_failure: None,
            done_up_to: "7".into(),
            last_event_at: None,
        },
        counts: Counts::default(),
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
    for (connection, failing, ready, reconciling) in [
        (Connection::Open, &[][..], "Streaming", None),
        (Connection::Open, &["orders"], "SinkFailing", Some("SinkFailing")),
        (
            waiting(Reason::Unreachable),
            &["orders"],
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
