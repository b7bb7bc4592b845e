//! The single node: the order in which its parts come up, and how a later run finds it well or mends it.

mod agents;
mod certificates;
mod control_plane;
mod dns;
pub(crate) mod network;
mod readiness;
pub(crate) mod runtime;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::images::{Archive, system_images};
use crate::kubectl::Kubectl;
use crate::layout::Layout;
use crate::processes::Component;
use crate::progress::{Progress, human};
use crate::tools::{KUBERNETES_VERSION, Tool, Tools};
use crate::{control_groups, debian, host, teardown};
use readiness::Watch;
use runtime::Snapshotter;

/// Where the API server listens on the node's address.
pub(crate) const API_SERVER_PORT: u16 = 6443;
/// Name of the one node.
const NODE_NAME: &str = "heddle";
/// Addresses of Services; kubeadm's default.
const SERVICE_RANGE: &str = "10.96.0.0/16";
/// First of them, which the API server gives to its own Service.
const API_SERVER_SERVICE_ADDRESS: &str = "10.96.0.1";
/// Address of the Service in `manifests/coredns.yaml`.
const DNS_ADDRESS: &str = "10.96.0.10";
/// Addresses of pods.
const POD_RANGE: &str = "10.244.0.0/16";
/// Image of every pod's sandbox; never looked for in a registry.
pub(crate) const PAUSE_IMAGE: &str = "docker.io/library/heddle-pause:e2e";

/// The rest fails, rather than waits, without these.
const STARTED_FIRST: [&str; 3] = ["etcd", "containerd", "kube-apiserver"];

/// Written last; holds the digest of the recipe the cluster was made from.
const READY: &str = "ready";
/// Name of the snapshotter in use.
const SNAPSHOTTER: &str = "snapshotter";

/// The node of one checkout.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    layout: &'a Layout,
    tools: Tools,
    progress: &'a Progress,
}

impl<'a> Node<'a> {
    /// Returns once the node is up and ready: at once when it was, after mending or making it otherwise.
    ///
    /// # Errors
    /// When a package or tool cannot be had, or a component does not become ready; the text ends with its log.
    pub(crate) fn up(layout: &'a Layout, progress: &'a Progress) -> Result<Tools> {
        if !nix::unistd::geteuid().is_root() {
            bail!(
                "a cluster needs root, for namespaces, mounts and control groups; run this with sudo, or set KUBECONFIG"
            );
        }
        // Seconds, and what can fail early should: the tools after it take minutes.
        debian::ensure_node(progress)?;
        let tools = Tools::ensure(progress, &Tool::ALL)?;
        let node = Self {
            layout,
            tools,
            progress,
        };
        if node.is_well() {
            progress.say(&format!("✓ Kubernetes {KUBERNETES_VERSION} is up already"));
            return Ok(node.tools);
        }
        if !node.mend() {
            node.make()?;
        }
        Ok(node.tools)
    }

    /// The components, in the order in which they start.
    fn components(&self) -> Vec<Component> {
        let (layout, tools) = (self.layout, &self.tools);
        vec![
            control_plane::etcd(layout, tools),
            runtime::component(layout),
            control_plane::api_server(layout, tools),
            control_plane::controller_manager(layout, tools),
            control_plane::scheduler(layout, tools),
            agents::kubelet(layout, tools),
            agents::kube_proxy(layout, tools),
        ]
    }

    /// Digest of everything a running cluster took from this program.
    fn recipe(&self) -> String {
        let mut digest = Sha256::new();
        for component in self.components() {
            digest.update(component.command.join("\0"));
        }
        digest.update(runtime::render(self.layout, Snapshotter::Overlay));
        digest.update(runtime::network(self.layout).to_string());
        digest.update(agents::kubelet_configuration(self.layout).to_string());
        digest.update(agents::kube_proxy_configuration(self.layout).to_string());
        digest.update(dns::MANIFEST);
        format!("{:x}", digest.finalize())
    }

    /// True when an earlier run came to its end with the same recipe and the host was not restarted since.
    fn is_complete(&self) -> bool {
        let recipe = fs::read_to_string(self.layout.at_state(READY)).unwrap_or_default();
        recipe == self.recipe() && network::exists(self.layout)
    }

    fn is_well(&self) -> bool {
        self.is_complete()
            && self
                .components()
                .iter()
                .all(|component| component.is_alive(self.layout))
            && readiness::is_ready(&self.kubectl())
    }

