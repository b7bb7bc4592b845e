//! The chart, rendered.

use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::tools::{Tool, Tools};
use heddle_e2e_cluster::{Progress, checkout};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What the release is called.
pub(super) const RELEASE: &str = "heddle";

pub(super) fn folder() -> PathBuf {
    checkout().join("charts/heddle")
}

/// The chart with values, for a namespace.
pub(super) struct Rendered {
    pub(super) text: String,
    objects: Vec<Value>,
}

impl Rendered {
    /// Errors have what helm says.
    pub(super) fn new(namespace: &str, values: &str) -> Result<Self> {
        let helm = Tools::ensure(&Progress::new(), &[Tool::Helm])?.path(Tool::Helm);
        let output = Command::new(helm)
            .args(["template", RELEASE])
            .arg(folder())
            .args(["--namespace", namespace, "--kube-version=1.34.4"])
            .arg(format!("--set={values}"))
            .output()
            .context("failed to start helm")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        let objects = serde_yaml_ng::Deserializer::from_str(&text)
            .map(Value::deserialize)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text, objects })
    }

    /// Those of a kind.
    pub(super) fn of(&self, kind: &str) -> Vec<&Value> {
        let of_kind = self.objects.iter().filter(|object| object["kind"] == kind);
        of_kind.collect()
    }

    /// Their names.
    pub(super) fn names(&self, kind: &str) -> Vec<&str> {
        let names = self.of(kind).into_iter();
        names
            .map(|object| object["metadata"]["name"].as_str().unwrap_or_default())
            .collect()
    }

    /// The only one of a kind.
    pub(super) fn the(&self, kind: &str) -> Result<&Value> {
        match self.of(kind)[..] {
            [object] => Ok(object),
            _ => bail!("there are {:?}", self.names(kind)),
        }
    }

    /// The operator's arguments.
    pub(super) fn arguments(&self) -> Result<Vec<&str>> {
        let container = &self.the("Deployment")?["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().context("arguments")?;
        Ok(arguments.iter().filter_map(Value::as_str).collect())
    }
}
