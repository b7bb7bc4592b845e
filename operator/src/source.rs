//! Asks source repositories which commit a reference means: blocking Git calls, bounded in number and time.

use heddle_git_remote::{
    AddressPolicy, Cancellation, GitError, Limits, Remote, Resolved, Selector, list_references, resolve,
};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How long one answer may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may stay silent meanwhile.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of an answer: a hundred thousand references of some 100 bytes.
const RECEIVED_BYTES: u64 = 16 * 1024 * 1024;

/// Why a source was not asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotAsked {
    /// As many questions to this host are open as one host may have.
    HostBusy,
    /// The process is about to end.
    Stopping,
}

impl fmt::Display for NotAsked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HostBusy => "as many questions as one host may have are open",
            Self::Stopping => "the operator is stopping",
        })
    }
}

/// Asks sources.
#[derive(Clone, Debug)]
pub(crate) struct SourceClient {
    policy: AddressPolicy,
    threads: Arc<Semaphore>,
    hosts: Hosts,
    stop: CancellationToken,
}

impl SourceClient {
    /// At most `concurrency` questions at a time, at most half of them to one host, and only to addresses that `policy`
    /// permits. None once `stop` is cancelled.
    pub(crate) fn new(policy: AddressPolicy, concurrency: usize, stop: CancellationToken) -> Self {
        // A host that does not answer must not keep sources on other hosts from being asked.
        let hosts = Hosts {
            limit: (concurrency / 2).max(1),
            open: Arc::default(),
        };
        Self {
            policy,
            threads: Arc::new(Semaphore::new(concurrency)),
            hosts,
            stop,
        }
    }

    /// Asks `remote` which commit `selector` means.
    pub(crate) async fn resolve(
        &self,
        remote: Remote,
        selector: Selector,
    ) -> Result<Result<Resolved, GitError>, NotAsked> {
        let host = self.hosts.enter(remote.url().host()).ok_or(NotAsked::HostBusy)?;
        let cancellation = CancelOnDrop::default();
        let remote = remote
            .with_address_policy(self.policy.clone())
            .with_cancellation(cancellation.0.clone())
            .with_limits(limits());
        let answer = async {
            // The semaphore is never closed.
            let thread = Arc::clone(&self.threads).acquire_owned().await.ok();
            let question = move || {
                let references = list_references(&remote);
                // What is scarce is free only now, also when nobody waits for the answer any more.
                drop((thread, host));
                resolve(&references?, &selector)
            };
            tokio::task::spawn_blocking(question).await.unwrap_or_else(|_| {
                Err(GitError::RunGit {
                    step: "list references",
                    reason: "the thread broke off".to_owned(),
                })
            })
        };
        tokio::select! {
            answer = answer => Ok(answer),
            () = self.stop.cancelled() => Err(NotAsked::Stopping),
        }
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

/// How many questions are open to each host. Hosts without any are not in it.
#[derive(Clone, Debug)]
struct Hosts {
    limit: usize,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// An open question to a host.
struct OpenQuestion {
    host: String,
    hosts: Hosts,
}

impl Hosts {
    fn enter(&self, host: &str) -> Option<OpenQuestion> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(host.to_owned()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(OpenQuestion {
            host: host.to_owned(),
            hosts: self.clone(),
        })
    }
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        let mut open = self.hosts.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.host) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_half_of_the_questions_at_most() {
        let client = SourceClient::new(AddressPolicy::default(), 4, CancellationToken::new());
        let first = client.hosts.enter("a");
        let second = client.hosts.enter("a");
        assert!(first.is_some() && second.is_some());
        assert!(client.hosts.enter("a").is_none());
        assert!(client.hosts.enter("b").is_some());
        drop(first);
        assert!(client.hosts.enter("a").is_some());
        drop(second);
        assert!(client.hosts.open.lock().unwrap().is_empty());
    }
}
