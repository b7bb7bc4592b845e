//! Where one cluster keeps its things, and the names under which the host knows them.
//!
//! Every name follows from the path of the state folder alone, so that tear-down finds what belongs to a
//! cluster even when a crash took every file in the folder.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Range of the links between host and node: RFC 2544 reserves it for tests, so no host routes it.
const LINK_RANGE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// How many /30 networks fit into the /15 of `LINK_RANGE`.
const LINK_NETWORKS: u32 = 1 << 15;

/// `sun_path` of unix(7) with the zero that ends it.
const SOCKET_PATH_LIMIT: usize = 107;
/// Of the sockets below the state folder; kubelet makes it.
const LONGEST_SOCKET: &str = "kubelet/pod-resources/kubelet.sock";

/// Where the state of a checkout lies whose own path is too long for sockets; digits of its digest follow.
const DISTANT_STATE: &str = "/var/lib/heddle-cluster-";

/// The paths and names of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
    state: PathBuf,
    digest: [u8; 32],
}

impl Layout {
    /// The layout of the cluster that belongs to the checkout at `repo_root`.
    ///
    /// # Errors
    /// When `repo_root` does not exist or `.heddle` cannot be made in it.
    pub(crate) fn new(repo_root: &Path) -> Result<Self> {
        let root = repo_root
            .canonicalize()
            .with_context(|| format!("failed to find the repository at {}", repo_root.display()))?;
        let home = root.join(".heddle");
        fs::create_dir_all(&home).with_context(|| format!("failed to create {}", home.display()))?;
        Ok(Self::at(root))
    }

    fn at(root: PathBuf) -> Self {
        let near = root.join(".heddle/cluster");
        let digest: [u8; 32] = Sha256::digest(near.as_os_str().as_encoded_bytes()).into();
        let state = match near.join(LONGEST_SOCKET).as_os_str().len() {
            0..=SOCKET_PATH_LIMIT => near,
            // Deep checkouts, as of CI, leave the sockets no room.
            _ => {
                let id: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
                PathBuf::from(format!("{DISTANT_STATE}{id}"))
            }
        };
        Self { root, state, digest }
    }

    /// `.heddle`, which Git ignores.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join(".heddle")
    }

    /// The lock between runs that bring this cluster up or down; it has to outlive what it guards.
    ///
    /// # Errors
    /// As [`cache_root`].
    pub(crate) fn lock(&self) -> Result<PathBuf> {
        Ok(cache_root()?.join("locks").join(self.id()))
    }

    /// Everything that lives and dies with the cluster.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// A path inside the state folder.
    pub(crate) fn at_state(&self, relative: &str) -> PathBuf {
        self.state.join(relative)
    }

    /// The administrator's kubeconfig, with certificates inside.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.home().join("kubeconfig")
    }

    /// Eight hexadecimal digits that tell this cluster's names from another checkout's.
    pub(crate) fn id(&self) -> String {
        self.digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Name of the control group below which every pod runs, and of the container network.
    pub(crate) fn scope(&self) -> String {
        format!("heddle-{}", self.id())
    }

    /// The file on which the node's network namespace is mounted.
    pub(crate) fn network_namespace(&self) -> PathBuf {
        self.at_state("netns")
    }

    /// The host's end of the veth pair; interface names end at 15 characters.
    pub(crate) fn host_link(&self) -> String {
        format!("hdl{}h", self.id())
    }

    /// The node's end of the veth pair.
    pub(crate) fn node_link(&self) -> String {
        format!("hdl{}n", self.id())
    }

    /// Address of the host on the link, of a /30.
    pub(crate) fn host_address(&self) -> Ipv4Addr {
        self.link_address(1)
    }

    /// Address of the node on the link, of a /30; the API server listens on it.
    pub(crate) fn node_address(&self) -> Ipv4Addr {
        self.link_address(2)
    }

    fn link_address(&self, host: u32) -> Ipv4Addr {
        let [a, b, c, d, ..] = self.digest;
        let network = u32::from_be_bytes([a, b, c, d]) % LINK_NETWORKS;
        Ipv4Addr::from(u32::from(LINK_RANGE) + network * 4 + host)
    }

    /// Where the API server answers, for host and pods alike.
    pub(crate) fn server(&self) -> String {
        format!("https://{}:{}", self.node_address(), crate::node::API_SERVER_PORT)
    }

    /// The socket of the cluster's own containerd.
    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.at_state("containerd.sock")
    }

    /// The log of a component, by its name.
    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.state.join("logs").join(format!("{component}.log"))
    }
}

/// A file of every checkout, by its path from the root.
const LANDMARK: &str = "e2e/cluster/Cargo.toml";

/// The root of the checkout that this process belongs to: the one of the package that cargo has started, and otherwise
/// the one it was compiled in, which may be another where checkouts share a target folder.
#[must_use]
pub fn checkout() -> PathBuf {
    let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    let started = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    started
        .as_deref()
        .and_then(root_above)
        .or_else(|| root_above(compiled_in))
        .unwrap_or_else(|| compiled_in.to_owned())
}

fn root_above(folder: &Path) -> Option<PathBuf> {
    let root = folder.ancestors().find(|folder| folder.join(LANDMARK).is_file());
    root.map(Path::to_owned)
}

/// The folder shared by every checkout of one user: `${XDG_CACHE_HOME:-~/.cache}/heddle`.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache_root() -> Result<PathBuf> {
    let from_environment = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from_environment("XDG_CACHE_HOME")
        .or_else(|| from_environment("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("heddle"))
        .context("failed to find a cache folder: neither XDG_CACHE_HOME nor HOME is set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_checkout_is_found_from_any_of_its_packages() {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, other) = (folder.path().join("e2e/cluster"), folder.path().join("xtask/src"));
        std::fs::create_dir_all(&cluster).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(folder.path().join(LANDMARK), "").unwrap();
        assert_eq!(root_above(&cluster).as_deref(), Some(folder.path()));
        assert_eq!(root_above(&other).as_deref(), Some(folder.path()));
        assert_eq!(root_above(Path::new("/")), None);
        // As cargo starts this test.
        assert!(checkout().join(LANDMARK).is_file());
    }

    #[test]
    fn two_checkouts_share_no_name() {
        let (one, other) = (Layout::at("/src/one".into()), Layout::at("/src/other".into()));
        assert_ne!(one.id(), other.id());
        assert_ne!(one.node_address(), other.node_address());
    }

    #[test]
    fn both_ends_of_the_link_are_in_one_network_of_the_test_range() {
        let layout = Layout::at("/src/heddle".into());
        let (host, node) = (u32::from(layout.host_address()), u32::from(layout.node_address()));
        assert_eq!(host >> 2, node >> 2);
        assert_eq!(host >> 17, u32::from(LINK_RANGE) >> 17);
    }

    #[test]
    fn a_path_too_long_for_sockets_keeps_its_state_elsewhere() {
        let short = Layout::at("/src/heddle".into());
        assert_eq!(short.state(), Path::new("/src/heddle/.heddle/cluster"));
        for length in [57, 60, 200] {
            let deep = Layout::at(format!("/{}", "x".repeat(length)).into());
            assert!(deep.state().starts_with("/var/lib"), "{}", deep.state().display());
            assert!(deep.at_state(LONGEST_SOCKET).as_os_str().len() <= SOCKET_PATH_LIMIT);
        }
    }

    #[test]
    fn interface_names_fit_the_kernel_limit() {
        let layout = Layout::at("/src/heddle".into());
        assert!(layout.host_link().len() <= 15 && layout.node_link().len() <= 15);
    }
}
