//! The codegen program as its Job starts it, and somebody who has it go on with a trace.

use anyhow::{Context, Result};
use heddle_git_server::{Access, Account, GitServer, GitServerOptions};
use heddle_tests::world::{GREETER, PASSWORD, USERNAME};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;

/// A server with IDL, and what a run needs.
pub(crate) struct Job {
    folder: TempDir,
    _server: GitServer,
    pub(crate) source_commit: String,
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
}

/// The span that a run is started from.
pub(crate) struct Caller {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

impl Caller {
    pub(crate) fn new() -> Self {
        // Each hasher has random keys of its own.
        let random = || RandomState::new().hash_one(());
        Self {
            trace_id: format!("{:016x}{:016x}", random(), random()),
            span_id: format!("{:016x}", random()),
        }
    }
}

impl Job {
    /// A source with one file, and a request for generators that have the names of their plugins.
    pub(crate) async fn create(generators: &'static [&'static str]) -> Result<Self> {
        tokio::task::spawn_blocking(|| Self::prepare(generators)).await?
    }

    fn prepare(generators: &[&str]) -> Result<Self> {
        let folder = TempDir::with_prefix("heddle-test-")?;
        let path = |name: &str| folder.path().join(name);
        let mut options = GitServerOptions::new(&path("git"));
        options.repositories = ["idl.git", "generated.git"].map(str::to_owned).to_vec();
        options.accounts = vec![Account::new(USERNAME, PASSWORD, Access::Write)];
        let server = GitServer::start(options)?;
        let files = [("greeter/v1/greeter.proto", Some(GREETER.as_bytes()))];
        let source_commit = server
            .repository("idl.git")?
            .commit("main", "Say hello", &files)?;
        for name in ["secret", "plugins"] {
            fs::create_dir(path(name))?;
        }
        let secret = [
            ("username", USERNAME),
            ("password", PASSWORD),
            ("ca.crt", server.ca_pem()),
        ];
        for (key, value) in secret {
            fs::write(path("secret").join(key), value)?;
        }
        fs::write(path("idlrepo.yaml"), manifest(&server, generators))?;
        Ok(Self {
            folder,
            _server: server,
            source_commit,
        })
    }

    /// Adds an executable to the plugin folder.
    pub(crate) fn add_plugin(&self, name: &str, script: &str) -> Result<()> {
        let path = self
            .folder
            .path()
            .join("plugins")
            .join(format!("protoc-gen-{name}"));
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Runs the program to its end, as the Job starts it.
    pub(crate) async fn run(&self, caller: &Caller, variables: &[(String, String)]) -> Result<Ended> {
        let message = self.path("report.json");
        let mut command = self.command(caller, variables);
        run(command.arg("--termination-message").arg(message)).await
    }

    /// Runs the program to its end, as a person starts it.
    pub(crate) async fn run_by_hand(&self, caller: &Caller, variables: &[(String, String)]) -> Result<Ended> {
        run(&mut self.command(caller, variables)).await
    }

    fn command(&self, caller: &Caller, variables: &[(String, String)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heddle-codegen-under-test"));
        command
            .arg("run")
            .arg("-f")
            .arg(self.path("idlrepo.yaml"))
            .arg("--source-secret")
            .arg(self.path("secret"))
            .arg("--output-secret")
            .arg(self.path("secret"))
            .arg("--plugin-folder")
            .arg(self.path("plugins"))
            // Everything in these tests is on loopback.
            .arg("--denied-cidrs=")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env(
                "TRACEPARENT",
                format!("00-{}-{}-01", caller.trace_id, caller.span_id),
            )
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn run(command: &mut Command) -> Result<Ended> {
    let output = command.output().await.context("failed to start heddle-codegen")?;
    Ok(Ended {
        code: output.status.code(),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn manifest(server: &GitServer, generators: &[&str]) -> String {
    let generate: String = generators
        .iter()
        .map(|name| format!("  - {{name: {name}, plugin: {name}, path: rust}}\n"))
        .collect();
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: IdlRepo\nmetadata: {{name: shop, namespace: test}}\nspec:\n  \
         source: {{url: \"{}\"}}\n  generate:\n{generate}  output: {{url: \"{}\"}}\n",
        server.url("idl.git"),
        server.url("generated.git")
    )
}
