//! A source repository with the IDL, a run of the program as its Job starts it, and a clone of what it pushed.

use crate::workspace::{Workspace, cache, lock, mirror, run};
use anyhow::{Context, Result, ensure};
use heddle_crds::codegen::Report;
use heddle_git_server::{Access, Account, GitServer, GitServerOptions, WorkCopy};
use heddle_tests::public_idl::{Idl, files};
use k8s_openapi::jiff::{Timestamp, Unit};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const USERNAME: &str = "writer";
const PASSWORD: &str = "writer-password";

/// What is asked for.
pub(crate) struct Request<'a> {
    /// Fields of `spec.source` besides the URL, in YAML's flow style.
    pub(crate) source: &'a str,
    /// The generators, each in YAML's flow style.
    pub(crate) generate: &'a [&'a str],
}

/// What a run has made.
pub(crate) struct Delivered {
    report: Report,
    log: Vec<Value>,
}

impl Delivered {
    /// Pushes the IDL, runs the program, clones its commit into the workspace.
    pub(crate) fn make(workspace: &Workspace, idl: &Idl, request: &Request<'_>) -> Result<Self> {
        let plugins = go_plugins()?;
        let folder = tempfile::tempdir()?;
        let server = serve(&folder, idl)?;
        let spec = folder.path().join("idlrepo.yaml");
        fs::write(&spec, manifest(&server, request))?;
        let delivered = Self::run(&folder, &spec, &plugins)?;
        let account = Account::new(USERNAME, PASSWORD, Access::Write);
        let clone = folder.path().join("clone");
        let url = server.url("code.git");
        WorkCopy::clone(&url, &account, &server.ca_file(), &clone)?;
        let all = files(&clone, |name| !name.starts_with(".git/"))?;
        mirror(&all, &workspace.generated())?;
        Ok(delivered)
    }

    fn run(folder: &TempDir, spec: &Path, plugins: &Path) -> Result<Self> {
        let (secret, message) = (folder.path().join("secret"), folder.path().join("report.json"));
        let output = Command::new(env!("CARGO_BIN_EXE_heddle-codegen-under-test"))
            .arg("run")
            .arg("-f")
            .arg(spec)
            .args([
                Path::new("--source-secret"),
                &secret,
                Path::new("--output-secret"),
                &secret,
            ])
            .args([Path::new("--termination-message"), &message])
            .args([Path::new("--work-folder"), folder.path()])
            // Everything in these tests is on loopback.
            .arg("--denied-cidrs=")
            .env("HEDDLE_PLUGIN_FOLDER", plugins)
            .env_remove("HEDDLE_LOG")
            .stdin(Stdio::null())
            .output()
            .context("failed to start heddle-codegen")?;
        let log = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "heddle-codegen ended with {}:\n{log}",
            output.status
        );
        let report = Report::from_termination_message(&fs::read_to_string(&message)?);
        Ok(Self {
            report: report.context("failed to read the report")?,
            log: log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?,
        })
    }

    /// Prints how much there was and how long each step took.
    pub(crate) fn print_figures(&self, name: &str, idl: &Idl) -> Result<()> {
        let times: Vec<Step> = self.log.iter().map(Step::read).collect::<Result<_>>()?;
        let spent = times.windows(2).map(|pair| {
            let seconds = (pair[1].at - pair[0].at).total(Unit::Second).unwrap_or_default();
            format!("{} after {seconds:.2} s", pair[1].message)
        });
        println!(
            "{name}: {} files with {} messages, {} files of code; {}",
            idl.0.len(),
            idl.messages(),
            self.report.files.written,
            spent.collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }
}

/// What a line of the log tells of the run's progress.
struct Step {
    message: String,
    at: Timestamp,
}

impl Step {
    fn read(line: &Value) -> Result<Self> {
        let text = |name: &str| {
            line[name]
                .as_str()
                .with_context(|| format!("a line without {name}: {line}"))
        };
        Ok(Self {
            message: text("message")?.to_owned(),
            at: text("timestamp")?.parse()?,
        })
    }
}

fn serve(folder: &TempDir, idl: &Idl) -> Result<GitServer> {
    let mut options = GitServerOptions::new(&folder.path().join("server"));
    options.accounts = vec![Account::new(USERNAME, PASSWORD, Access::Write)];
    options.repositories = ["idl.git", "code.git"].map(str::to_owned).to_vec();
    let server = GitServer::start(options)?;
    let content: Vec<_> = idl
        .0
        .iter()
        .map(|(name, content)| (name.as_str(), Some(content.as_slice())))
        .collect();
    server
        .repository("idl.git")?
        .commit("main", "Import IDL", &content)?;
    let secret = folder.path().join("secret");
    fs::create_dir(&secret)?;
    for (key, value) in [
        ("username", USERNAME),
        ("password", PASSWORD),
        ("ca.crt", server.ca_pem()),
    ] {
        fs::write(secret.join(key), value)?;
    }
    Ok(server)
}

fn manifest(server: &GitServer, request: &Request<'_>) -> String {
    let (source, output) = (server.url("idl.git"), server.url("code.git"));
    let generate: String = request
        .generate
        .iter()
        .map(|one| format!("  - {one}\n"))
        .collect();
    let fields = request.source;
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: IdlRepo\nmetadata: {{name: real, namespace: idl}}\nspec:\n  \
         source: {{url: \"{source}\", {fields}}}\n  generate:\n{generate}  output: {{url: \"{output}\"}}\n"
    )
}

/// The plugins for Go, built as those of the image are.
fn go_plugins() -> Result<PathBuf> {
    let _lock = lock(&cache()?.join("plugins.lock"))?;
    let folder = cache()?.join("go-plugins");
    let mut command = Command::new("go");
    command
        .args(["install", "-trimpath", "-ldflags=-s -w", "tool"])
        .current_dir(heddle_e2e_cluster::checkout().join("codegen-job/plugins/go"))
        .env("GOBIN", &folder)
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0");
    run(&mut command)?;
    Ok(folder)
}
