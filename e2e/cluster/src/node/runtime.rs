//! containerd, with every folder inside the cluster's own, and the network of pods.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use super::{PAUSE_IMAGE, POD_RANGE};
use crate::command::{LONG, Run};
use crate::debian::CNI_PLUGINS;
use crate::layout::Layout;
use crate::processes::Component;

/// The namespace of containerd in which kubelet looks for images and containers.
const KUBERNETES_NAMESPACE: &str = "k8s.io";
const CONFIGURATION: &str = "containerd.toml";

/// How containerd stacks an image's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snapshotter {
    /// The kernel's overlay file system.
    Overlay,
    /// Plain copies, where the state folder itself is on an overlay, as inside a container.
    Copies,
}

impl Snapshotter {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlayfs",
            Self::Copies => "native",
        }
    }
}

/// Tries one overlay mount in `folder`, which is left as it was.
///
/// # Errors
/// When the folders for the attempt cannot be made or removed.
pub(super) fn detect_snapshotter(folder: &Path) -> Result<Snapshotter> {
    let probe = folder.join("overlay-probe");
    let context = || format!("failed to try an overlay mount in {}", probe.display());
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| probe.join(name));
    for path in [&lower, &upper, &work, &merged] {
        fs::create_dir_all(path).with_context(context)?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let mounted = mount(
        Some("overlay"),
        &merged,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .is_ok();
    if mounted {
        umount2(&merged, MntFlags::empty()).with_context(context)?;
    }
    fs::remove_dir_all(&probe).with_context(context)?;
    Ok(if mounted {
        Snapshotter::Overlay
    } else {
        Snapshotter::Copies
    })
}

/// Writes containerd's and the network plugins' configuration.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn configure(layout: &Layout, snapshotter: Snapshotter) -> Result<()> {
    super::write(layout, CONFIGURATION, &render(layout, snapshotter))?;
    super::write(
        layout,
        "cni/configuration/heddle.conflist",
        &network(layout).to_string(),
    )
}

pub(super) fn component(layout: &Layout) -> Component {
    let configuration = layout.at_state(CONFIGURATION).display().to_string();
    Component {
        name: "containerd",
        command: vec!["containerd".to_owned(), "--config".to_owned(), configuration],
    }
}

/// `disable_apparmor`: its profile would stay in the host's kernel. `restrict_oom_score_adj`: a host without CAP_SYS_RESOURCE lets nobody lower a score, and runc dies of trying.
pub(super) fn render(layout: &Layout, snapshotter: Snapshotter) -> String {
    let state = layout.state().display();
    let socket = layout.containerd_socket().display().to_string();
    let snapshotter = snapshotter.name();
    format!(
        r#"version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{state}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
disable_apparmor = true
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{state}/containerd/runc"
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{state}/cni/configuration"
"#
    )
}

/// Point-to-point links rather than a bridge: everything is routed, so Services that lead back to the same
/// node work without the host's br_netfilter module.
pub(super) fn network(layout: &Layout) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": layout.scope(),
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": layout.at_state("cni/addresses"),
                    "ranges": [[{ "subnet": POD_RANGE }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
        ],
    })
}

fn ctr(layout: &Layout) -> Run {
    Run::new("ctr")
        .arg("--address")
        .arg(layout.containerd_socket())
        .args(["--namespace", KUBERNETES_NAMESPACE])
}

/// True once containerd answers.
pub(super) fn answers(layout: &Layout) -> bool {
    ctr(layout).args(["version"]).done().is_ok()
}

/// Loads an archive made by `docker save` or buildah.
///
/// # Errors
/// When containerd refuses it.
pub(super) fn import(layout: &Layout, snapshotter: &str, archive: &Path) -> Result<()> {
    let import = ctr(layout)
        .args(["images", "import", "--snapshotter", snapshotter])
        .arg(archive);
    import
        .limit(LONG)
        .done()
        .with_context(|| format!("failed to load {}", archive.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::checkout;

    fn layout() -> Layout {
        Layout::new(&checkout()).unwrap()
    }

    #[test]
    fn containerd_keeps_nothing_outside_the_state_folder() {
        let layout = layout();
        let state = layout.state().display().to_string();
        let text = render(&layout, Snapshotter::Overlay);
        for key in ["root", "state", "address", "path", "Root", "conf_dir"] {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{key} =")))
                .unwrap();
            assert!(line.contains(&state), "{line}");
        }
    }

    #[test]
    fn addresses_are_kept_in_the_state_folder_and_the_network_is_named_after_the_cluster() {
        let layout = layout();
        let network = network(&layout);
        assert_eq!(network["name"], layout.scope());
        let folder = network["plugins"][0]["ipam"]["dataDir"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(Path::new(&folder).starts_with(layout.state()));
    }
}
