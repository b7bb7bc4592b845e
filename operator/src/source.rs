//! Asks source repositories which commit a reference means: blocking Git calls, bounded in number and time.

use heddle_git_remote::{
    AddressPolicy, Cancellation, GitError, Limits, Remote, Resolved, Selector, list_references, resolve,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long one answer may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may stay silent meanwhile.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of an answer: a hundred thousand references of some 100 bytes.
const RECEIVED_BYTES: u64 = 16 * 1024 * 1024;

/// Asks sources.
#[derive(Clone, Debug)]
pub(crate) struct SourceClient {
    policy: AddressPolicy,
    permits: Arc<Semaphore>,
}

impl SourceClient {
    /// At most `concurrency` questions at a time, and only to addresses that `policy` permits.
    pub(crate) fn new(policy: AddressPolicy, concurrency: usize) -> Self {
        Self {
            policy,
            permits: Arc::new(Semaphore::new(concurrency)),
        }
    }

    /// Asks `remote` which commit `selector` means.
    pub(crate) async fn resolve(&self, remote: Remote, selector: Selector) -> Result<Resolved, GitError> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let cancellation = CancelOnDrop::default();
        let remote = remote
            .with_address_policy(self.policy.clone())
            .with_cancellation(cancellation.0.clone())
            .with_limits(limits());
        let answer = tokio::task::spawn_blocking(move || {
            let references = list_references(&remote);
            // The thread is what is scarce: it is done only now, also when nobody waits for it any more.
            drop(permit);
            resolve(&references?, &selector)
        });
        answer.await.unwrap_or_else(|_| {
            Err(GitError::RunGit {
                step: "list references",
                reason: "the thread broke off".to_owned(),
            })
        })
    }
}

fn limits() -> Limits {
    Limits {
        total_timeout: CHECK_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        received_bytes: RECEIVED_BYTES,
        ..Limits::default()
    }
}

/// Stops the blocking call when the future that waits for it is dropped.
#[derive(Default)]
struct CancelOnDrop(Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
