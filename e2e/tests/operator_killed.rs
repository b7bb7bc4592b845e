//! The operator killed in mid-run. A binary of its own, so that no other test looks for the log of the pod that goes.

use anyhow::{Result, ensure};
use heddle_e2e::Scenario;
use serde_json::json;

const USER: (&str, &str) = (
    "user.proto",
    "syntax = \"proto3\";\nmessage User { string name = 1; }\n",
);

#[test]
fn the_operator_killed_in_mid_run_delivers_exactly_once() -> Result<()> {
    let scenario = Scenario::new("killed")?;
    let commit = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|object| {
        // Without a go_package in the file, Go is not for it.
        object["spec"]["generate"] = json!([{ "name": "rust", "plugin": "prost" }]);
    })?;
    scenario.await_reason("Generated", "Running")?;
    let operator = scenario.environment().operator()?;
    operator.kill()?;
    scenario.await_delivery(&commit)?;
    let generated = scenario
        .output()?
        .git(&["log", "--format=%s", "--grep=Heddle-Source-Commit"])?;
    ensure!(
        generated.lines().count() == 1,
        "expected one generated commit:\n{generated}"
    );
    operator.await_rollout()
}
