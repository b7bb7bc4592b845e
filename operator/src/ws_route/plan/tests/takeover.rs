//! The first moments of a leader, before sidecars have connected to it.

use super::*;
use crate::ws_route::takeover::Awaiting;
use heddle_crds::ws_route::Sidecars;

fn awaiting() -> Option<Awaiting> {
    Some(Awaiting {
        left: Duration::from_secs(30),
        until: Timestamp::from_second(1_800_000_030).unwrap(),
    })
}

/// What the last leader said, and what the next one sees before anybody has connected.
fn after_takeover(pods: Vec<ObservedPod>, still_there: &[&str]) -> (WsRouteStatus, Observed) {
    let mut observed = observed(vec![route("chat", 1, &[])], pods);
    let said = status_of(&observed);
    let mut stored = (*observed.routes[0].stored).clone();
    stored.status = Some(said.clone());
    observed.routes[0].stored = Arc::new(stored);
    for pod in &mut observed.pods {
        if !still_there.contains(&pod.id.name.as_str()) {
            pod.sidecar = ObservedSidecar::default();
        }
    }
    observed.awaiting = awaiting();
    (said, observed)
}

fn message(status: &WsRouteStatus) -> &str {
    &find(&status.conditions, "Programmed").unwrap().message
}

#[test]
fn a_new_leader_keeps_what_was_said_until_sidecars_had_time_to_connect() {
    let done = |name| pod_that_said(name, Some(2), None);
    let (said, mut observed) = after_takeover(vec![done("a"), done("b")], &[]);
    let kept = status_of(&observed);
    for type_ in ["Programmed", "Ready"] {
        assert_eq!(
            condition(&kept, type_),
            (ConditionStatus::True, "Programmed".into())
        );
    }
    assert_eq!(kept.sidecars, said.sidecars);
    assert_eq!(
        message(&kept),
        "All 2 ready pods serve generation 2. So it was when the operator began anew; sidecars are awaited until \
         2027-01-15T08:00:30Z."
    );
    let wake_after = plan(&observed).wake_after.unwrap();
    assert!(wake_after > Duration::from_secs(30), "{wake_after:?}");

    // Said once, whoever comes meanwhile, also when the next leader follows at once.
    let mut stored = (*observed.routes[0].stored).clone();
    stored.status = Some(kept.clone());
    observed.routes[0].stored = Arc::new(stored);
    observed.pods[0] = done("a");
    assert_eq!(status_of(&observed), kept);

    // All have come.
    observed.pods[1] = done("b");
    assert_eq!(status_of(&observed), said);

    // One has not.
    observed.pods[1] = pod("b", "chat");
    observed.awaiting = None;
    assert_eq!(
        condition(&status_of(&observed), "Programmed"),
        (ConditionStatus::False, "SidecarNotConnected".into())
    );
}

#[test]
fn what_sidecars_refused_is_kept_as_well() {
    for (kind, type_, reason) in [
        (RouteErrorKind::Other, "Programmed", "SidecarRefused"),
        (RouteErrorKind::MessageType, "ResolvedRefs", "MessageTypeNotFound"),
    ] {
        let (said, observed) = after_takeover(vec![pod_that_said("a", None, Some(kind))], &[]);
        let kept = status_of(&observed);
        for status in [said, kept] {
            let found = (ConditionStatus::False, reason.to_owned());
            assert_eq!(condition(&status, type_), found);
            assert_eq!(condition(&status, "Ready"), found);
        }
    }
}

#[test]
fn nothing_is_kept_that_somebody_contradicts() {
    let done = |name| pod_that_said(name, Some(2), None);
    // One has come back with less than it had.
    let (_, mut observed) = after_takeover(vec![done("a"), done("b")], &["b"]);
    observed.pods[0] = pod_that_said("a", Some(1), None);
    assert_eq!(
        condition(&status_of(&observed), "Programmed"),
        (ConditionStatus::False, "SidecarPending".into())
    );
    // A pod is there that the last leader did not know.
    let (_, mut observed) = after_takeover(vec![done("a")], &[]);
    observed.pods.push(pod("b", "chat"));
    assert_eq!(
        condition(&status_of(&observed), "Programmed"),
        (ConditionStatus::False, "SidecarNotConnected".into())
    );
    // What was said is of an older generation.
    let (_, mut observed) = after_takeover(vec![done("a")], &[]);
    let mut stored = (*observed.routes[0].stored).clone();
    stored.metadata.generation = Some(3);
    observed.routes[0].stored = Arc::new(stored);
    assert_eq!(
        condition(&status_of(&observed), "Programmed"),
        (ConditionStatus::False, "SidecarNotConnected".into())
    );
    // Nobody has said anything yet.
    let mut fresh = self::observed(vec![route("chat", 1, &[])], vec![pod("a", "chat")]);
    fresh.awaiting = awaiting();
    let status = status_of(&fresh);
    assert_eq!(
        condition(&status, "Programmed"),
        (ConditionStatus::False, "SidecarNotConnected".into())
    );
    assert_eq!(
        status.sidecars.unwrap(),
        Sidecars {
            selected: 1,
            ready: 1,
            ..Sidecars::default()
        }
    );
}
