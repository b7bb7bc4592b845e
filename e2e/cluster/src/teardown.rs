//! Takes a node down so that nothing of it is left, whatever state a crash left it in.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::mount::MntFlags;

use crate::layout::Layout;
use crate::node::network;
use crate::progress::Progress;
use crate::wait::{Look, until};
use crate::{control_groups, host, mounts, processes};

/// How often in a row nothing may be found before nothing is there.
const CLEAN_LOOKS: u32 = 2;
const PROCESS_LIMIT: Duration = Duration::from_secs(30);
const MOUNT_LIMIT: Duration = Duration::from_secs(20);
const GROUP_LIMIT: Duration = Duration::from_secs(20);
const FILE_LIMIT: Duration = Duration::from_secs(20);

/// Removes processes, mounts, network, control groups, traces on the host and files of the cluster, in this order:
/// each step frees what the next one needs, and none depends on a file that an earlier run may have removed.
///
/// # Errors
/// Names what could not be removed.
pub(crate) fn node(layout: &Layout, progress: &Progress) -> Result<()> {
    if !has_remains(layout) {
        return Ok(());
    }
    let step = progress.step("Removing the cluster");
    end_processes(layout)?;
    network::remove_link(layout)?;
    unmount(layout)?;
    remove_groups(layout)?;
    let failures = host::restore(layout);
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    remove_files(layout)?;
    step.done("Removed the cluster: processes, network, mounts, control groups, files");
    Ok(())
}

/// True while anything of the cluster is on this host.
pub(crate) fn has_remains(layout: &Layout) -> bool {
    layout.state().exists()
        || !processes_left(layout).is_empty()
        || !mounts::below(layout.state()).is_empty()
        || network::link_exists(layout)
        || control_groups::exist(&layout.scope())
}

/// Components and shims carry the cluster's variable; what runs in containers is in its control group.
fn processes_left(layout: &Layout) -> BTreeSet<i32> {
    let mut pids: BTreeSet<i32> = processes::of_cluster(layout).into_iter().collect();
    pids.extend(control_groups::processes(&layout.scope()));
    // A zombie only waits to be collected, by whichever process is its parent now.
    pids.retain(|pid| !processes::has_ended(*pid));
    pids
}

/// Looks again after every round, since a component may have started a child between the look and the signal; and
/// once more at the end, since a process has no environment while it turns into another program.
fn end_processes(layout: &Layout) -> Result<()> {
    let mut clean_looks = 0;
    until("the cluster's processes to end", PROCESS_LIMIT, || {
        let left = processes_left(layout);
        left.iter().for_each(|pid| processes::end(*pid));
        clean_looks = if left.is_empty() { clean_looks + 1 } else { 0 };
        Ok(if clean_looks == CLEAN_LOOKS {
            Look::Done(())
        } else {
            Look::NotYet(format!("{left:?} are left"))
        })
    })
}

/// A mount that stays busy is detached at the end: nothing of the cluster runs any more that could use it.
fn unmount(layout: &Layout) -> Result<()> {
    let attempt = |flags| {
        let left = mounts::unmount_below(layout.state(), flags);
        Ok(if left.is_empty() {
            Look::Done(())
        } else {
            Look::NotYet(format!("{left:?} are left"))
        })
    };
    if until("mounts to go", MOUNT_LIMIT, || attempt(MntFlags::empty())).is_ok() {
        return Ok(());
    }
    until("mounts to be detached", MOUNT_LIMIT, || {
        attempt(MntFlags::MNT_DETACH)
    })
}

fn remove_groups(layout: &Layout) -> Result<()> {
    until("control groups to empty", GROUP_LIMIT, || {
        let left = control_groups::remove(&layout.scope());
        Ok(if left.is_empty() {
            Look::Done(())
        } else {
            Look::NotYet(format!("{left:?} are left"))
        })
    })
}

fn remove_files(layout: &Layout) -> Result<()> {
    until("files to go", FILE_LIMIT, || {
        match remove_folder(layout.state()) {
            Ok(()) => Ok(Look::Done(())),
            Err(error) => Ok(Look::NotYet(error.to_string())),
        }
    })?;
    match fs::remove_file(layout.kubeconfig()) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).context("failed to remove the kubeconfig");
        }
        _ => {}
    }
    // Other things may be kept beside the cluster.
    let _ = fs::remove_dir(layout.home());
    Ok(())
}

fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