    /// Starts what died in a cluster that was complete. False when there is nothing to mend or it did not help.
    fn mend(&self) -> bool {
        if !self.is_complete() {
            return false;
        }
        let components = self.components();
        let dead = components
            .iter()
            .filter(|component| !component.is_alive(self.layout));
        let names: Vec<&str> = dead.map(|component| component.name).collect();
        self.progress.say(&format!(
            "The cluster is not well; starting what is not running: {}",
            names.join(", ")
        ));
        let mended = self.start_control_plane(&[]).and_then(|()| self.await_ready());
        match &mended {
            Ok(times) => self
                .progress
                .say(&format!("✓ Mended in {}", human(times.node + times.dns))),
            Err(error) => self
                .progress
                .say(&format!("It cannot be mended ({error:#}); starting anew")),
        }
        mended.is_ok()
    }

    fn make(&self) -> Result<()> {
        teardown::node(self.layout, self.progress)?;
        let images = system_images(self.progress, &self.tools)?;
        let started = Instant::now();
        let step = self.progress.step("Starting the control plane");
        self.prepare().context("failed to prepare the node")?;
        self.start_control_plane(&images)?;
        let control_plane = step.done("The API server is ready");
        let node = self.await_ready()?;
        fs::write(self.layout.at_state(READY), self.recipe())
            .context("failed to note that the cluster is ready")?;
        self.summarise(started.elapsed(), control_plane, node);
        Ok(())
    }

    fn summarise(&self, whole: Duration, control_plane: Duration, node: readiness::Times) {
        self.progress.say(&format!(
            "✓ Kubernetes {KUBERNETES_VERSION} ready in {}: control plane {}, node {}, DNS {}; kubeconfig at {}",
            human(whole),
            human(control_plane),
            human(node.node),
            human(node.dns),
            self.layout.kubeconfig().display(),
        ));
    }

    /// Everything that has to be there before the first process starts.
    fn prepare(&self) -> Result<()> {
        let layout = self.layout;
        fs::create_dir_all(layout.state())?;
        host::remember(layout)?;
        control_groups::create(&layout.scope())?;
        network::create(layout)?;
        certificates::create(layout)?;
        let snapshotter = runtime::detect_snapshotter(layout.state())?;
        write(layout, SNAPSHOTTER, snapshotter.name())?;
        runtime::configure(layout, snapshotter)?;
        agents::configure(layout)
    }

    /// Starts what is not running of the parts that the others fail without. Images are loaded while the API server
    /// sets itself up.
    fn start_control_plane(&self, images: &[Archive]) -> Result<()> {
        let components = self.components().into_iter();
        let first: Vec<Component> = components
            .filter(|component| STARTED_FIRST.contains(&component.name))
            .collect();
        self.start_missing(&first)?;
        let watch = self.watch(first);
        watch.runtime()?;
        images
            .iter()
            .try_for_each(|image| import(self.layout, &image.path))?;
        watch.api_server()
    }

    fn start_missing(&self, components: &[Component]) -> Result<()> {
        let mut missing = components
            .iter()
            .filter(|component| !component.is_alive(self.layout));
        missing.try_for_each(|component| component.start(self.layout))
    }

    fn await_ready(&self) -> Result<readiness::Times> {
        let step = self.progress.step("Waiting for node, service accounts and DNS");
        let components = self.components();
        self.start_missing(&components)?;
        let watch = self.watch(components);
        watch.kubectl.apply(dns::MANIFEST)?;
        let times = watch.node()?;
        step.nothing();
        Ok(times)
    }

    fn watch(&self, started: Vec<Component>) -> Watch<'a> {
        Watch {
            layout: self.layout,
            kubectl: self.kubectl(),
            started,
        }
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::new(
            self.tools.path(Tool::Kubectl),
            self.layout.kubeconfig(),
            self.layout,
        )
    }
}

/// Loads an image archive into the node's containerd.
///
/// # Errors
/// When containerd refuses it.
pub(crate) fn import(layout: &Layout, archive: &Path) -> Result<()> {
    let name = fs::read_to_string(layout.at_state(SNAPSHOTTER))
        .context("failed to find the cluster's snapshotter")?;
    runtime::import(layout, &name, archive)
}

/// Writes a file of the state folder.
fn write(layout: &Layout, relative: &str, text: &str) -> Result<()> {
    let path = layout.at_state(relative);
    let context = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(context)?;
    }
    fs::write(&path, text).with_context(context)
}
