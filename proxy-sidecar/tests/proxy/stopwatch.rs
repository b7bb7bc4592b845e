//! The time for which the proxy waits, on a machine that may have other things to do.

use crate::support::Proxy;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What the proxy waits with for so long is not going to happen.
const STILL: Duration = Duration::from_millis(500);

/// Gives what comes, or nothing once the proxy has waited for long without it.
pub(crate) async fn unless_stuck<T>(proxy: &Proxy, comes: impl Future<Output = T>) -> Option<T> {
    let mut comes = pin!(comes);
    let stopwatch = Stopwatch::begin(proxy);
    while let Some(left) = STILL.checked_sub(stopwatch.waited()) {
        if let Ok(value) = timeout(left, &mut comes).await {
            return Some(value);
        }
    }
    None
}

/// Measures how long something takes, without what the threads of the proxy and that of the test work meanwhile, or wait
/// for a processor. What is left is what somebody waits for by intent: a timer, or a peer that says nothing.
///
/// Threads that work at the same time count one after the other, so that it is never too much that is left.
pub(crate) struct Stopwatch {
    process: u32,
    began: Instant,
    own: Duration,
    threads: HashMap<OsString, Duration>,
}

impl Stopwatch {
    /// For a test that runs on this thread alone.
    pub(crate) fn begin(proxy: &Proxy) -> Self {
        let process = proxy.child.id().unwrap();
        Self {
            process,
            began: Instant::now(),
            own: occupied(Path::new("/proc/thread-self")),
            threads: threads(process).collect(),
        }
    }

    pub(crate) fn waited(&self) -> Duration {
        let own = occupied(Path::new("/proc/thread-self")).saturating_sub(self.own);
        let proxy: Duration = threads(self.process)
            .map(|(id, now)| now.saturating_sub(self.threads.get(&id).copied().unwrap_or_default()))
            .sum();
        self.began.elapsed().saturating_sub(own + proxy)
    }
}

/// For how long each thread has been occupied.
fn threads(process: u32) -> impl Iterator<Item = (OsString, Duration)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.map(|task| {
        let task = task.unwrap();
        (task.file_name(), occupied(&task.path()))
    })
}

/// How long a thread has worked, and waited for a processor: the first two figures of its `schedstat`, in nanoseconds
/// (Documentation/scheduler/sched-stats.rst of Linux).
fn occupied(thread: &Path) -> Duration {
    let figures = fs::read_to_string(thread.join("schedstat")).unwrap();
    let nanoseconds = figures.split_whitespace().take(2);
    Duration::from_nanos(nanoseconds.map(|figure| figure.parse::<u64>().unwrap()).sum())
}
