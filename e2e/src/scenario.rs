//! A namespace and two repositories of its own for a test.

use crate::{Environment, Kubectl};
use anyhow::{Context, Result};
use heddle_crds::condition::{self, Condition};
use heddle_crds::{IdlRepo, IdlRepoStatus};
use heddle_git_server::{Access, Account, WorkCopy};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

/// Part of every password and token in these tests; it must never be seen anywhere.
pub const CANARY: &str = "canary-7f1d0c";

/// The IdlRepo's name in every scenario.
const NAME: &str = "idl";
/// How long anything may take that includes a run.
const RUN_DEADLINE: Duration = Duration::from_secs(120);

/// One test's part of the cluster.
pub struct Scenario {
    environment: Environment,
    kubectl: Kubectl,
    namespace: String,
    folder: TempDir,
    source: WorkCopy,
}

impl Scenario {
    /// A namespace under the restricted pod security standard, credentials, and a source repository that is still empty.
    ///
    /// # Errors
    /// When the cluster or the Git server refuses.
    pub fn new(name: &str) -> Result<Self> {
        let environment = Environment::read()?;
        let kubectl = environment.kubectl()?;
        let namespace = format!("e2e-{name}");
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        kubectl.renew_namespace(&namespace)?;
        let url = format!("{}/{namespace}-idl.git", environment.git_outside);
        let source = WorkCopy::init(
            &url,
            &account(&environment),
            &environment.git_authority,
            &folder.path().join("idl"),
        )?;
        let scenario = Self {
            environment,
            kubectl,
            namespace,
            folder,
            source,
        };
        scenario.apply_credentials("git-credentials", &scenario.environment.git_password)?;
        scenario.seed_output()?;
        Ok(scenario)
    }

    // Somebody's file is there before Heddle is: it must survive everything.
    fn seed_output(&self) -> Result<()> {
        let url = format!(
            "{}/{}-generated.git",
            self.environment.git_outside, self.namespace
        );
        let seed = self.folder.path().join("seed");
        let copy = WorkCopy::init(
            &url,
            &account(&self.environment),
            &self.environment.git_authority,
            &seed,
        )?;
        copy.write("README.md", b"Written by a person.\n")?;
        copy.commit("Say what this is")?;
        copy.push("main")
    }

