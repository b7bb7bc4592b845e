//! Name resolution whose waits end by cancellation or time limit.
//!
//! The system's resolver can neither be interrupted nor told how long it may take. So each lookup has a thread of its
//! own, which is left behind when nobody waits for its answer any more, and ends when the resolver gives up.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::socket::TICK;
use crate::GitError;
use crate::session::Session;

/// Lookups at the same time, those left behind included. With a resolver that hangs, more than these wait in vain.
const LOOKUPS: usize = 64;

static SLOTS: Slots = Slots::new();

/// The addresses of the host of the session's remote.
pub(super) fn resolve(session: &Session) -> Result<Vec<SocketAddr>, GitError> {
    let url = &session.remote().url;
    let (host, port) = (url.bare_host().to_owned(), url.port());
    let lookup = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
    look_up(session, &SLOTS, lookup)
}

pub(super) fn find_host(session: &Session, reason: &str) -> GitError {
    GitError::FindHost {
        host: session.remote().url.host().to_owned(),
        reason: reason.to_owned(),
    }
}

fn look_up(
    session: &Session,
    slots: &'static Slots,
    lookup: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>, GitError> {
    let patience = Patience::start(session);
    let slot = loop {
        match slots.take() {
            Some(slot) => break slot,
            None => patience.check()?,
        }
    };
    let (answer, answered) = mpsc::sync_channel(1);
    let work = move || {
        let _slot = slot;
        // Whoever asked may have given up.
        answer.send(lookup()).ok();
    };
    let named = thread::Builder::new().name("resolve".to_owned());
    named
        .spawn(work)
        .map_err(|error| find_host(session, &error.to_string()))?;
    loop {
        match answered.recv_timeout(TICK) {
            Ok(Ok(addresses)) => return Ok(addresses),
            // The system's text is after the name of the call that failed.
            Ok(Err(error)) => {
                let text = error.to_string();
                return Err(find_host(session, text.rsplit(": ").next().unwrap_or_default()));
            }
            Err(RecvTimeoutError::Timeout) => patience.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(find_host(session, "the resolver broke off"));
            }
        }
    }
}

/// How long a lookup is waited for.
struct Patience<'a> {
    session: &'a Session,
    started: Instant,
    limit: Duration,
}

impl<'a> Patience<'a> {
    fn start(session: &'a Session) -> Self {
        let limit = session.remote().limits.connect_timeout;
        Self {
            session,
            started: Instant::now(),
            limit: limit.min(session.remaining()),
        }
    }

    fn check(&self) -> Result<(), GitError> {
        self.session.check()?;
        match self.started.elapsed() >= self.limit {
            true => Err(self.session.timeout("finding the host's address", self.limit)),
            false => Ok(()),
        }
    }
}

/// How many lookups there are.
struct Slots {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// The right to one lookup, given back when dropped.
struct Slot(&'static Slots);

impl Slots {
    const fn new() -> Self {
        Self {
            taken: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a tick at most.
    fn take(&'static self) -> Option<Slot> {
        let waited = self
            .freed
            .wait_timeout_while(self.lock(), TICK, |taken| *taken >= LOOKUPS);
        let (mut taken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *taken += 1;
        Some(Slot(self))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cancellation, GitErrorKind, Limits, Remote};
    use std::sync::Arc;

    /// A lookup that hangs for as long as the sender lives.
    fn hanging() -> (
        mpsc::Sender<()>,
        impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send,
    ) {
        let (keep, wait) = mpsc::channel::<()>();
        (keep, move || {
            wait.recv().ok();
            Ok(Vec::new())
        })
    }

    fn session(connect_timeout: Duration, cancellation: Cancellation) -> Arc<Session> {
        let limits = Limits {
            connect_timeout,
            ..Limits::default()
        };
        let remote = Remote::new("https://git.example/idl.git".parse().unwrap());
        Session::start(&remote.with_limits(limits).with_cancellation(cancellation))
    }

    #[test]
    fn a_resolver_that_hangs_is_a_timeout() {
        static SLOTS: Slots = Slots::new();
        let session = session(Duration::from_millis(1), Cancellation::default());
        let (_keep, lookup) = hanging();
        let error = look_up(&session, &SLOTS, lookup).unwrap_err();
        assert_eq!(error.kind(), GitErrorKind::Timeout);
        assert!(
            error.to_string().contains("finding the host's address"),
            "{error}"
        );
    }

    #[test]
    fn a_resolver_that_hangs_can_be_cancelled() {
        static SLOTS: Slots = Slots::new();
        let cancellation = Cancellation::default();
        let session = session(Duration::from_secs(3600), cancellation.clone());
        let (_keep, lookup) = hanging();
        let asking = thread::spawn(move || look_up(&session, &SLOTS, lookup));
        cancellation.cancel();
        let error = asking.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), GitErrorKind::Cancelled);
    }

    #[test]
    fn lookups_that_are_left_behind_are_limited_and_make_room_when_they_end() {
        static SLOTS: Slots = Slots::new();
        let slots: Vec<_> = (0..LOOKUPS).map(|_| SLOTS.take().unwrap()).collect();
        let session = session(Duration::from_millis(1), Cancellation::default());
        let error = look_up(&session, &SLOTS, || Ok(Vec::new())).unwrap_err();
        assert_eq!(error.kind(), GitErrorKind::Timeout);
        drop(slots);
        assert!(look_up(&session, &SLOTS, || Ok(Vec::new())).is_ok());
    }
}
