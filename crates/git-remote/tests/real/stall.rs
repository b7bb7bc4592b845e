//! Servers that begin to answer a fetch, and then say nothing more.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use heddle_git_remote::{Cancellation, CommitId, GitErrorKind, Limits, Remote, fetch_commit};
use tempfile::TempDir;

/// A command that Git runs on the server instead of packing objects: it says that it has begun, and waits until the test is over.
pub(crate) struct Stall {
    directory: TempDir,
}

impl Stall {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let command = directory.path().join("stall");
        let begun = directory.path().join("begun");
        // Ends with the test: sshd leaves commands behind whose client has gone.
        let script = "#!/bin/sh\ntouch BEGUN\nwhile [ -e BEGUN ]; do sleep 0.1; done\n";
        fs::write(&command, script.replace("BEGUN", &begun.display().to_string())).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    /// The git setting that makes a server stall.
    pub(crate) fn setting(&self) -> (String, String) {
        let command = self.directory.path().join("stall");
        (
            "uploadpack.packObjectsHook".to_owned(),
            command.display().to_string(),
        )
    }

    pub(crate) fn assert_cancels(&self, remote: Remote, folder: PathBuf, commit: CommitId) {
        let cancellation = Cancellation::default();
        let remote = remote.with_cancellation(cancellation.clone());
        let fetching = std::thread::spawn(move || {
            fetch_commit(&remote, &folder, commit, None, &mut |_| {}).map(|snapshot| snapshot.commit())
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.directory.path().join("begun").exists() {
            assert!(Instant::now() < deadline, "the server never began to pack");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let cancelled = Instant::now();
        cancellation.cancel();
        assert_eq!(
            fetching.join().unwrap().unwrap_err().kind(),
            GitErrorKind::Cancelled
        );
        assert!(
            cancelled.elapsed() < Duration::from_secs(15),
            "{:?}",
            cancelled.elapsed()
        );
    }

    pub(crate) fn assert_times_out(&self, remote: &Remote, folder: &Path, commit: CommitId) {
        let idle = Limits {
            // Also of the steps before it stalls, which may take a while on a busy machine.
            idle_timeout: Duration::from_secs(4),
            ..Limits::default()
        };
        let total = Limits {
            total_timeout: Duration::from_millis(900),
            ..Limits::default()
        };
        for (name, limits, step) in [
            ("idle", idle, "waiting for data"),
            ("total", total, "the whole operation"),
        ] {
            let remote = remote.clone().with_limits(limits);
            let error = fetch_commit(&remote, &folder.join(name), commit, None, &mut |_| {})
                .map(|snapshot| snapshot.commit())
                .unwrap_err();
            assert_eq!(error.kind(), GitErrorKind::Timeout, "{error}");
            assert!(
                error.is_transient() && error.to_string().contains(step),
                "{error}"
            );
        }
    }
}
