//! When is a cluster ready? Looked at from outside, part by part, with a deadline for each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::runtime;
use crate::kubectl::Kubectl;
use crate::layout::Layout;
use crate::wait::{Look, tail, until};

const RUNTIME_LIMIT: Duration = Duration::from_secs(60);
const API_SERVER_LIMIT: Duration = Duration::from_secs(120);
const NODE_LIMIT: Duration = Duration::from_secs(120);
const DNS_LIMIT: Duration = Duration::from_secs(120);

/// How long the parts took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) node: Duration,
    pub(super) dns: Duration,
}

/// True when every part is ready now.
pub(super) fn is_ready(kubectl: &Kubectl) -> bool {
    [
        api_server(kubectl),
        node(kubectl),
        service_account(kubectl),
        dns(kubectl),
    ]
    .iter()
    .all(is_done)
}

fn is_done(look: &Look<()>) -> bool {
    matches!(look, Look::Done(()))
}

pub(super) fn await_runtime(layout: &Layout) -> Result<()> {
    let look = || {
        if runtime::answers(layout) {
            Look::Done(())
        } else {
            Look::NotYet("it does not answer".into())
        }
    };
    explained(
        layout,
        "containerd",
        until("containerd", RUNTIME_LIMIT, || Ok(look())),
    )
}

pub(super) fn await_api_server(layout: &Layout, kubectl: &Kubectl) -> Result<()> {
    explained(
        layout,
        "kube-apiserver",
        until("the API server", API_SERVER_LIMIT, || Ok(api_server(kubectl))),
    )
}

/// Waits for the node, for the account that the first pod needs, and for DNS.
pub(super) fn await_node(layout: &Layout, kubectl: &Kubectl) -> Result<Times> {
    let started = Instant::now();
    explained(
        layout,
        "kubelet",
        until("the node", NODE_LIMIT, || Ok(node(kubectl))),
    )?;
    let accounts = until("the service account", NODE_LIMIT, || Ok(service_account(kubectl)));
    explained(layout, "kube-controller-manager", accounts)?;
    let node = started.elapsed();
    explained(layout, "kubelet", until("DNS", DNS_LIMIT, || Ok(dns(kubectl))))?;
    Ok(Times {
        node,
        dns: started.elapsed() - node,
    })
}

/// An error ends with the last lines of the component that is most likely to know why.
fn explained<T>(layout: &Layout, component: &str, result: Result<T>) -> Result<T> {
    let log = layout.log(component);
    result
        .map_err(|error| anyhow!("{error:#}; the end of {}:{}", log.display(), tail(&log)))
        .context("failed to get the cluster ready")
}

fn api_server(kubectl: &Kubectl) -> Look<()> {
    expect(kubectl, &["get", "--raw=/readyz"], "ok")
}

fn node(kubectl: &Kubectl) -> Look<()> {
    let ready = r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;
    expect(kubectl, &["get", "nodes", "--output", ready], "True")
}

fn service_account(kubectl: &Kubectl) -> Look<()> {
    expect(
        kubectl,
        &["get", "serviceaccount", "default", "--output", "name"],
        "serviceaccount/default",
    )
}

fn dns(kubectl: &Kubectl) -> Look<()> {
    let ready = "jsonpath={.status.readyReplicas}";
    expect(
        kubectl,
        &[
            "get",
            "deployment",
            "coredns",
            "--namespace",
            "kube-system",
            "--output",
            ready,
        ],
        "1",
    )
}

fn expect(kubectl: &Kubectl, command: &[&str], expected: &str) -> Look<()> {
    match kubectl.run(command) {
        Ok(said) if said.trim() == expected => Look::Done(()),
        Ok(said) => Look::NotYet(format!("kubectl {} says {:?}", command.join(" "), said.trim())),
        Err(error) => Look::NotYet(format!("{error:#}")),
    }
}
