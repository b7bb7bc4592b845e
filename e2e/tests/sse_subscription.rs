//! SseSubscriptions on a whole cluster: what users see of them.

use anyhow::{Context, Result, ensure};
use heddle_e2e::{Scenario, trace_lines};
use serde_json::json;
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
