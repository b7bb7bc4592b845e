//! kubectl, bound to one cluster.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{LONG, Run};
use crate::layout::Layout;

/// A kubectl with the kubeconfig it shall use and the folder for what it learns about the server.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, layout: &Layout) -> Self {
        Self {
            program,
            kubeconfig,
            cache: layout.at_state("kubectl-cache"),
        }
    }

    /// Runs one command and returns what it printed.
    ///
    /// # Errors
    /// When kubectl fails or the server does not answer within ten seconds.
    pub(crate) fn run(&self, command: &[&str]) -> Result<String> {
        self.command().args(command).arg("--request-timeout=10s").output()
    }

    /// Applies manifests, as server-side apply does.
    ///
    /// # Errors
    /// When the server refuses one of them.
    pub(crate) fn apply(&self, manifests: &str) -> Result<()> {
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=heddle-cluster",
            "--filename=-",
        ];
        self.command().args(apply).input(manifests).limit(LONG).done()
    }

    fn command(&self) -> Run {
        Run::new(&self.program)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", &self.cache)
    }
}
