//! What Kubernetes does to the host outside the cluster's folder, and how it is undone.
//!
//! Some paths are fixed in kubelet, containerd and the network library. Only files known to be this cluster's are
//! removed from them, and a folder only when it was not there before and nothing is left in it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result};

use crate::layout::Layout;

/// Kernel settings that kubelet changes when it starts.
const KERNEL_SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];
const REMEMBERED: &str = "host-settings";
/// Notes that a folder was not there before; no kernel setting has this name.
const ABSENT: &str = "absent";

/// Fixed in kubelet: links to the logs of containers.
const CONTAINER_LOGS: &str = "/var/log/containers";
/// Fixed in kubelet: the socket at which device plugins register.
const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";
/// Fixed in the network library: results of adding a container to a network.
const NETWORK_RESULTS: &str = "/var/lib/cni/results";
/// Fixed in containerd's shims: their sockets.
const SHIM_SOCKETS: &str = "/run/containerd/s";
const KUBELET: &str = "/var/lib/kubelet";
const CONTAINERD: &str = "/run/containerd";
const NETWORK: &str = "/var/lib/cni";
/// All of them with the folders they lie in, children first. A machine without Kubernetes and containerd has none.
const FOLDERS: [&str; 8] = [
    CONTAINER_LOGS,
    DEVICE_PLUGINS,
    KUBELET,
    NETWORK_RESULTS,
    NETWORK,
    SHIM_SOCKETS,
    CONTAINERD,
    "/run/mount",
];

/// Notes the kernel settings once, before kubelet changes them, and which folders are not there yet.
///
/// # Errors
/// When the note cannot be written.
pub(crate) fn remember(layout: &Layout) -> Result<()> {
    let note = layout.at_state(REMEMBERED);
    if note.exists() {
        return Ok(());
    }
    let line = |setting: &&str| {
        Some(format!(
            "{setting}={}\n",
            fs::read_to_string(kernel(setting)).ok()?.trim()
        ))
    };
    let mut lines: String = KERNEL_SETTINGS.iter().filter_map(line).collect();
    let absent = FOLDERS.into_iter().filter(|folder| !Path::new(folder).exists());
    lines.extend(absent.map(|folder| format!("{ABSENT}={folder}\n")));
    fs::write(&note, lines).with_context(|| format!("failed to write {}", note.display()))
}

fn kernel(setting: &str) -> PathBuf {
    Path::new("/proc/sys").join(setting)
}

/// Puts the kernel settings back and removes what was left in fixed paths; goes on after a failure.
pub(crate) fn restore(layout: &Layout) -> Vec<String> {
    let mut failures = restore_settings(layout);
    for leftover in leftovers(layout) {
        let removed = fs::remove_file(&leftover);
        if let Err(error) = removed.or_else(ignore_missing) {
            failures.push(format!("failed to remove {}: {error}", leftover.display()));
        }
    }
    for folder in FOLDERS.into_iter().filter(|folder| was_absent(layout, folder)) {
        // Not empty means that somebody else uses it by now.
        let _ = fs::remove_dir(folder);
    }
    failures
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

fn restore_settings(layout: &Layout) -> Vec<String> {
    let settings = noted(layout);
    let changed = settings.iter().filter(|(name, value)| {
        fs::read_to_string(kernel(name)).is_ok_and(|current| current.trim() != value)
    });
    let failed = changed.filter_map(|(name, value)| {
        let error = fs::write(kernel(name), value).err()?;
        Some(format!("failed to set {name} back to {value}: {error}"))
    });
    failed.collect()
}

/// Name and value of everything noted; empty when no cluster came as far as that.
fn noted(layout: &Layout) -> Vec<(String, String)> {
    let note = fs::read_to_string(layout.at_state(REMEMBERED)).unwrap_or_default();
    let pairs = note.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Files of this cluster in the fixed paths.
fn leftovers(layout: &Layout) -> Vec<PathBuf> {
    let mut found = container_logs(layout);
    found.extend(network_results(layout));
    found.extend(shim_sockets(layout));
    found.extend(device_plugins(layout));
    found
}

fn entries(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn container_logs(layout: &Layout) -> Vec<PathBuf> {
    let ours = |link: &PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(layout.state()));
    entries(CONTAINER_LOGS).into_iter().filter(ours).collect()
}

/// Results are named after network, container and interface. Every containerd calls its loopback network the same, and
/// containers that were killed are known no more, so all are ours only when there were none before.
fn network_results(layout: &Layout) -> Vec<PathBuf> {
    if was_absent(layout, NETWORK) {
        return entries(NETWORK_RESULTS);
    }
    let containers: Vec<String> = tasks(layout).iter().filter_map(|task| file_name(task)).collect();
    let prefix = format!("{}-", layout.scope());
    let ours = |path: &PathBuf| {
        let name = file_name(path).unwrap_or_default();
        name.starts_with(&prefix) || containers.iter().any(|container| name.contains(container))
    };
    entries(NETWORK_RESULTS).into_iter().filter(ours).collect()
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// The folders in which containerd keeps what it knows about each running container.
fn tasks(layout: &Layout) -> Vec<PathBuf> {
    entries(
        &layout
            .at_state("containerd/state/io.containerd.runtime.v2.task/k8s.io")
            .display()
            .to_string(),
    )
}

/// Each task's folder names its shim's socket; the containers of a pod share one. A shim that was killed takes its
/// folder along but not its socket, which is ours when there was no containerd on this host before.
fn shim_sockets(layout: &Layout) -> Vec<PathBuf> {
    let named = tasks(layout).into_iter().filter_map(|task| {
        let text = fs::read_to_string(task.join("address")).ok()?;
        Some(PathBuf::from(text.trim().strip_prefix("unix://")?))
    });
    let mut sockets: Vec<PathBuf> = named.filter(|socket| socket.starts_with(SHIM_SOCKETS)).collect();
    if was_absent(layout, CONTAINERD) {
        sockets.extend(
            entries(SHIM_SOCKETS)
                .into_iter()
                .filter(|socket| nobody_listens(socket)),
        );
    }
    sockets
}

fn nobody_listens(socket: &Path) -> bool {
    UnixStream::connect(socket).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Ours alone when there was no kubelet on this host before.
fn device_plugins(layout: &Layout) -> Vec<PathBuf> {
    if was_absent(layout, KUBELET) {
        entries(DEVICE_PLUGINS)
    } else {
        Vec::new()
    }
}

fn was_absent(layout: &Layout, folder: &str) -> bool {
    noted(layout)
        .iter()
        .any(|(name, value)| name == ABSENT && value == folder)
}
