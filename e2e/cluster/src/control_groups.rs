//! The control groups below which a cluster's pods run, in both versions of the interface.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const MOUNT: &str = "/sys/fs/cgroup";
/// Controllers kubelet asks for; version 2 hands none to a group unless told to.
const CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];

/// Makes the group `name` in every hierarchy; kubelet refuses a root that is not there.
///
/// # Errors
/// When a group cannot be made.
pub(crate) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies(Path::new(MOUNT)) {
        if is_unified(&hierarchy) {
            delegate(&hierarchy);
        }
        let group = hierarchy.join(name);
        fs::create_dir_all(&group)
            .with_context(|| format!("failed to create control group {}", group.display()))?;
    }
    Ok(())
}

/// Version 2 has one hierarchy, at the mount itself; version 1 one below it for each controller.
fn hierarchies(mount: &Path) -> Vec<PathBuf> {
    if is_unified(mount) {
        return vec![mount.to_owned()];
    }
    let Ok(entries) = fs::read_dir(mount) else {
        return Vec::new();
    };
    let folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn is_unified(hierarchy: &Path) -> bool {
    hierarchy.join("cgroup.controllers").exists()
}

/// One at a time, since the kernel refuses a whole line for one controller it lacks.
fn delegate(hierarchy: &Path) {
    for controller in CONTROLLERS {
        // kubelet names the controllers that it misses.
        drop(fs::write(
            hierarchy.join("cgroup.subtree_control"),
            format!("+{controller}"),
        ));
    }
}

/// True while any group `name` is there.
pub(crate) fn exist(name: &str) -> bool {
    !all_groups(name).is_empty()
}

/// Every process below the group `name`.
pub(crate) fn processes(name: &str) -> Vec<i32> {
    let groups = all_groups(name);
    let mut pids: Vec<i32> = groups.iter().flat_map(|group| members(group)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process outside our process namespace, which is none of ours.
    text.lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 0)
        .collect()
}

/// Removes the group `name` with all below it; what could not be removed is returned.
pub(crate) fn remove(name: &str) -> Vec<PathBuf> {
    for group in all_groups(name) {
        // A group that still has processes shows in the answer.
        let _ = fs::remove_dir(&group);
    }
    all_groups(name)
}

/// The groups at and below `name` in every hierarchy, children before parents.
fn all_groups(name: &str) -> Vec<PathBuf> {
    let mut groups = Vec::new();
    for hierarchy in hierarchies(Path::new(MOUNT)) {
        collect(&hierarchy.join(name), &mut groups);
    }
    groups
}

fn collect(group: &Path, groups: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        collect(&entry.path(), groups);
    }
    groups.push(group.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("heddle-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn version_one_has_a_hierarchy_for_each_controller() {
        let mount = temporary("v1");
        for controller in ["cpu", "memory"] {
            fs::create_dir_all(mount.join(controller)).unwrap();
        }
        assert_eq!(hierarchies(&mount).len(), 2);
        fs::remove_dir_all(&mount).unwrap();
    }

    #[test]
    fn version_two_has_one_hierarchy() {
        let mount = temporary("v2");
        fs::write(mount.join("cgroup.controllers"), "cpu memory").unwrap();
        fs::create_dir_all(mount.join("system.slice")).unwrap();
        assert_eq!(hierarchies(&mount), std::slice::from_ref(&mount));
        fs::remove_dir_all(&mount).unwrap();
    }

    #[test]
    fn children_come_before_their_parents() {
        let root = temporary("groups");
        fs::create_dir_all(root.join("kubepods/besteffort")).unwrap();
        let mut groups = Vec::new();
        collect(&root, &mut groups);
        assert_eq!(
            groups,
            [
                root.join("kubepods/besteffort"),
                root.join("kubepods"),
                root.clone()
            ]
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
