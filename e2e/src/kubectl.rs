//! kubectl, as users have it.

use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::{PortForward, Values};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// kubectl, pointed at the cluster by `KUBECONFIG`.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// What a command prints.
    ///
    /// # Errors
    /// When it fails; its words are in the text.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with_input(arguments, "")
    }

    /// What a command prints that reads `input`.
    ///
    /// # Errors
    /// When it fails; its words are in the text.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(input.as_bytes())
                .context("failed to write to kubectl")?;
        }
        let output = child.wait_with_output().context("failed to wait for kubectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "kubectl {} ended with {}: {}",
                arguments.join(" "),
                output.status,
                said.trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Makes a port of a pod reachable from here, for as long as the answer lives.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn forward(&self, namespace: &str, pod: &str, port: u16) -> Result<PortForward> {
        PortForward::open(
            Command::new(&self.program),
            namespace,
            &format!("pod/{pod}"),
            port,
        )
    }

    /// Starts a command that goes on and prints JSON.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Result<Values> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        Values::of(command)
    }

    /// `kubectl wait` for an object, such as `wsroute/chat`.
    ///
    /// # Errors
    /// When it takes too long; the text has the object's status and the pods of the namespace.
    pub(crate) fn wait_for(
        &self,
        namespace: &str,
        object: &str,
        for_: &str,
        timeout: Duration,
    ) -> Result<()> {
        let (for_, timeout) = (
            format!("--for={for_}"),
            format!("--timeout={}s", timeout.as_secs()),
        );
        let Err(error) = self.run(&["wait", "--namespace", namespace, object, &for_, &timeout]) else {
            return Ok(());
        };
        let status = self
            .get(&[object, "--namespace", namespace])
            .map(|object| object["status"].to_string());
        let pods = self.run(&["get", "pods", "--namespace", namespace, "--output", "wide"]);
        bail!(
            "{error:#}\nstatus: {}\npods: {}",
            status.unwrap_or_default(),
            pods.unwrap_or_default()
        )
    }

    /// Applies a manifest in JSON.
    ///
    /// # Errors
    /// When the API server refuses it, with its words.
    pub fn apply(&self, manifest: &Value) -> Result<String> {
        self.run_with_input(
            &["apply", "--server-side", "--filename", "-"],
            &manifest.to_string(),
        )
    }

    /// The objects of a file of manifests, in a namespace.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub(crate) fn read(&self, namespace: &str, file: &Path) -> Result<Vec<Value>> {
        let file = file.display().to_string();
        let create = ["create", "--dry-run=client", "--output=json", "--namespace"];
        let printed = self.run(&[&create[..], &[namespace, "--filename", &file]].concat())?;
        let mut objects = Vec::new();
        for object in serde_json::Deserializer::from_str(&printed).into_iter::<Value>() {
            let mut object = object.context("failed to read what kubectl printed")?;
            match object.get_mut("items").and_then(Value::as_array_mut) {
                Some(items) => objects.append(items),
                None => objects.push(object),
            }
        }
        Ok(objects)
    }

    /// Makes a namespace under the restricted pod security standard, with nothing in it: what an earlier run has left goes.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn renew_namespace(&self, name: &str) -> Result<()> {
        self.run(&[
            "delete",
            "namespace",
            name,
            "--ignore-not-found",
            "--wait",
            "--timeout=60s",
        ])?;
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
        }))?;
        Ok(())
    }

    /// An object, or a list of them, as the API server has it.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["get", "--output", "json"];
        all.extend(arguments);
        serde_json::from_str(&self.run(&all)?).context("failed to read what kubectl printed")
    }
}
