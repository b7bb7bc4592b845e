//! The installed operator: rolled, or away for a while.

use crate::{Environment, Kubectl};
use anyhow::{Context, Result};

/// How long the operator may take to come or to go.
const TIMEOUT: &str = "--timeout=120s";

/// The operator's Deployment.
#[derive(Clone, Debug)]
pub struct Operator {
    kubectl: Kubectl,
    namespace: String,
    deployment: String,
    /// Selects its pods.
    selector: String,
}

impl Operator {
    pub(crate) fn new(environment: &Environment) -> Result<Self> {
        Ok(Self {
            kubectl: environment.kubectl()?,
            namespace: environment.namespace.clone(),
            deployment: format!("deployment/{}", environment.release),
            selector: format!("app.kubernetes.io/instance={}", environment.release),
        })
    }

    /// Replaces its pods and waits until the new ones are ready.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn roll(&self) -> Result<()> {
        self.run(&["rollout", "restart", &self.deployment])?;
        self.await_rollout()
    }

    /// Waits until its newest pods are ready and the old ones are gone.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn await_rollout(&self) -> Result<()> {
        self.run(&["rollout", "status", &self.deployment, TIMEOUT])
            .map(drop)
    }

    /// Ends its pods at once, as a node that fails does.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn kill(&self) -> Result<()> {
        let arguments = [
            "delete",
            "pods",
            "--selector",
            &self.selector,
            "--grace-period=0",
            "--force",
        ];
        self.run(&arguments).map(drop)
    }

    /// Has no pod of it run until the answer is ended or dropped.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn send_away(&self) -> Result<Absence> {
        let replicas = self.run(&["get", &self.deployment, "--output=jsonpath={.spec.replicas}"])?;
        let absence = Absence {
            operator: Some(self.clone()),
            replicas: replicas
                .parse()
                .context("failed to read the number of replicas")?,
        };
        self.scale(0)?;
        self.run(&[
            "wait",
            "pods",
            "--selector",
            &self.selector,
            "--for=delete",
            TIMEOUT,
        ])?;
        Ok(absence)
    }

    fn scale(&self, replicas: u32) -> Result<()> {
        self.run(&["scale", &self.deployment, &format!("--replicas={replicas}")])
            .map(drop)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        self.kubectl.run(&all)
    }
}

/// While this lives, there is no operator.
#[derive(Debug)]
pub struct Absence {
    operator: Option<Operator>,
    replicas: u32,
}

impl Absence {
    /// Brings the operator back and waits until it is ready.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn end(mut self) -> Result<()> {
        let operator = self.operator.take().context("an absence ends once")?;
        operator.scale(self.replicas)?;
        operator.await_rollout()
    }
}

impl Drop for Absence {
    fn drop(&mut self) {
        // A test that fails must not take the operator from those after it.
        if let Some(operator) = self.operator.take() {
            operator.scale(self.replicas).ok();
            operator.await_rollout().ok();
        }
    }
}
