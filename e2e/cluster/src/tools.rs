//! The programs a cluster is made of, built once from Go modules into a versioned cache folder.
//!
//! Each tool names the module in `tools/` that pins it. A run builds only what it asks for and what is not
//! in the cache yet; a second run at the same time waits for the first instead of building twice.

mod go;
mod lock;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

pub(crate) use lock::Lock;

use crate::layout::{cache_root, checkout};
use crate::progress::Progress;

/// Version of Kubernetes; newer kubelets refuse hosts with control groups version 1 and containerd 1.x.
pub const KUBERNETES_VERSION: &str = "v1.34.4";
/// Version of helm.
pub const HELM_VERSION: &str = "v3.22.0";
/// Version of Jaeger.
pub const JAEGER_VERSION: &str = "v1.76.0";

/// What this module can provide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The API server.
    KubeApiserver,
    /// The controllers.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// The node agent.
    Kubelet,
    /// The implementation of Services.
    KubeProxy,
    /// The command line.
    Kubectl,
    /// The API server's store.
    Etcd,
    /// The package manager.
    Helm,
    /// The cluster's name server.
    CoreDns,
    /// The program of every pod's sandbox.
    Pause,
    /// A receiver of traces with an API to ask for them; tests alone need it.
    Jaeger,
}

impl Tool {
    /// All a managed node needs, with helm.
    pub const ALL: [Self; 10] = [
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Kubectl,
        Self::Etcd,
        Self::Helm,
        Self::CoreDns,
        Self::Pause,
    ];

    /// Name of the executable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Etcd => "etcd",
            Self::Helm => "helm",
            Self::CoreDns => "coredns",
            Self::Pause => "pause",
            Self::Jaeger => "jaeger",
        }
    }

    fn module(self) -> Module {
        match self {
            Self::Helm => Module::Helm,
            Self::CoreDns => Module::CoreDns,
            Self::Pause => Module::Pause,
            Self::Jaeger => Module::Jaeger,
            _ => Module::Kubernetes,
        }
    }

    /// The Go package whose `main` this is.
    fn package(self) -> String {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3".to_owned(),
            Self::Helm => "helm.sh/helm/v3/cmd/helm".to_owned(),
            Self::CoreDns | Self::Pause => ".".to_owned(),
            Self::Jaeger => "github.com/jaegertracing/jaeger/cmd/all-in-one".to_owned(),
            kubernetes => format!("k8s.io/kubernetes/cmd/{}", kubernetes.name()),
        }
    }

    /// What `go install` calls the executable.
    fn built_name(self) -> &'static str {
        match self {
            Self::Etcd => "server",
            Self::Jaeger => "all-in-one",
            other => other.name(),
        }
    }

    /// envtest's variable for people who have these three already.
    fn kubebuilder_asset(self) -> Option<PathBuf> {
        let provided = matches!(self, Self::KubeApiserver | Self::Etcd | Self::Kubectl);
        let folder = std::env::var_os("KUBEBUILDER_ASSETS").filter(|_| provided)?;
        Some(Path::new(&folder).join(self.name())).filter(|path| path.is_file())
    }
}

/// A Go module below `tools/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    Kubernetes,
    Helm,
    CoreDns,
    Pause,
    Jaeger,
}

impl Module {
    const ALL: [Self; 5] = [
        Self::Pause,
        Self::Kubernetes,
        Self::CoreDns,
        Self::Helm,
        Self::Jaeger,
    ];

    fn source(self) -> PathBuf {
        let folder = match self {
            Self::Kubernetes => "kubernetes",
            Self::Helm => "helm",
            Self::CoreDns => "coredns",
            Self::Pause => "pause",
            Self::Jaeger => "jaeger",
        };
        checkout().join("e2e/cluster/tools").join(folder)
    }

    /// Name of the cache folder: the upstream's version, or a digest where the source is our own.
    fn version(self) -> String {
        match self {
            Self::Kubernetes => format!("kube-{KUBERNETES_VERSION}"),
            Self::Helm => format!("helm-{HELM_VERSION}"),
            Self::Jaeger => format!("jaeger-{JAEGER_VERSION}"),
            Self::CoreDns => {
                let source = [
                    include_str!("../tools/coredns/main.go"),
                    include_str!("../tools/coredns/go.sum"),
                ];
                format!("coredns-{}", short_digest(&source))
            }
            Self::Pause => format!(
                "pause-{}",
                short_digest(&[include_str!("../tools/pause/main.go")])
            ),
        }
    }

    fn title(self) -> String {
        match self {
            Self::Kubernetes => format!("Kubernetes {KUBERNETES_VERSION}"),
            Self::Helm => format!("helm {HELM_VERSION}"),
            Self::Jaeger => format!("Jaeger {JAEGER_VERSION}"),
            Self::CoreDns => "CoreDNS".to_owned(),
            Self::Pause => "the pause program".to_owned(),
        }
    }

