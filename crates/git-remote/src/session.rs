//! One operation on one remote: its deadline, its counters, and the exact error behind a libgit2 failure.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::text::sanitize;
use crate::{GitError, Remote};

thread_local! {
    /// libgit2 creates transports through a process-wide table; this is how they learn whose they are. libgit2 calls
    /// the factory on the thread that connects, so one operation never sees another's session.
    static CURRENT: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

/// One call of this crate: shared by the caller's side and the transport's side of libgit2.
pub(crate) struct Session {
    remote: Remote,
    started: Instant,
    /// For everything, counted from the start.
    limit: Duration,
    received: AtomicU64,
    /// The first precise error: libgit2 carries only a number and a text through its own code.
    failure: Mutex<Option<GitError>>,
}

impl Session {
    pub(crate) fn start(remote: &Remote) -> Arc<Self> {
        let started = Instant::now();
        let until = remote
            .deadline
            .map(|deadline| deadline.saturating_duration_since(started));
        let limit = remote.limits.total_timeout;
        Arc::new(Self {
            remote: remote.clone(),
            started,
            limit: until.map_or(limit, |until| until.min(limit)),
            received: AtomicU64::new(0),
            failure: Mutex::new(None),
        })
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// `host:port`, for messages.
    pub(crate) fn authority(&self) -> String {
        self.remote.url.authority()
    }

    /// Fails when the operation was cancelled or has used up its time.
    pub(crate) fn check(&self) -> Result<(), GitError> {
        if self.remote.cancellation.is_cancelled() {
            return Err(GitError::Cancel {
                remote: self.remote.url.to_string(),
            });
        }
        match self.remaining().is_zero() {
            true => Err(self.timeout("the whole operation", self.limit)),
            false => Ok(()),
        }
    }

    /// Time left for the whole operation.
    pub(crate) fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    pub(crate) fn timeout(&self, step: &'static str, limit: Duration) -> GitError {
        GitError::Wait {
            authority: self.authority(),
            step,
            limit,
        }
    }

    /// Counts bytes received and fails past the limit.
    pub(crate) fn count_received(&self, bytes: usize) -> Result<(), GitError> {
        let before = self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        let allowed = self.remote.limits.received_bytes;
        match before + bytes as u64 > allowed {
            true => Err(self.exceed("bytes received", allowed)),
            false => Ok(()),
        }
    }

    pub(crate) fn exceed(&self, what: &'static str, allowed: u64) -> GitError {
        GitError::ExceedLimit {
            remote: self.remote.url.to_string(),
            what,
            allowed,
        }
    }

    /// The server's words, fit for printing.
    pub(crate) fn sanitize(&self, text: &str) -> String {
        sanitize(text, &self.remote.credentials.secrets())
    }

    /// Keeps `error` for [`Self::explain`]; the first one is the cause of those that follow.
    pub(crate) fn record(&self, error: GitError) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    /// The recorded cause of a libgit2 failure, or what libgit2 itself says.
    pub(crate) fn explain(&self, step: &'static str, error: &git2::Error) -> GitError {
        let recorded = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        recorded.unwrap_or_else(|| match error.message().strip_prefix("remote error: ") {
            Some(words) => GitError::Reject {
                remote: self.remote.url.to_string(),
                reason: self.sanitize(words),
            },
            None => GitError::RunGit {
                step,
                reason: self.sanitize(error.message()),
            },
        })
    }

    /// Forgets a recorded cause: what went wrong on a connection says nothing about the next one.
    pub(crate) fn forget_failure(&self) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Makes this the session of transports created on this thread until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        Entered {
            previous: CURRENT.with(|current| current.replace(Some(Arc::clone(self)))),
        }
    }

    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with(|current| current.borrow().clone())
    }
}

/// Restores the thread's former session.
pub(crate) struct Entered {
    previous: Option<Arc<Session>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.previous.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GitErrorKind, Limits};

    #[test]
    fn every_operation_ends_at_the_deadline_however_late_it_starts() {
        let remote = Remote::new("https://git.example/idl.git".parse().unwrap());
        let near = Instant::now() + Duration::from_secs(20);
        let session = Session::start(&remote.clone().with_deadline(near));
        assert!(session.check().is_ok() && session.remaining() <= Duration::from_secs(20));
        let over = Session::start(&remote.clone().with_deadline(Instant::now()));
        assert_eq!(over.check().unwrap_err().kind(), GitErrorKind::Timeout);
        let far = Instant::now() + Duration::from_secs(3600);
        let session = Session::start(&remote.with_deadline(far));
        assert!(session.remaining() <= Limits::default().total_timeout);
    }
}