    /// Makes or changes a Secret with these credentials.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn apply_credentials(&self, name: &str, password: &str) -> Result<()> {
        let authority = std::fs::read_to_string(&self.environment.git_authority)
            .context("failed to read the authority")?;
        self.kubectl
            .apply(&json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": name, "namespace": self.namespace },
                "stringData": { "username": self.environment.git_user, "password": password, "ca.crt": authority },
            }))
            .map(drop)
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// kubectl.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The installed system.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Writes, commits and pushes files of the source; the commit's id.
    ///
    /// # Errors
    /// When Git fails.
    pub fn push(&self, files: &[(&str, &str)], message: &str) -> Result<String> {
        for (path, text) in files {
            self.source.write(path, text.as_bytes())?;
        }
        let commit = self.source.commit(message)?;
        self.source.push("main")?;
        Ok(commit)
    }

    /// Points branches of the source at the commit that is checked out, all by one push.
    ///
    /// # Errors
    /// When Git fails.
    pub fn push_branches(&self, names: &[String]) -> Result<()> {
        let branches: Vec<_> = names
            .iter()
            .map(|name| format!("HEAD:refs/heads/{name}"))
            .collect();
        let mut arguments = vec!["push", "--quiet", "origin"];
        arguments.extend(branches.iter().map(String::as_str));
        self.source.git(&arguments).map(drop)
    }

    /// A fresh clone of the output repository.
    ///
    /// # Errors
    /// When Git fails.
    pub fn output(&self) -> Result<WorkCopy> {
        let url = format!(
            "{}/{}-generated.git",
            self.environment.git_outside, self.namespace
        );
        let folder = tempfile::tempdir_in(self.folder.path())
            .context("failed to make a folder")?
            .keep();
        WorkCopy::clone(
            &url,
            &account(&self.environment),
            &self.environment.git_authority,
            &folder,
        )
    }

    /// Applies the IdlRepo, changed by `change` from one that works.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn apply(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let repository =
            |name: &str| format!("{}/{}-{name}.git", self.environment.git_inside, self.namespace);
        let mut object = json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "IdlRepo",
            "metadata": { "name": NAME, "namespace": self.namespace },
            "spec": {
                "interval": "10s",
                "source": {
                    "url": repository("idl"),
                    "ref": { "branch": "main" },
                    "secretRef": { "name": "git-credentials" },
                },
                "generate": [
                    { "name": "rust", "plugin": "prost", "path": "rust" },
                    { "name": "go", "plugin": "go", "options": ["paths=source_relative"], "path": "go" },
                ],
                "output": { "url": repository("generated"), "secretRef": { "name": "git-credentials" } },
            },
        });
        change(&mut object);
        self.kubectl.apply(&object).map(drop)
    }

    /// The IdlRepo as it is.
    ///
    /// # Errors
    /// When there is none.
    pub fn idl_repo(&self) -> Result<IdlRepo> {
        let object = self
            .kubectl
            .get(&["idlrepo", NAME, "--namespace", &self.namespace])?;
        serde_json::from_value(object).context("failed to read the IdlRepo")
    }

    /// Waits until the code for `commit` is delivered, and returns the status that says so.
    ///
    /// # Errors
    /// When it takes too long; the text has the conditions.
    pub fn await_delivery(&self, commit: &str) -> Result<IdlRepoStatus> {
        self.wait(&format!("jsonpath={{.status.generatedRevision}}={commit}"))?;
        self.wait("condition=Ready")?;
        self.idl_repo()?.status.context("the IdlRepo lost its status")
    }

    /// Waits until the condition has this reason, and returns it.
    ///
    /// # Errors
    /// When it takes too long; the text has the conditions.
    pub fn await_reason(&self, type_: &str, reason: &str) -> Result<Condition> {
        self.wait(&format!(
            "jsonpath={{.status.conditions[?(@.type==\"{type_}\")].reason}}={reason}"
        ))?;
        let status = self.idl_repo()?.status.unwrap_or_default();
        condition::find(&status.conditions, type_)
            .cloned()
            .context("the condition went away again")
    }

    /// `kubectl wait` for the IdlRepo.
    ///
    /// # Errors
    /// When it takes too long; the text has the status and the pods.
    pub fn wait(&self, for_: &str) -> Result<()> {
        self.kubectl
            .wait_for(&self.namespace, &format!("idlrepo/{NAME}"), for_, RUN_DEADLINE)
    }

    /// Everything the operator has logged, previous containers' lines included where there are any.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn operator_log(&self) -> Result<String> {
        let selector = format!("app.kubernetes.io/instance={}", self.environment.release);
        self.kubectl.run(&[
            "logs",
            "--namespace",
            &self.environment.namespace,
            "--selector",
            &selector,
            "--tail=-1",
        ])
    }

    /// What the pods of this namespace's Jobs have logged.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn job_log(&self) -> Result<String> {
        self.kubectl.run(&[
            "logs",
            "--namespace",
            &self.namespace,
            "--selector",
            "heddle.dev/idlrepo",
            "--tail=-1",
        ])
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        // What a failed test leaves is what somebody wants to look at.
        if !std::thread::panicking() {
            self.kubectl
                .run(&["delete", "namespace", &self.namespace, "--wait=false"])
                .ok();
        }
    }
}

fn account(environment: &Environment) -> Account {
    Account::new(&environment.git_user, &environment.git_password, Access::Write)
}

/// The lines of a log in JSON that belong to a trace.
pub fn trace_lines(log: &str, trace: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["trace_id"] == trace).collect()
}
