//! Everything one test of the IdlRepo controller needs: a namespace, a Git server with a source and an output
//! repository, a kubelet, and an operator.

use crate::api_server::{ApiServer, free_port};
use crate::cable::Cable;
use crate::kubelet::{Kubelet, Stage};
use crate::namespace::TestNamespace;
use crate::operator::{Operator, OperatorOptions};
use anyhow::Result;
use heddle_git_server::{Access, Account, BareRepository, GitServer, GitServerOptions};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The programs under test. A test gives them from its environment, where cargo puts them.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `heddle-operator`.
    pub operator: PathBuf,
    /// `heddle-codegen`.
    pub codegen: PathBuf,
}

/// A password that must be seen nowhere but in its Secret.
pub const PASSWORD: &str = "canary-7f3a9c-password";

/// The account that reads and pushes.
pub const USERNAME: &str = "heddle";

/// IDL that compiles.
pub const GREETER: &str = r#"syntax = "proto3";
package greeter.v1;

message Greeting {
  string text = 1;
}
"#;

/// Everything around one test.
pub struct World {
    /// The API.
    pub server: &'static ApiServer,
    /// Where the test's objects are.
    pub namespace: TestNamespace,
    /// Where the repositories are.
    pub git: GitServer,
    /// The IDL.
    pub source: BareRepository,
    /// The generated code.
    pub output: BareRepository,
    /// Runs the Jobs' pods.
    pub kubelet: Kubelet,
    folder: TempDir,
    programs: Programs,
}

impl World {
    /// Everything but an operator. The source has one commit with [`GREETER`]; the Secret `git` has credentials.
    ///
    /// # Errors
    /// Something cannot be started.
    pub async fn create(programs: &Programs) -> Result<Self> {
        let server = ApiServer::shared().await?;
        let namespace = TestNamespace::create(server).await?;
        let folder = TempDir::with_prefix("heddle-test-")?;
        let data = folder.path().join("git");
        let git = tokio::task::spawn_blocking(move || start_git(&data)).await??;
        let (source, output) = (git.repository("idl.git")?, git.repository("generated.git")?);
        source.commit(
            "main",
            "Say hello",
            &[("greeter/v1/greeter.proto", Some(GREETER.as_bytes()))],
        )?;
        namespace
            .secret(
                "git",
                &[
                    ("username", USERNAME),
                    ("password", PASSWORD),
                    ("ca.crt", git.ca_pem()),
                ],
            )
            .await?;
        let pods = folder.path().join("pods");
        let kubelet = Kubelet::start(&namespace, &programs.codegen, &pods, Stage::Run);
        let programs = programs.clone();
        Ok(Self {
            server,
            namespace,
            git,
            source,
            output,
            kubelet,
            folder,
            programs,
        })
    }

    /// An operator for the namespace, ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn operator(&self) -> Result<Operator> {
        self.operator_with("operator-0", &[]).await
    }

    /// An operator with a name and arguments of the test's own, ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn operator_with(&self, replica: &str, arguments: &[&str]) -> Result<Operator> {
        let options = self.options(replica, arguments);
        let mut operator = Operator::start(self.folder.path(), &options)?;
        operator.wait_until_ready().await?;
        Ok(operator)
    }

    /// An operator whose API server is not there.
    ///
    /// # Errors
    /// The program is missing.
    pub fn operator_without_api(&self) -> Result<Operator> {
        let kubeconfig = self.kubeconfig_for("lonely", free_port()?)?;
        Operator::start(
            self.folder.path(),
            &OperatorOptions {
                kubeconfig,
                ..self.options("lonely", &[])
            },
        )
    }

    /// An operator whose connection to the API server can be cut, ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn operator_on_a_cable(&self, replica: &str) -> Result<(Cable, Operator)> {
        let cable = Cable::lay(self.server.port()).await?;
        let kubeconfig = self.kubeconfig_for(replica, cable.port())?;
        let options = OperatorOptions {
            kubeconfig,
            ..self.options(replica, &[])
        };
        let mut operator = Operator::start(self.folder.path(), &options)?;
        operator.wait_until_ready().await?;
        Ok((cable, operator))
    }

    fn kubeconfig_for(&self, replica: &str, port: u16) -> Result<PathBuf> {
        let text = std::fs::read_to_string(self.server.kubeconfig())?;
        let mut kubeconfig: Value = serde_json::from_str(&text)?;
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://127.0.0.1:{port}"));
        let path = self.folder.path().join(format!("kubeconfig-{replica}"));
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    fn options(&self, replica: &str, arguments: &[&str]) -> OperatorOptions {
        OperatorOptions {
            program: self.programs.operator.clone(),
            kubeconfig: self.server.kubeconfig(),
            namespace: self.namespace.name.clone(),
            replica: replica.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        }
    }

    /// A specification that works: Rust from `main` of the source to `main` of the output.
    #[must_use]
    pub fn spec(&self) -> Value {
        json!({
            "source": {
                "url": self.git.url("idl.git"),
                "ref": { "branch": "main" },
                "secretRef": { "name": "git" },
            },
            "interval": "10s",
            "generate": [{ "name": "rust", "plugin": "prost", "path": "rust" }],
            "output": { "url": self.git.url("generated.git"), "secretRef": { "name": "git" } },
        })
    }

    /// The specification with the value at the pointer replaced or added.
    #[must_use]
    pub fn spec_with(&self, changes: &[(&str, Value)]) -> Value {
        let mut spec = self.spec();
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(parent) = spec.pointer_mut(parent) {
                parent[key] = value.clone();
            }
        }
        spec
    }

    /// Commits a file to the source's `main`.
    ///
    /// # Errors
    /// Git refuses.
    pub fn push(&self, message: &str, path: &str, content: &str) -> Result<String> {
        self.source
            .commit("main", message, &[(path, Some(content.as_bytes()))])
    }

    /// The id of the source's newest commit.
    ///
    /// # Errors
    /// Git refuses.
    pub fn head(&self) -> Result<String> {
        Ok(self.source.branch("main")?.unwrap_or_default())
    }

    /// The messages of the output's commits, newest first.
    ///
    /// # Errors
    /// Git refuses.
    pub fn delivered(&self) -> Result<Vec<String>> {
        match self.output.branch("main")? {
            None => Ok(Vec::new()),
            Some(_) => Ok(self
                .output
                .log("main")?
                .into_iter()
                .map(|commit| commit.message)
                .collect()),
        }
    }
}

fn start_git(folder: &Path) -> Result<GitServer> {
    let mut options = GitServerOptions::new(folder);
    options.repositories = ["idl.git", "generated.git"].map(str::to_owned).to_vec();
    options.accounts = vec![Account::new(USERNAME, PASSWORD, Access::Write)];
    GitServer::start(options)
}
