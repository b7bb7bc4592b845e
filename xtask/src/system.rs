//! Heddle installed in a cluster beside a Git server: what the demo shows and the black-box tests look at.

mod git_server;

use crate::binaries::{Binaries, build_go_plugins};
use crate::process::{output, run};
use anyhow::{Context, Result};
use heddle_e2e_cluster::images::{self, Archive, Base, ImageSpec};
use heddle_e2e_cluster::{Cluster, PortForward, Progress};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use git_server::GitServer;

/// Where the operator is installed.
pub(crate) const NAMESPACE: &str = "heddle-system";
/// The release's name, which is the Deployment's too.
pub(crate) const RELEASE: &str = "heddle";
/// Names the registry, with a trailing path if any, that somebody's own cluster pulls our images from.
const REGISTRY_VARIABLE: &str = "HEDDLE_E2E_IMAGE_REGISTRY";
/// The example chat's program and image, and the example sink's.
const CHAT: &str = "heddle-example-chat";
const AUDIT: &str = "heddle-example-audit";
/// The tag of images that are built here.
const TAG: &str = "dev";

/// A cluster with everything in it.
pub(crate) struct System {
    cluster: Cluster,
    pub(crate) git: GitServer,
}

impl System {
    /// Brings up what is missing. A second call finds everything there and takes seconds.
    pub(crate) fn up(root: &Path, binaries: &Binaries) -> Result<Self> {
        let progress = Progress::new();
        let cluster = Cluster::up(root, &progress)?;
        let mut archives = Vec::new();
        if cluster.takes_archives() {
            archives = build_images(root, binaries, &progress)?;
            for archive in &archives {
                cluster.load(&progress, archive)?;
            }
        } else {
            progress.say(&format!(
                "This cluster is yours. It must be able to pull heddle-operator:{TAG}, heddle-codegen:{TAG}, heddle-proxy:{TAG}, heddle-example-chat:{TAG}, heddle-example-audit:{TAG} and heddle-git-server:{TAG}{}.",
                registry().map(|registry| format!(" from {registry}")).unwrap_or_default()
            ));
        }
        let git = GitServer::install(
            root,
            &Kubectl::new(&cluster),
            &image("heddle-git-server"),
            &progress,
        )?;
        install_heddle(root, &cluster, &archives, &progress)?;
        Ok(Self { cluster, git })
    }

    /// Takes the cluster away, with all that was brought up for it.
    pub(crate) fn down(root: &Path) -> Result<()> {
        Cluster::down(root, &Progress::new())
    }

    pub(crate) fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.cluster)
    }

    /// Where kubectl's configuration for this cluster is.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.cluster.kubeconfig()
    }

    /// Where a kubectl is.
    pub(crate) fn kubectl_program(&self) -> PathBuf {
        self.cluster.kubectl()
    }

    /// The image of the example chat.
    pub(crate) fn chat_image() -> String {
        image(CHAT)
    }

    /// The image of the example sink.
    pub(crate) fn audit_image() -> String {
        image(AUDIT)
    }

    /// What the black-box tests need to know.
    pub(crate) fn environment(&self, forward: &PortForward) -> Vec<(String, String)> {
        let path = |path: PathBuf| path.display().to_string();
        let mut environment = vec![
            ("KUBECONFIG".to_owned(), path(self.cluster.kubeconfig())),
            ("HEDDLE_E2E_KUBECTL".to_owned(), path(self.cluster.kubectl())),
            ("HEDDLE_E2E_HELM".to_owned(), path(self.cluster.helm())),
            ("HEDDLE_E2E_NAMESPACE".to_owned(), NAMESPACE.to_owned()),
            ("HEDDLE_E2E_RELEASE".to_owned(), RELEASE.to_owned()),
            ("HEDDLE_E2E_CHAT_IMAGE".to_owned(), Self::chat_image()),
            ("HEDDLE_E2E_AUDIT_IMAGE".to_owned(), Self::audit_image()),
        ];
        environment.extend(self.git.environment(forward));
        environment
    }
}

/// kubectl, pointed at the cluster.
#[derive(Clone)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    fn new(cluster: &Cluster) -> Self {
        Self {
            program: cluster.kubectl(),
            kubeconfig: cluster.kubeconfig(),
        }
    }

    /// A command that is not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments);
        command
    }

    /// What a command writes to standard output.
    pub(crate) fn output(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.command(arguments))
    }

    /// Applies manifests.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        self.apply_with(&[], manifest)
    }

    /// Applies manifests that name no namespace.
    pub(crate) fn apply_in(&self, namespace: &str, manifest: &str) -> Result<()> {
        self.apply_with(&["--namespace", namespace], manifest)
    }

    fn apply_with(&self, more: &[&str], manifest: &str) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new().context("failed to make a temporary file")?;
        file.write_all(manifest.as_bytes())
            .context("failed to write a temporary file")?;
        let path = file.path().display().to_string();
        let mut arguments = vec!["apply", "--server-side", "--force-conflicts", "--filename", &path];
        arguments.extend(more);
        self.output(&arguments).map(drop)
    }
}

