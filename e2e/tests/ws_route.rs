//! WsRoutes on a whole cluster: what users of the example chat see.

use anyhow::{Context, Result, ensure};
use heddle_e2e::Chat;
use serde_json::json;
use tungstenite::protocol::frame::coding::CloseCode;

#[test]
fn a_selected_pod_gets_a_sidecar_and_guests_talk_through_it() -> Result<()> {
    let chat = Chat::new("sidecar")?;
    chat.apply_route(|_| ())?;
    chat.deploy()?;
    chat.await_ready_pods(1)?;
    let pod = chat.pod()?;
    let mut guest = chat.enter(&pod, "lobby")?;
    ensure!(guest.header("sec-websocket-protocol") == Some("chat.v1"));
    ensure!(
        guest
            .header("set-cookie")
            .is_some_and(|cookie| cookie.starts_with("chat-guest="))
    );
    guest.say("good morning")?;
    guest.leave()?;
    let line = chat.await_access_line(&pod, "chat")?;
    ensure!(
        line["messages_from_client"] == 1 && line["subprotocol"] == "chat.v1",
        "{line}"
    );
    ensure!(
        line["trace_id"].as_str().is_some_and(|id| id.len() == 32),
        "{line}"
    );
    Ok(())
}

#[test]
fn a_pod_that_is_older_than_its_route_is_named_until_it_is_made_anew() -> Result<()> {
    let chat = Chat::new("older")?;
    chat.deploy()?;
    chat.await_rollout()?;
    let pod = chat.pod()?;
    chat.apply_route(|_| ())?;
    chat.await_missing_on(&pod)?;
    chat.roll()?;
    chat.await_ready_pods(1)
}

#[test]
fn of_conflicting_routes_the_oldest_wins_and_the_other_names_it_until_it_takes_over() -> Result<()> {
    let chat = Chat::new("conflict")?;
    chat.apply_route(|route| route["spec"]["timeouts"]["drain"] = json!("0s"))?;
    chat.deploy()?;
    chat.await_ready()?;
    chat.apply_route(|route| route["metadata"]["name"] = json!("younger"))?;
    let conflict = chat.await_reason("younger", "Accepted", "Conflicted")?;
    ensure!(conflict.message.contains("WsRoute chat is older"), "{conflict:?}");
    let pod = chat.pod()?;
    let mut guest = chat.enter(&pod, "lobby")?;
    guest.say("by the older route")?;
    chat.await_ready()?;

    chat.delete_route()?;
    let close = guest.await_close()?.context("the Close frame has no code")?;
    ensure!(close.code == CloseCode::Away, "{close:?}");
    chat.await_route("younger", "condition=Ready")?;
    let mut guest = chat.enter(&pod, "lobby")?;
    guest.say("by the younger route")?;
    guest.leave()?;
    chat.await_access_line(&pod, "younger").map(drop)
}

#[test]
fn a_pod_of_an_excluded_namespace_gets_no_sidecar_and_is_named() -> Result<()> {
    let chat = Chat::beside_operator()?;
    chat.apply_route(|_| ())?;
    chat.deploy()?;
    chat.await_rollout()?;
    let pod = chat.pod()?;
    let ready = chat.await_reason("chat", "Ready", "SidecarExcluded")?;
    ensure!(ready.message.contains(&pod), "{ready:?}");
    let containers = "--output=jsonpath={.spec.initContainers[*].name}";
    let namespace = chat.namespace();
    let added = chat
        .kubectl()
        .run(&["get", "pod", &pod, "--namespace", namespace, containers])?;
    ensure!(added.is_empty(), "the pod got {added}");
    Ok(())
}

#[test]
fn a_changed_route_is_programmed_live_and_open_sessions_keep_theirs() -> Result<()> {
    let chat = Chat::new("live")?;
    chat.apply_route(|_| ())?;
    chat.deploy()?;
    chat.await_ready()?;
    let pod = chat.pod()?;
    let mut before = chat.enter(&pod, "lobby")?;
    before.say("here before the change")?;

    chat.apply_route(|route| route["spec"]["limits"]["maxMessageBytes"] = json!(64))?;
    chat.await_ready()?;
    let long = "a".repeat(100);
    before.say(&long)?;
    let mut after = chat.enter(&pod, "lobby")?;
    ensure!(
        after.say(&long).is_err(),
        "a message above the new limit was let through"
    );
    before.say("still here")
}

#[test]
fn a_pod_that_is_deleted_tells_its_guests_to_go_elsewhere() -> Result<()> {
    let chat = Chat::new("drain")?;
    chat.apply_route(|route| route["spec"]["timeouts"]["drain"] = json!("1s"))?;
    chat.deploy()?;
    chat.await_ready()?;
    let pod = chat.pod()?;
    let mut guest = chat.enter(&pod, "lobby")?;
    guest.say("not for long")?;
    chat.delete_pod(&pod)?;
    let close = guest.await_close()?.context("the Close frame has no code")?;
    ensure!(close.code == CloseCode::Away, "{close:?}");
    Ok(())
}
