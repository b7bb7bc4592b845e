//! SseSubscriptions on a whole cluster: what users see of them.

use anyhow::{Context, Result, anyhow, ensure};
use heddle_e2e::{Chat, Scenario, trace_lines};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;

const USER: (&str, &str) = (
    "user.proto",
    "syntax = \"proto3\";\nmessage User { string name = 1; }\n",
);

#[test]
fn a_push_in_the_stream_of_a_forge_becomes_code_at_once_under_one_trace() -> Result<()> {
    let scenario = Scenario::new("told")?;
    let first = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|object| {
        // An interval this long cannot be what starts the second run.
        object["spec"]["interval"] = json!("1h");
        object["spec"]["generate"] = json!([{ "name": "rust", "plugin": "prost" }]);
    })?;
    scenario.await_delivery(&first)?;
    scenario.subscribe("ssesubscription.yaml", |spec| {
        spec["sinks"] = json!([
            { "name": "generate", "idlRepo": { "name": "idl" } },
            { "name": "log", "log": {} },
        ]);
    })?;
    for condition in ["Ready", "Connected", "Delivering"] {
        scenario.await_subscription("pushes", &format!("condition={condition}"))?;
    }

    let pushed = Instant::now();
    let text = USER.1.replace("name", "full_name");
    let second = scenario.push(&[("user.proto", &text)], "Rename a field")?;
    let status = scenario.await_delivery(&second)?;
    println!("delivered {:.1} s after the push", pushed.elapsed().as_secs_f64());
    let run = status.last_run.context("there was no run")?;
    let requested = run.requested_at.unwrap_or_default();
    ensure!(requested.starts_with("pushes/"), "asked for by {requested:?}");

    let trace = run.trace_id.context("the run has no trace")?;
    let log = scenario.operator_log()?;
    let messages: Vec<_> = trace_lines(&log, &trace)
        .iter()
        .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
        .collect();
    ensure!(
        messages.iter().any(|message| message == "event received"),
        "the event is not in trace {trace}: {messages:?}"
    );
    ensure!(
        !trace_lines(&scenario.job_log()?, &trace).is_empty(),
        "the Job's log lacks trace {trace}"
    );
    let trailer = scenario
        .output()?
        .git(&["log", "-1", "--format=%(trailers:key=Traceparent)"])?;
    ensure!(
        trailer.contains(&trace),
        "the commit lacks trace {trace}: {trailer}"
    );
    ensure!(
        !log.contains("is forbidden: User"),
        "the chart grants less than the operator needs:\n{log}"
    );
    Ok(())
}

#[test]
fn a_push_in_the_stream_of_a_forge_is_heard_by_all_who_chat_through_a_sidecar_under_one_trace() -> Result<()>
{
    let scenario = Scenario::new("heard")?;
    scenario.push(&[USER], "Describe users")?;
    let chat = Chat::within(scenario.namespace())?;
    chat.apply_route(|_| ())?;
    chat.deploy()?;
    scenario.subscribe("ssesubscription.yaml", |spec| {
        spec["sinks"] = json!([
            { "name": "sessions", "wsRoute": { "name": "chat", "format": "CloudEvent" } },
            { "name": "log", "log": {} },
        ]);
    })?;
    chat.await_ready_pods(1)?;
    let pod = chat.pod()?;
    let mut guests = [chat.enter(&pod, "lobby")?, chat.enter(&pod, "kitchen")?];
    for guest in &mut guests {
        guest.say("good morning")?;
    }
    scenario.await_subscription("pushes", "condition=Ready")?;

    let pushed = Instant::now();
    let text = USER.1.replace("name", "full_name");
    let commit = scenario.push(&[("user.proto", &text)], "Rename a field")?;
    let mut traces = BTreeSet::new();
    for guest in &mut guests {
        let event = guest.hear(|message| message["data"]["after"] == commit)?;
        ensure!(
            event["specversion"] == "1.0" && event["type"] == "push",
            "no CloudEvent of a push: {event}"
        );
        let traceparent = event["traceparent"].as_str().unwrap_or_default();
        traces.extend(traceparent.split('-').nth(1).map(str::to_owned));
        guest.say("did you hear that")?;
    }
    println!("heard {:.1} s after the push", pushed.elapsed().as_secs_f64());
    let [trace] = Vec::from_iter(traces)
        .try_into()
        .map_err(|traces| anyhow!("all hear the same event in one trace: {traces:?}"))?;

    let queued = chat.await_line(&pod, |line| {
        line["message"] == "message queued for all sessions" && line["trace_id"] == trace
    })?;
    ensure!(queued["sessions"] == 2, "{queued}");
    let log = scenario.operator_log()?;
    let lines = trace_lines(&log, &trace);
    ensure!(
        lines.iter().any(|line| line["message"] == "event received"),
        "the event is not in trace {trace}: {lines:?}"
    );
    let [first, _second] = guests;
    first.leave()?;
    let ended = chat.await_access_line(&pod, "chat")?;
    ensure!(
        ended["messages_broadcast"] == 1 && ended["messages_missed"] == 0,
        "{ended}"
    );
    Ok(())
}
