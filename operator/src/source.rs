//! Asks source repositories which commit a reference means: blocking Git calls, bounded in number and time.

use heddle_git_remote::{
    AddressPolicy, Cancellation, GitError, GitErrorKind, Limits, Remote, Resolved, Selector, list_references,
    resolve,
};
use prometheus_client::metrics::gauge::Gauge;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long one answer may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may stay silent meanwhile.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of an answer: a hundred thousand references of some 100 bytes.
const RECEIVED_BYTES: u64 = 16 * 1024 * 1024;

/// A source was not asked, because the process is about to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the operator is stopping")]
pub(crate) struct Stopping;

/// Asks sources.
#[derive(Clone, Debug)]
pub(crate) struct SourceClient {
    policy: AddressPolicy,
    threads: Arc<Semaphore>,
    hosts: Hosts,
    waiting: Gauge,
    stop: CancellationToken,
}

impl SourceClient {
    /// At most `concurrency` questions at a time, at most half of them to one host, and only to addresses that `policy`
    /// permits; those that have to wait are counted in `waiting`. None once `stop` is cancelled.
    pub(crate) fn new(
        policy: AddressPolicy,
        concurrency: usize,
        waiting: Gauge,
        stop: CancellationToken,
    ) -> Self {
        // A host that does not answer must not keep sources on other hosts from being asked.
        let hosts = Hosts {
            limit: (concurrency / 2).max(1),
            permits: Arc::default(),
        };
        Self {
            policy,
            threads: Arc::new(Semaphore::new(concurrency)),
            hosts,
            waiting,
            stop,
        }
    }

    /// Waits for the turn to ask `host`, for as long as it takes.
    pub(crate) async fn wait_for_turn(&self, host: &str) -> Result<Turn, Stopping> {
        tokio::select! {
            turn = self.turn(host) => Ok(turn),
            () = self.stop.cancelled() => Err(Stopping),
        }
    }

    /// Asks `remote` which commit `selector` means, and gives the turn back.
    pub(crate) async fn resolve(
        &self,
        turn: Turn,
        remote: Remote,
        selector: Selector,
    ) -> Result<Result<Resolved, GitError>, Stopping> {
        let cancellation = CancelOnDrop::default();
        let remote = remote
            .with_address_policy(self.policy.clone())
            .with_cancellation(cancellation.0.clone())
            .with_limits(limits());
        let question = move || {
            let references = list_references(&remote);
            // What is scarce is free only now, also when nobody waits for the answer any more.
            drop(turn);
            resolve(&references?, &selector)
        };
        let answer = async {
            tokio::task::spawn_blocking(question).await.unwrap_or_else(|_| {
                Err(GitError::RunGit {
                    step: "list references",
                    reason: "the thread broke off".to_owned(),
                })
            })
        };
        tokio::select! {
            // What was called off says nothing about the source.
            answer = answer => match answer {
                Err(error) if error.kind() == GitErrorKind::Cancelled => Err(Stopping),
                answer => Ok(answer),
            },
            () = self.stop.cancelled() => Err(Stopping),
        }
    }

    /// Waits for a turn at the host, then for a thread, each first come, first served.
    async fn turn(&self, host: &str) -> Turn {
        let _waiting = Waiting::new(&self.waiting);
        let permits = self.hosts.permits(host);
        // Semaphores that nobody closes always give a permit in the end.
        let host = permits.acquire_owned().await.ok();
        let thread = Arc::clone(&self.threads).acquire_owned().await.ok();
        Turn {
            _host: host,
            _thread: thread,
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

/// The right to ask.
pub(crate) struct Turn {
    _host: Option<OwnedSemaphorePermit>,
    _thread: Option<OwnedSemaphorePermit>,
}

/// Counts one that waits, as long as it does.
struct Waiting<'a>(&'a Gauge);

impl<'a> Waiting<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
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

/// The permits of each host that somebody asks or waits for.
#[derive(Clone, Debug)]
struct Hosts {
    limit: usize,
    permits: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

impl Hosts {
    fn permits(&self, host: &str) -> Arc<Semaphore> {
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = permits.get(host).and_then(Weak::upgrade) {
            return known;
        }
        permits.retain(|_, permits| permits.strong_count() > 0);
        let new = Arc::new(Semaphore::new(self.limit));
        permits.insert(host.to_owned(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn one_host_has_half_of_the_questions_at_most_and_the_others_wait() {
        let waiting = Gauge::default();
        let client = SourceClient::new(
            AddressPolicy::default(),
            4,
            waiting.clone(),
            CancellationToken::new(),
        );
        let turn = |host: &'static str| Box::pin(client.turn(host));
        let first = turn("a").now_or_never().unwrap();
        let second = turn("a").now_or_never().unwrap();
        let mut third = turn("a");
        assert!((&mut third).now_or_never().is_none());
        assert_eq!(waiting.get(), 1);
        assert!(turn("b").now_or_never().is_some());
        drop(first);
        assert!(third.now_or_never().is_some());
        assert_eq!(waiting.get(), 0);
        drop(second);
        turn("c").now_or_never().unwrap();
        assert!(
            !client.hosts.permits.lock().unwrap().contains_key("a"),
            "hosts are forgotten"
        );
    }
}
