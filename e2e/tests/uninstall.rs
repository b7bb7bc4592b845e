//! What is left when the chart goes. xtask runs it last: it takes Heddle away.

use anyhow::{Context, Result, ensure};
use heddle_e2e::Scenario;
use std::process::Command;

#[test]
fn uninstalling_the_chart_keeps_definitions_and_objects() -> Result<()> {
    let scenario = Scenario::new("uninstall")?;
    scenario.apply(|object| object["spec"]["suspend"] = true.into())?;
    let environment = scenario.environment();
    let output = Command::new(&environment.helm)
        .args([
            "uninstall",
            &environment.release,
            "--namespace",
            &environment.namespace,
            "--wait",
            "--timeout=90s",
        ])
        .output()
        .context("failed to start helm")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    scenario.idl_repo().context("the object went with the chart")?;
    let namespace = &environment.namespace;
    let left = scenario
        .kubectl()
        .get(&["deployments,serviceaccounts,roles", "--namespace", namespace])?;
    let names: Vec<_> = left["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| &item["metadata"]["name"])
        .collect();
    ensure!(
        names.iter().all(|name| *name == "default"),
        "left behind: {names:?}"
    );
    Ok(())
}
