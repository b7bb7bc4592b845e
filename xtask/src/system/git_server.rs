//! The Git server in the cluster, how to reach it from here, and working copies of its repositories.

use super::Kubectl;
use anyhow::{Context, Result};
use heddle_e2e_cluster::{PortForward, Progress};
use heddle_git_server::{Access, Account, TlsFiles, WorkCopy};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the server runs.
const NAMESPACE: &str = "heddle-git";
/// What the server is called inside the cluster.
const HOST: &str = "git-server.heddle-git.svc";
/// Begins every password, so that tests can tell one that got out.
const CANARY: &str = "canary-7f1d0c";
/// The account that may push. The password is made anew for each server.
const USER: &str = "heddle";

/// A Git server that is ready.
pub(crate) struct GitServer {
    password: String,
    folder: TempDir,
}

impl GitServer {
    /// Installs the server, with certificates and a password of its own and empty repositories.
    pub(super) fn install(root: &Path, kubectl: &Kubectl, image: &str, progress: &Progress) -> Result<Self> {
        let step = progress.step("Installing a Git server");
        let manifest = root.join("e2e/manifests/git-server.yaml");
        let manifest = fs::read_to_string(&manifest)
            .with_context(|| format!("failed to read {}", manifest.display()))?
            .replace("image: heddle-git-server", &format!("image: {image}"))
            // Whatever changes in the template makes the Deployment start a new pod, with empty repositories.
            .replace(
                "started-for: nobody",
                &format!("started-for: {:032x}", rand::random::<u128>()),
            );
        let server = Self {
            password: format!("{CANARY}-{:032x}", rand::random::<u128>()),
            folder: tempfile::tempdir().context("failed to make a temporary folder")?,
        };
        kubectl.apply(&restricted_namespace(NAMESPACE).to_string())?;
        kubectl.apply(&server.server_secret()?)?;
        kubectl.apply(&manifest)?;
        let deployment = "deployment/git-server";
        kubectl.output(&[
            "--namespace",
            NAMESPACE,
            "rollout",
            "status",
            deployment,
            "--timeout=120s",
        ])?;
        step.done("Installed a Git server");
        Ok(server)
    }

    fn server_secret(&self) -> Result<String> {
        let names = [
            HOST,
            "git-server.heddle-git.svc.cluster.local",
            "localhost",
            "127.0.0.1",
        ];
        let files = TlsFiles::make(self.folder.path(), &names.map(String::from))?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "git-server", "namespace": NAMESPACE },
            "stringData": {
                "tls.crt": read(&files.certificate)?,
                "tls.key": read(&files.key)?,
                "accounts": format!("{USER}:{}:write\n", self.password),
            },
        });
        Ok(secret.to_string())
    }

    /// A namespace, and the Secret that an IdlRepo in it names to read and to push.
    pub(crate) fn credentials(&self, namespace: &str) -> Result<String> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "git-credentials", "namespace": namespace },
            "stringData": { "username": USER, "password": self.password, "ca.crt": read(&self.authority())? },
        });
        let list =
            json!({ "apiVersion": "v1", "kind": "List", "items": [restricted_namespace(namespace), secret] });
        Ok(list.to_string())
    }

    /// Makes the server reachable from here, for as long as the answer lives.
    pub(crate) fn forward(&self, kubectl: &Kubectl) -> Result<PortForward> {
        PortForward::open(kubectl.command(&[]), NAMESPACE, "service/git-server", 443)
    }

    /// A new working copy of one of the server's repositories.
    pub(crate) fn clone(&self, forward: &PortForward, repository: &str) -> Result<WorkCopy> {
        let folder = self.folder.path().join(repository);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
        }
        let account = Account::new(USER, &self.password, Access::Write);
        WorkCopy::clone(
            &format!("{}/{repository}.git", url(forward)),
            &account,
            &self.authority(),
            &folder,
        )
    }

    /// What the black-box tests need to know.
    pub(super) fn environment(&self, forward: &PortForward) -> Vec<(String, String)> {
        vec![
            ("HEDDLE_E2E_GIT_URL".to_owned(), url(forward)),
            ("HEDDLE_E2E_GIT_NAMESPACE".to_owned(), NAMESPACE.to_owned()),
            ("HEDDLE_E2E_GIT_HOST".to_owned(), HOST.to_owned()),
            ("HEDDLE_E2E_GIT_USER".to_owned(), USER.to_owned()),
            ("HEDDLE_E2E_GIT_PASSWORD".to_owned(), self.password.clone()),
            (
                "HEDDLE_E2E_GIT_CA".to_owned(),
                self.authority().display().to_string(),
            ),
        ]
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }
}

/// The server's address from here.
fn url(forward: &PortForward) -> String {
    format!("https://localhost:{}", forward.port())
}

fn restricted_namespace(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}
