//! The part of the story in which the Git server tells of pushes, and nobody has to wait for an interval.

use super::story::{NAMESPACE, print_condition};
use crate::system::{Kubectl, System};
use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::{Progress, Values};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const NAME: &str = "pushes";
/// How long sink and subscription may take to be ready.
const TIMEOUT: &str = "--timeout=120s";
/// How long an event may take to the sink's log.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Applies the subscription and its sink, and waits until events flow.
pub(super) fn subscribe(root: &Path, kubectl: &Kubectl, progress: &Progress) -> Result<()> {
    println!("\nThe Git server tells of pushes by server-sent events:\n");
    for file in ["audit/audit.yaml", "demo/ssesubscription.yaml"] {
        let path = root.join("examples").join(file);
        let manifest = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?
            .replace(
                "image: heddle-example-audit",
                &format!("image: {}", System::audit_image()),
            );
        kubectl.apply_in(NAMESPACE, &manifest)?;
        println!("  kubectl apply --filename examples/{file}");
    }
    let step = progress.step("Waiting for the subscription");
    kubectl.output(&[
        "rollout",
        "status",
        "deployment/audit",
        "--namespace",
        NAMESPACE,
        TIMEOUT,
    ])?;
    let object = format!("ssesubscription/{NAME}");
    let ready = [
        "wait",
        "--namespace",
        NAMESPACE,
        "--for=condition=Ready",
        &object,
        TIMEOUT,
    ];
    kubectl.output(&ready).with_context(|| {
        format!("failed to see the subscription ready\n  look at: kubectl -n {NAMESPACE} describe ssesubscription {NAME}")
    })?;
    step.done("The subscription is ready");
    Ok(())
}

/// Shows the subscription, and what its sink has written down of the push of `commit`, which is in the run's trace.
pub(super) fn show(kubectl: &Kubectl, commit: &str, trace: &str) -> Result<()> {
    let arguments = [
        "get",
        "ssesubscription",
        NAME,
        "--namespace",
        NAMESPACE,
        "--output=json",
    ];
    let subscription: Value =
        serde_json::from_str(&kubectl.output(&arguments)?).context("failed to read the SseSubscription")?;
    println!("\n  ssesubscription/{NAME}");
    for type_ in ["Ready", "Connected", "Delivering"] {
        print_condition(&subscription, type_);
    }
    let follow = ["logs", "--namespace", NAMESPACE, "deployment/audit", "--follow"];
    let line = Values::of(kubectl.command(&follow))?
        .find(EVENT_TIMEOUT, |line| line["event"]["data"]["after"] == commit)
        .context("the sink has written nothing about the push")?;
    let event = &line["event"];
    println!("  the push in the sink's log, in the trace that the run goes on with:");
    for field in ["id", "type", "time", "traceparent"] {
        println!("    {field:<22} {}", event[field].as_str().unwrap_or("-"));
    }
    println!("    {:<22} {}", "data", event["data"]);
    if !event["traceparent"]
        .as_str()
        .is_some_and(|parent| parent.contains(trace))
    {
        bail!("the run belongs to another trace, {trace}");
    }
    Ok(())
}