    /// From cold, as measured on two cores.
    fn usual_time(self) -> &'static str {
        match self {
            Self::Kubernetes => "about ten minutes on two cores",
            Self::Helm | Self::Jaeger => "about two minutes",
            Self::CoreDns => "about a minute",
            Self::Pause => "seconds",
        }
    }

    /// Kubernetes takes its version from the linker; kubectl and `status` would say v0.0.0 otherwise.
    fn linker_flags(self) -> String {
        let strip = "-s -w";
        if self != Self::Kubernetes {
            return strip.to_owned();
        }
        let mut numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.');
        let (major, minor) = (
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
        );
        let version = "k8s.io/component-base/version";
        format!(
            "{strip} -X {version}.gitVersion={KUBERNETES_VERSION} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
        )
    }
}

fn short_digest(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.concat());
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The cache of tools.
#[derive(Debug, Clone)]
pub struct Tools {
    cache: PathBuf,
}

impl Tools {
    /// Makes sure that each of `tools` is there, building what is missing.
    ///
    /// # Errors
    /// When something has to be built and Go is missing or the build fails; the text says what to do.
    pub fn ensure(progress: &Progress, tools: &[Tool]) -> Result<Self> {
        let found = Self::cached()?;
        for module in Module::ALL {
            let wanted: Vec<Tool> = tools
                .iter()
                .copied()
                .filter(|tool| tool.module() == module)
                .collect();
            found.ensure_module(progress, module, &wanted)?;
        }
        Ok(found)
    }

    /// The cache as it is, with nothing built.
    pub(crate) fn cached() -> Result<Self> {
        Ok(Self { cache: cache_root()? })
    }

    /// Where a tool is once [`Tools::ensure`] has returned.
    #[must_use]
    pub fn path(&self, tool: Tool) -> PathBuf {
        tool.kubebuilder_asset()
            .unwrap_or_else(|| self.folder(tool.module()).join("bin").join(tool.name()))
    }

    fn folder(&self, module: Module) -> PathBuf {
        self.cache.join(module.version())
    }

    fn missing(&self, wanted: &[Tool]) -> Vec<Tool> {
        wanted
            .iter()
            .copied()
            .filter(|tool| !self.path(*tool).is_file())
            .collect()
    }

    fn ensure_module(&self, progress: &Progress, module: Module, wanted: &[Tool]) -> Result<()> {
        if self.missing(wanted).is_empty() {
            return Ok(());
        }
        let folder = self.folder(module);
        let _lock = Lock::acquire(
            progress,
            &folder.join("lock"),
            "another run is building the same tools",
        )?;
        let missing = self.missing(wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let title = module.title();
        go::build(progress, module, &folder, &missing).with_context(|| format!("failed to build {title}"))
    }
}

/// What tests against a real API server need, and nothing more.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// Its store.
    pub etcd: PathBuf,
    /// The command line.
    pub kubectl: PathBuf,
}

/// Builds API server, etcd and kubectl unless they are in the cache or in `KUBEBUILDER_ASSETS`.
///
/// # Errors
/// As [`Tools::ensure`].
pub fn ensure_control_plane() -> Result<ControlPlane> {
    let progress = Progress::new();
    let tools = Tools::ensure(&progress, &[Tool::KubeApiserver, Tool::Etcd, Tool::Kubectl])?;
    Ok(ControlPlane {
        kube_apiserver: tools.path(Tool::KubeApiserver),
        etcd: tools.path(Tool::Etcd),
        kubectl: tools.path(Tool::Kubectl),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_named_here_are_those_of_the_modules() {
        let kubernetes = include_str!("../tools/kubernetes/go.mod");
        assert!(kubernetes.contains(&format!("k8s.io/kubernetes {KUBERNETES_VERSION}")));
        assert!(include_str!("../tools/helm/go.mod").contains(&format!("helm.sh/helm/v3 {HELM_VERSION}")));
        assert!(
            include_str!("../tools/jaeger/go.mod")
                .contains(&format!("jaegertracing/jaeger {JAEGER_VERSION}"))
        );
    }

    #[test]
    fn every_tool_of_the_kubernetes_module_is_declared_there() {
        let declared = include_str!("../tools/kubernetes/go.mod");
        for tool in Tool::ALL
            .into_iter()
            .filter(|tool| tool.module() == Module::Kubernetes)
        {
            assert!(
                declared.contains(&tool.package()),
                "{} is not in go.mod",
                tool.package()
            );
        }
    }

    #[test]
    fn kubernetes_is_told_its_version() {
        let flags = Module::Kubernetes.linker_flags();
        assert!(flags.contains("gitVersion=v1.34.4") && flags.contains("gitMinor=34"));
    }
}