fn registry() -> Option<String> {
    std::env::var(REGISTRY_VARIABLE)
        .ok()
        .filter(|registry| !registry.is_empty())
}

fn image(name: &str) -> String {
    match registry() {
        Some(registry) => format!("{}/{name}:{TAG}", registry.trim_end_matches('/')),
        None => format!("{name}:{TAG}"),
    }
}

fn build_images(root: &Path, binaries: &Binaries, progress: &Progress) -> Result<Vec<Archive>> {
    let mut specs = product_images(root, binaries, image)?;
    specs.push(ImageSpec {
        name: image("heddle-git-server"),
        dockerfile: root.join("tests/git-server/Dockerfile"),
        context: vec![(
            binaries.program("heddle-git-server")?.to_owned(),
            "heddle-git-server".to_owned(),
        )],
        base: Base::WithGit,
    });
    for (name, folder) in [(CHAT, "chat"), (AUDIT, "audit")] {
        specs.push(ImageSpec {
            name: image(name),
            dockerfile: root.join("examples").join(folder).join("Dockerfile"),
            context: vec![(binaries.program(name)?.to_owned(), name.to_owned())],
            base: Base::Minimal,
        });
    }
    images::build(progress, &specs)
}

/// The images that people run, called as `name` says.
pub(crate) fn product_images(
    root: &Path,
    binaries: &Binaries,
    name: impl Fn(&str) -> String,
) -> Result<Vec<ImageSpec>> {
    let plugins = heddle_e2e_cluster::cache_root()?.join("go-plugins");
    build_go_plugins(root, &plugins)?;
    let program = |name: &str| -> Result<_> { Ok((binaries.program(name)?.to_owned(), name.to_owned())) };
    let mut codegen = vec![program("heddle-codegen")?];
    for plugin in ["protoc-gen-go", "protoc-gen-go-grpc"] {
        codegen.push((plugins.join(plugin), format!("plugins/{plugin}")));
    }
    let spec = |repository: &str, folder: &str, context| ImageSpec {
        name: name(repository),
        dockerfile: root.join(folder).join("Dockerfile"),
        context,
        base: Base::Minimal,
    };
    Ok(vec![
        spec("heddle-operator", "operator", vec![program("heddle-operator")?]),
        spec("heddle-codegen", "codegen-job", codegen),
        spec("heddle-proxy", "proxy-sidecar", vec![program("heddle-proxy")?]),
    ])
}

fn install_heddle(root: &Path, cluster: &Cluster, archives: &[Archive], progress: &Progress) -> Result<()> {
    let step = progress.step("Installing Heddle with helm");
    Kubectl::new(cluster).apply(&format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"
    ))?;
    // The tag stays the same when an image changes; the digests are what makes the Deployment roll.
    let digests: Vec<_> = archives.iter().map(|archive| archive.digest.as_str()).collect();
    let values = serde_json::json!({
        "image": { "registry": registry().unwrap_or_default(), "tag": TAG },
        "codegen": { "image": { "registry": registry().unwrap_or_default(), "tag": TAG } },
        "proxy": { "image": { "registry": registry().unwrap_or_default(), "tag": TAG } },
        // Every event has a trace, so that demo and tests can show it.
        "subscriptions": { "traceRatio": 1 },
        "podAnnotations": { "heddle.dev/images": digests.join(" ") },
    });
    let mut file = tempfile::NamedTempFile::new().context("failed to make a temporary file")?;
    file.write_all(values.to_string().as_bytes())
        .context("failed to write a temporary file")?;
    let mut helm = Command::new(cluster.helm());
    helm.env("KUBECONFIG", cluster.kubeconfig())
        .args([
            "upgrade",
            "--install",
            RELEASE,
            "--namespace",
            NAMESPACE,
            "--wait",
            "--timeout",
            "3m",
            "--values",
        ])
        .arg(file.path())
        .arg(root.join("charts/heddle"))
        .stdout(std::process::Stdio::null());
    run(&mut helm).context("failed to install the chart\n  see: kubectl -n heddle-system describe pods")?;
    step.done("Installed Heddle with helm");
    Ok(())
}
