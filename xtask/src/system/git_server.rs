//! The Git server in the cluster, how to reach it from here, and working copies of its repositories.

use super::Kubectl;
use crate::process::{output, run};
use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::Progress;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Where the server runs.
const NAMESPACE: &str = "heddle-git";
/// What the server is called inside the cluster.
const HOST: &str = "git-server.heddle-git.svc";
/// The account that may push. The password is made anew for each server.
const USER: &str = "heddle";

/// A Git server that is ready.
pub(crate) struct GitServer {
    ca: String,
    password: String,
    folder: TempDir,
}

impl GitServer {
    /// Installs the server, with certificates and a password of its own.
    pub(super) fn install(root: &Path, kubectl: &Kubectl, image: &str, progress: &Progress) -> Result<Self> {
        let step = progress.step("Installing a Git server");
        let manifest = root.join("e2e/manifests/git-server.yaml");
        let manifest = fs::read_to_string(&manifest)
            .with_context(|| format!("failed to read {}", manifest.display()))?
            .replace("image: heddle-git-server", &format!("image: {image}"));
        let (server, secret) = Self::credentials_for_server()?;
        let namespace = manifest.split("---").next().unwrap_or_default();
        kubectl.apply(namespace)?;
        kubectl.apply(&secret)?;
        kubectl.apply(&manifest)?;
        server.reset(kubectl)?;
        step.done("Installed a Git server");
        Ok(server)
    }

    /// Starts the server anew, with empty repositories.
    pub(crate) fn reset(&self, kubectl: &Kubectl) -> Result<()> {
        let deployment = "deployment/git-server";
        kubectl.output(&["--namespace", NAMESPACE, "rollout", "restart", deployment])?;
        kubectl.output(&["--namespace", NAMESPACE, "rollout", "status", deployment, "--timeout=120s"]).map(drop)
    }

    fn credentials_for_server() -> Result<(Self, String)> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = [HOST, "git-server.heddle-git.svc.cluster.local", "localhost", "127.0.0.1"];
        let certificate = CertificateParams::new(names.map(String::from))?.signed_by(&key, &authority)?;
        let password = KeyPair::generate()?.serialized_der().iter().rev().take(16).map(|byte| format!("{byte:02x}")).collect();
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        let server = Self { ca: authority.pem(), password, folder };
        fs::write(server.folder.path().join("ca.crt"), &server.ca).context("failed to write ca.crt")?;
        let secret = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "git-server", "namespace": NAMESPACE },
            "stringData": {
                "tls.crt": certificate.pem(),
                "tls.key": key.serialize_pem(),
                "users": format!("{USER}:{}:write\n", server.password),
            },
        });
        Ok((server, secret.to_string()))
    }

    /// The Secret that an IdlRepo in `namespace` names to read and to push.
    pub(crate) fn credentials(&self, namespace: &str) -> String {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {
                        "name": namespace,
                        "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
                    },
                },
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": { "name": "git-credentials", "namespace": namespace },
                    "stringData": { "username": USER, "password": self.password, "ca.crt": self.ca },
                },
            ],
        })
        .to_string()
    }

    /// Makes the server reachable from here, for as long as the answer lives.
    pub(crate) fn forward(&self, kubectl: &Kubectl) -> Result<PortForward> {
        PortForward::open(kubectl)
    }

    /// A working copy of one of the server's repositories.
    pub(crate) fn clone(&self, url: &str, repository: &str) -> Result<Checkout> {
        let folder = self.folder.path().join(repository);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
        }
        let checkout = Checkout {
            folder,
            ca: self.folder.path().join("ca.crt"),
            authorization: format!("{USER}:{}", self.password),
        };
        fs::create_dir_all(&checkout.folder)?;
        checkout.git(&["init", "--quiet", "--initial-branch=main"])?;
        checkout.git(&["remote", "add", "origin", &format!("{url}/{repository}.git")])?;
        if checkout.git(&["ls-remote", "origin", "refs/heads/main"])?.is_empty() {
            return Ok(checkout);
        }
        checkout.pull()?;
        Ok(checkout)
    }

    /// What the black-box tests need to know.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("HEDDLE_E2E_GIT_NAMESPACE".to_owned(), NAMESPACE.to_owned()),
            ("HEDDLE_E2E_GIT_HOST".to_owned(), HOST.to_owned()),
            ("HEDDLE_E2E_GIT_USER".to_owned(), USER.to_owned()),
            ("HEDDLE_E2E_GIT_PASSWORD".to_owned(), self.password.clone()),
            ("HEDDLE_E2E_GIT_CA".to_owned(), self.folder.path().join("ca.crt").display().to_string()),
        ]
    }
}

/// `kubectl port-forward`, ended when dropped.
pub(crate) struct PortForward {
    child: Child,
    /// The server's address from here.
    pub(crate) url: String,
}

impl PortForward {
    fn open(kubectl: &Kubectl) -> Result<Self> {
        let mut child = kubectl
            .command(&["--namespace", NAMESPACE, "port-forward", "service/git-server", ":443"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start kubectl port-forward")?;
        let stdout = child.stdout.take().context("failed to read from kubectl port-forward")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("failed to read from kubectl port-forward")?;
        let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
        let Some(port) = port else {
            child.kill().context("failed to end kubectl port-forward")?;
            bail!("failed to forward a port to the Git server: {line:?}");
        };
        let url = format!("https://localhost:{port}");
        Ok(Self { child, url })
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // A child that has ended already is what is wanted.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// A working copy, handled by Git's own command line.
pub(crate) struct Checkout {
    folder: PathBuf,
    ca: PathBuf,
    authorization: String,
}

impl Checkout {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a Git command prints.
    pub(crate) fn git(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.command(arguments))
    }

    pub(crate) fn commit(&self, message: &str) -> Result<()> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message]).map(drop)
    }

    pub(crate) fn push(&self) -> Result<()> {
        run(&mut self.command(&["push", "--quiet", "origin", "HEAD:main"]))
    }

    pub(crate) fn pull(&self) -> Result<()> {
        self.git(&["fetch", "--quiet", "origin", "main"])?;
        self.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"]).map(drop)
    }

    /// The full id of the checked-out commit.
    pub(crate) fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// The checked-out commit in one line.
    pub(crate) fn describe_head(&self) -> Result<String> {
        self.git(&["log", "-1", "--format=%H  %s  (%an)"])
    }

    // Credentials go through the environment: arguments are there for everybody to see.
    fn command(&self, arguments: &[&str]) -> Command {
        let header = format!("Authorization: Basic {}", base64(&self.authorization));
        let mut command = Command::new("git");
        command
            .current_dir(&self.folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSL_CAINFO", &self.ca)
            .env("GIT_CONFIG_COUNT", "3")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", header)
            .env("GIT_CONFIG_KEY_1", "user.name")
            .env("GIT_CONFIG_VALUE_1", "Ada Weaver")
            .env("GIT_CONFIG_KEY_2", "user.email")
            .env("GIT_CONFIG_VALUE_2", "ada@shop.example")
            .args(arguments);
        command
    }
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}
