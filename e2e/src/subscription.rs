//! The Git server's stream of events in a scenario, and the example sink that writes them down.

use crate::Scenario;
use anyhow::{Context, Result};
use heddle_crds::SseSubscription;
use heddle_e2e_cluster::Values;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a subscription or its sink may take to be ready, a new operator included.
const DEADLINE: Duration = Duration::from_secs(120);

impl Scenario {
    /// Applies the SseSubscription of an example's file, to the Git server's stream about the source repository.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn subscribe(&self, file: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
        let environment = self.environment();
        self.kubectl().apply(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "forge", "namespace": self.namespace() },
            "stringData": { "token": environment.git_password },
        }))?;
        let objects = self.read_example(file)?;
        let mut objects = objects
            .into_iter()
            .filter(|object| object["kind"] == "SseSubscription");
        let mut subscription = objects.next().context("the example has no SseSubscription")?;
        let spec = &mut subscription["spec"];
        spec["source"]["url"] = json!(format!("{}/events", environment.git_inside));
        spec["source"]["tls"] = json!({ "caSecretRef": { "name": "git-credentials" } });
        spec["filter"]["eventTypes"] = json!(["push"]);
        spec["filter"]["cel"] = json!(format!("data.repository == '{}-idl'", self.namespace()));
        change(spec);
        self.kubectl().apply(&subscription).map(drop)
    }

    /// Applies the example sink, and waits until it is there.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn deploy_audit(&self) -> Result<()> {
        for mut object in self.read_example("audit/audit.yaml")? {
            if object["kind"] == "Deployment" {
                let container = &mut object["spec"]["template"]["spec"]["containers"][0];
                container["image"] = json!(self.environment().audit_image);
            }
            self.kubectl().apply(&object)?;
        }
        self.kubectl().wait_for(
            self.namespace(),
            "deployment/audit",
            "condition=Available",
            DEADLINE,
        )
    }

    /// Where the example sink takes events.
    pub fn audit_url(&self) -> String {
        format!("http://audit.{}.svc/events", self.namespace())
    }

    /// What the example sink has written and writes.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn follow_audit(&self) -> Result<Values> {
        let namespace = self.namespace();
        self.kubectl()
            .follow(&["logs", "--follow", "--namespace", namespace, "deployment/audit"])
    }

    /// `kubectl wait` for an SseSubscription.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_subscription(&self, name: &str, for_: &str) -> Result<()> {
        self.kubectl().wait_for(
            self.namespace(),
            &format!("ssesubscription/{name}"),
            for_,
            DEADLINE,
        )
    }

    /// An SseSubscription as it is.
    ///
    /// # Errors
    /// When there is none.
    pub fn subscription(&self, name: &str) -> Result<SseSubscription> {
        let arguments = ["ssesubscription", name, "--namespace", self.namespace()];
        serde_json::from_value(self.kubectl().get(&arguments)?).context("failed to read the SseSubscription")
    }

    fn read_example(&self, file: &str) -> Result<Vec<Value>> {
        let path = self.environment().root.join("examples").join(file);
        self.kubectl().read(self.namespace(), &path)
    }
}
