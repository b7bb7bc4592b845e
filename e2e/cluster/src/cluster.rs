//! Which cluster is used: somebody's own, one of kind, or the single node; and the handle on it.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context, Result};

use crate::images::{Archive, file_stem};
use crate::kubectl::Kubectl;
use crate::layout::Layout;
use crate::node::{self, Node};
use crate::progress::Progress;
use crate::tools::{Lock, Tool, Tools};
use crate::{kind, teardown};

/// Said before a node is made for the first time.
const ABOUT_THE_NODE: &str = "KUBECONFIG names no cluster and kind is not to be had, so a single node is made here: etcd, API server,
controllers, scheduler, kubelet and kube-proxy as ordinary processes, with containerd and CoreDNS, in a network
namespace of their own. What is built is kept in the cache; everything else goes when the cluster is taken down.";

/// Where a cluster comes from, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `HEDDLE_E2E_KUBECONFIG` or `KUBECONFIG` names it; it is used and otherwise left alone.
    Yours(PathBuf),
    /// `kind` is on PATH and has a container engine that works.
    Kind,
    /// etcd, API server, kubelet and the rest, as processes of this host.
    Node,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yours(_) => "your own cluster",
            Self::Kind => "the cluster made by kind",
            Self::Node => "the single node",
        })
    }
}

impl Origin {
    fn choose(layout: &Layout) -> Self {
        let own = layout.kubeconfig();
        let named = ["HEDDLE_E2E_KUBECONFIG", "KUBECONFIG"]
            .into_iter()
            .filter_map(std::env::var_os);
        // People are told to export our own kubeconfig; that does not make the cluster theirs.
        let yours = named
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .find(|path| !is_same(path, &own));
        match yours {
            Some(path) => Self::Yours(path),
            None if kind::is_usable() => Self::Kind,
            None => Self::Node,
        }
    }
}

fn is_same(path: &Path, own: &Path) -> bool {
    std::path::absolute(path).is_ok_and(|path| path == own)
        || path.canonicalize().is_ok_and(|path| path == own)
}

/// A cluster that answers.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    origin: Origin,
    tools: Tools,
}

impl Cluster {
    /// Makes sure that a cluster is up for the checkout at `repo_root`, and returns once it is ready.
    ///
    /// # Errors
    /// When it cannot be had; the text says what to do or ends with the log of what failed.
    pub fn up(repo_root: &Path, progress: &Progress) -> Result<Self> {
        let layout = Layout::new(repo_root)?;
        let _lock = lock(&layout, progress)?;
        let origin = Origin::choose(&layout);
        let tools = match &origin {
            Origin::Node => {
                if !teardown::has_remains(&layout) {
                    progress.say(ABOUT_THE_NODE);
                }
                Node::up(&layout, progress)?
            }
            Origin::Kind => {
                let tools = Tools::ensure(progress, &[Tool::Kubectl, Tool::Helm])?;
                kind::up(&layout, progress)?;
                tools
            }
            Origin::Yours(path) => {
                progress.say(&format!("Using the cluster of {}", path.display()));
                Tools::ensure(progress, &[Tool::Kubectl, Tool::Helm])?
            }
        };
        let cluster = Self {
            layout,
            origin,
            tools,
        };
        cluster
            .command()
            .run(&["get", "--raw=/readyz"])
            .with_context(|| cluster.unreachable())?;
        Ok(cluster)
    }

    /// Removes what [`Cluster::up`] made for the checkout at `repo_root`. Somebody's own cluster is left alone.
    ///
    /// # Errors
    /// Names what could not be removed.
    pub fn down(repo_root: &Path, progress: &Progress) -> Result<()> {
        let layout = Layout::new(repo_root)?;
        let _lock = lock(&layout, progress)?;
        if !teardown::has_remains(&layout) {
            progress.say("There is no cluster to remove");
        }
        kind::down(&layout, progress)?;
        teardown::node(&layout, progress)?;
        if let Origin::Yours(path) = Origin::choose(&layout) {
            progress.say(&format!(
                "The cluster of {} is yours and stays as it is",
                path.display()
            ));
        }
        Ok(())
    }

    /// A sentence about the cluster of the checkout at `repo_root`; makes and changes nothing.
    ///
    /// # Errors
    /// When `repo_root` does not exist.
    pub fn status(repo_root: &Path) -> Result<String> {
        let layout = Layout::new(repo_root)?;
        let origin = Origin::choose(&layout);
        let kubeconfig = kubeconfig(&layout, &origin);
        let kubectl = Kubectl::new(Tools::cached()?.path(Tool::Kubectl), kubeconfig.clone(), &layout);
        let answer = if kubectl.run(&["get", "--raw=/readyz"]).is_ok() {
            "is ready"
        } else {
            "is not running"
        };
        Ok(format!("{origin} {answer}; kubeconfig {}", kubeconfig.display()))
    }

    /// The kubeconfig of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig(&self.layout, &self.origin)
    }

    /// Path of kubectl.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.tools.path(Tool::Kubectl)
    }

    /// Path of helm.
    #[must_use]
    pub fn helm(&self) -> PathBuf {
        self.tools.path(Tool::Helm)
    }

    /// Where the cluster came from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// False for somebody's own cluster, whose nodes pull their images.
    #[must_use]
    pub fn takes_archives(&self) -> bool {
        !matches!(self.origin, Origin::Yours(_))
    }

    /// Loads an archive unless this cluster has had the same content already.
    ///
    /// # Errors
    /// When the cluster refuses it.
    pub fn load(&self, progress: &Progress, archive: &Archive) -> Result<()> {
        let note = self
            .layout
            .at_state(&format!("images/{}", file_stem(&archive.name)));
        if fs::read_to_string(&note).is_ok_and(|loaded| loaded == archive.digest) {
            return Ok(());
        }
        let step = progress.step(&format!("Loading image {}", archive.name));
        self.load_archive(&archive.path)?;
        if let Some(folder) = note.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&note, &archive.digest).with_context(|| format!("failed to write {}", note.display()))?;
        step.done(&format!("Loaded image {}", archive.name));
        Ok(())
    }

    /// Loads any archive in the format of `docker save`.
    ///
    /// # Errors
    /// When the cluster refuses it, or is somebody's own.
    pub fn load_archive(&self, archive: &Path) -> Result<()> {
        match &self.origin {
            Origin::Node => node::import(&self.layout, archive),
            Origin::Kind => kind::load(archive),
            Origin::Yours(_) => {
                anyhow::bail!("this cluster is yours: push the image where its nodes can pull it")
            }
        }
    }

    fn unreachable(&self) -> String {
        match &self.origin {
            Origin::Yours(path) => format!(
                "failed to reach the cluster of {}; unset KUBECONFIG and HEDDLE_E2E_KUBECONFIG to have one made here",
                path.display()
            ),
            Origin::Kind | Origin::Node => "failed to reach the cluster".to_owned(),
        }
    }

    fn command(&self) -> Kubectl {
        Kubectl::new(self.kubectl(), self.kubeconfig(), &self.layout)
    }
}

fn kubeconfig(layout: &Layout, origin: &Origin) -> PathBuf {
    match origin {
        Origin::Yours(path) => path.clone(),
        Origin::Kind | Origin::Node => layout.kubeconfig(),
    }
}

fn lock(layout: &Layout, progress: &Progress) -> Result<Lock> {
    Lock::acquire(
        progress,
        &layout.lock()?,
        "another run brings the cluster up or down",
    )
}
