//! What is mounted below a folder, and its removal.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

/// The fifth field of a line in mountinfo is the mount point (proc_pid_mountinfo(5)).
const MOUNT_POINT: usize = 4;

/// Mount points at or below `folder`, those mounted last first, which is the order to unmount in.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    select(&table, folder)
}

fn select(table: &[u8], folder: &Path) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = table
        .split(|byte| *byte == b'\n')
        .filter_map(mount_point)
        .filter(|point| point.starts_with(folder))
        .collect();
    points.reverse();
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    points
}

fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(MOUNT_POINT)?;
    Some(PathBuf::from(OsString::from_vec(unescape(field))))
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\').then(|| octal(after)).flatten();
        plain.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    plain
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..3)?).ok()?;
    u8::from_str_radix(digits, 8).ok()
}

/// Unmounts everything at or below `folder`; what is still mounted afterwards is returned.
pub(crate) fn unmount_below(folder: &Path, flags: MntFlags) -> Vec<PathBuf> {
    for point in below(folder) {
        // What could not be unmounted shows in the answer.
        let _ = umount2(&point, flags | MntFlags::UMOUNT_NOFOLLOW);
    }
    below(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        50 27 0:45 / /src/.heddle/cluster/kubelet/pods/a/volumes rw shared:1 - tmpfs tmpfs rw\n\
        51 27 0:46 / /src/.heddle/cluster/netns rw - nsfs nsfs rw\n\
        52 50 0:47 / /src/.heddle/cluster/kubelet/pods/a/volumes/b\\040c rw - tmpfs tmpfs rw\n\
        53 27 0:48 / /src/.heddle/cluster-of-another rw - tmpfs tmpfs rw\n\
        54 27 0:45 / /src/.heddle/cluster/netns rw - nsfs nsfs rw\n";

    #[test]
    fn the_deepest_mounts_come_first_and_other_folders_never() {
        let points = select(TABLE, Path::new("/src/.heddle/cluster"));
        let expected = [
            "/src/.heddle/cluster/kubelet/pods/a/volumes/b c",
            "/src/.heddle/cluster/kubelet/pods/a/volumes",
            "/src/.heddle/cluster/netns",
            "/src/.heddle/cluster/netns",
        ];
        assert_eq!(points, expected.map(PathBuf::from));
    }

    #[test]
    fn escapes_are_undone_and_stray_backslashes_kept() {
        assert_eq!(unescape(br"a\040b\134c"), br"a b\c");
        assert_eq!(unescape(br"end\04"), br"end\04");
    }
}
