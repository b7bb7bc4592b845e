//! When is a cluster ready? Looked at from outside, part by part, with a deadline for each.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{NODE_NAME, runtime};
use crate::kubectl::Kubectl;
use crate::layout::Layout;
use crate::processes::Component;
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
    let parts = [api_server, node, kubelet, service_account, dns];
    parts.iter().all(|look| matches!(look(kubectl), Look::Done(())))
}

/// Waits for components that have been started, and gives up as soon as one of them ends.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    pub(super) layout: &'a Layout,
    pub(super) kubectl: Kubectl,
    pub(super) started: Vec<Component>,
}

impl Watch<'_> {
    pub(super) fn runtime(&self) -> Result<()> {
        let silent = || Look::NotYet("it does not answer".to_owned());
        let look = || {
            if runtime::answers(self.layout) {
                Look::Done(())
            } else {
                silent()
            }
        };
        self.wait("containerd", RUNTIME_LIMIT, "containerd", look)
    }

    pub(super) fn api_server(&self) -> Result<()> {
        self.wait("the API server", API_SERVER_LIMIT, "kube-apiserver", || {
            api_server(&self.kubectl)
        })
    }

    /// Waits for the node, for the account that the first pod needs, and for DNS.
    pub(super) fn node(&self) -> Result<Times> {
        let (started, kubectl) = (Instant::now(), &self.kubectl);
        self.wait("the node", NODE_LIMIT, "kubelet", || node(kubectl))?;
        self.wait("kubelet", NODE_LIMIT, "kubelet", || kubelet(kubectl))?;
        self.wait("the first account", NODE_LIMIT, "kube-controller-manager", || {
            service_account(kubectl)
        })?;
        let node = started.elapsed();
        self.wait("DNS", DNS_LIMIT, "kubelet", || dns(kubectl))?;
        Ok(Times {
            node,
            dns: started.elapsed() - node,
        })
    }

    /// An error ends with the last lines of the component that ended, or else of the one most likely to know why.
    fn wait(&self, what: &str, limit: Duration, component: &str, look: impl Fn() -> Look<()>) -> Result<()> {
        let result = until(what, limit, || match self.dead() {
            Some(dead) => Err(anyhow!("{dead} has ended")),
            None => Ok(look()),
        });
        result.map_err(|error| {
            let log = self.layout.log(self.dead().unwrap_or(component));
            anyhow!("{error:#}\n  the end of {}:{}", log.display(), tail(&log))
        })
    }

    fn dead(&self) -> Option<&'static str> {
        self.started
            .iter()
            .find(|component| !component.is_alive(self.layout))
            .map(|component| component.name)
    }
}

fn api_server(kubectl: &Kubectl) -> Look<()> {
    expect(kubectl, &["get", "--raw=/readyz"], "ok")
}

fn node(kubectl: &Kubectl) -> Look<()> {
    let ready = r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;
    expect(kubectl, &["get", "nodes", "--output", ready], "True")
}

/// Asked through the API server: the node's condition stays for a while after its kubelet is gone.
fn kubelet(kubectl: &Kubectl) -> Look<()> {
    expect(
        kubectl,
        &["get", &format!("--raw=/api/v1/nodes/{NODE_NAME}/proxy/healthz")],
        "ok",
    )
}

fn service_account(kubectl: &Kubectl) -> Look<()> {
    let account = ["get", "serviceaccount", "default", "--output", "name"];
    expect(kubectl, &account, "serviceaccount/default")
}

fn dns(kubectl: &Kubectl) -> Look<()> {
    let ready = "jsonpath={.status.readyReplicas}";
    let deployment = [
        "get",
        "deployment",
        "coredns",
        "--namespace",
        "kube-system",
        "--output",
        ready,
    ];
    expect(kubectl, &deployment, "1")
}

fn expect(kubectl: &Kubectl, command: &[&str], expected: &str) -> Look<()> {
    match kubectl.run(command) {
        Ok(said) if said.trim() == expected => Look::Done(()),
        Ok(said) => Look::NotYet(format!("kubectl {} says {:?}", command.join(" "), said.trim())),
        Err(error) => Look::NotYet(format!("{error:#}")),
    }
}
