//! WsRoutes while the operator is away or replaced. A binary of its own, because others need the operator.

use anyhow::{Context, Result, ensure};
use heddle_crds::WsRoute;
use heddle_crds::condition::{self, ConditionStatus};
use heddle_e2e::Chat;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// There is one operator, so one test at a time sends it away.
static TURN: Mutex<()> = Mutex::new(());

/// How long a new leader may take to look at a route.
const LEADER_DEADLINE: Duration = Duration::from_secs(60);

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn while_the_operator_is_away_sidecars_restart_from_disk_and_pods_without_one_are_named_afterwards()
-> Result<()> {
    let _turn = turn();
    let chat = Chat::new("away")?;
    // No session of the sidecar that restarts has to wait for long.
    chat.apply_route(|route| route["spec"]["timeouts"]["drain"] = json!("0s"))?;
    chat.deploy()?;
    chat.await_ready()?;
    let old = chat.pod()?;
    let absence = chat.environment().operator()?.send_away()?;

    chat.restart_sidecar(&old)?;
    let mut guest = chat.enter(&old, "lobby")?;
    guest.say("from disk")?;
    let long = "a".repeat(5000);
    ensure!(
        guest.say(&long).is_err(),
        "the limit of the route did not survive"
    );

    chat.scale(2)?;
    let pods = chat.pods()?;
    let new = pods
        .iter()
        .find(|pod| **pod != old)
        .context("there is no new pod")?;

    absence.end()?;
    chat.await_missing_on(new)?;
    let missing = chat.await_reason("chat", "Ready", "SidecarMissing")?;
    ensure!(missing.message.contains(new.as_str()), "{missing:?}");
    chat.await_webhook()?;
    chat.delete_pod(new)?;
    chat.await_ready_pods(2)
}

#[test]
fn sessions_and_conditions_do_not_notice_that_the_operator_is_rolled() -> Result<()> {
    const REQUEST: &str = "after-the-rollout";
    let _turn = turn();
    let chat = Chat::new("rolled")?;
    chat.apply_route(|_| ())?;
    chat.deploy()?;
    chat.await_ready()?;
    let pod = chat.pod()?;
    let mut guests: Vec<_> = (0..3)
        .map(|room| chat.enter(&pod, &format!("room-{room}")))
        .collect::<Result<_>>()?;
    for guest in &mut guests {
        guest.say("before")?;
    }
    let states = chat.watch()?;
    chat.environment().operator()?.roll()?;
    chat.request(REQUEST)?;
    let mut flaps = Vec::new();
    states.find(LEADER_DEADLINE, |state| {
        flaps.extend(flap(state));
        state["status"]["lastHandledRequestedAt"] == REQUEST
    })?;
    ensure!(flaps.is_empty(), "Programmed has changed: {flaps:?}");
    for guest in &mut guests {
        guest.say("after")?;
    }
    // The new leader is heard.
    chat.apply_route(|route| route["spec"]["limits"]["maxMessageBytes"] = json!(64))?;
    chat.await_ready_pods(1)?;
    let refused = chat.enter(&pod, "lobby")?.say(&"a".repeat(100));
    ensure!(refused.is_err(), "a message above the new limit was let through");
    guests
        .into_iter()
        .try_for_each(|mut guest| guest.say("still here"))
}

/// What Programmed says when it is not true.
fn flap(route: &Value) -> Option<String> {
    let route: WsRoute = serde_json::from_value(route.clone()).ok()?;
    let conditions = route.status.unwrap_or_default().conditions;
    let programmed = condition::find(&conditions, "Programmed")?;
    (programmed.status != ConditionStatus::True)
        .then(|| format!("{}: {}", programmed.reason, programmed.message))
}
