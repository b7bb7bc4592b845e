//! A push with a lease: it takes effect only when the branch is where it was seen.

use std::cell::RefCell;
use std::sync::Arc;

use git2::{Direction, ErrorCode, Oid, PushOptions, RemoteCallbacks, Repository};

use crate::libgit2::{Messages, with_connection};
use crate::reference::list_within;
use crate::session::Session;
use crate::{CommitId, GitError, Remote};

const PUSH: &str = "push";

/// What became of a push that reached the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The branch is at the commit.
    Pushed,
    /// Somebody else has moved, created or removed the branch; nothing was changed.
    Moved {
        /// Where the branch is now, or `None` when it is gone.
        now: Option<CommitId>,
    },
    /// The server refused: a protected branch, a hook, a quota. Nothing was changed.
    Rejected {
        /// The server's words, one line.
        reason: String,
    },
}

/// One branch to move.
pub(crate) struct Update<'a> {
    /// The branch's full name on the remote.
    pub(crate) name: &'a str,
    /// The local reference that is pushed.
    pub(crate) outgoing: &'a str,
    pub(crate) expected: Option<CommitId>,
    pub(crate) commit: CommitId,
}

/// What the callbacks of a push have learned.
#[derive(Default)]
struct Heard {
    /// Known before anything was sent.
    early: RefCell<Option<PushOutcome>>,
    /// The server's refusal of the update.
    refusal: RefCell<Option<String>>,
    messages: Messages,
}

pub(crate) fn push(
    remote: &Remote,
    repository: &Repository,
    update: &Update<'_>,
) -> Result<PushOutcome, GitError> {
    let session = Session::start(remote);
    let heard = Heard::default();
    let refspec = format!("{}:{}", update.outgoing, update.name);
    let sent = with_connection(&session, Some(repository), Direction::Push, PUSH, |connected| {
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks(update, &heard));
        let result = connected.push(&[&refspec], Some(&mut options));
        Ok(result.map_err(|error| (error.code(), session.explain(PUSH, &error))))
    })?;
    if let Some(outcome) = heard.early.take() {
        return Ok(outcome);
    }
    match (sent, heard.refusal.take()) {
        (Ok(()), None) => Ok(PushOutcome::Pushed),
        (Ok(()) | Err(_), Some(refusal)) => {
            refused(&session, update, &with_messages(refusal, &heard.messages))
        }
        (Err((ErrorCode::NotFastForward, error)), None) => refused(&session, update, &error.to_string()),
        (Err((_, GitError::Reject { reason, .. })), None) => Ok(PushOutcome::Rejected { reason }),
        // The server could not unpack what it got, and has usually said why on the side.
        (Err((_, GitError::RunGit { reason, .. })), None) if !heard.messages.text().is_empty() => {
            refused(&session, update, &with_messages(reason, &heard.messages))
        }
        (Err((_, error)), None) => Err(error),
    }
}

fn callbacks<'a>(update: &'a Update<'_>, heard: &'a Heard) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.push_negotiation(|updates| {
        let now = updates.first().map_or(Oid::ZERO_SHA1, git2::PushUpdate::src);
        match judge(update, (!now.is_zero()).then(|| CommitId::new(now))) {
            Some(outcome) => {
                heard.early.replace(Some(outcome));
                Err(git2::Error::from_str("there is nothing to push"))
            }
            None => Ok(()),
        }
    });
    callbacks.push_update_reference(|_, status| {
        heard.refusal.replace(status.map(str::to_owned));
        Ok(())
    });
    callbacks.sideband_progress(|bytes| {
        heard.messages.hear(bytes);
        true
    });
    callbacks
}

/// What is known before anything is sent, from where the server says the branch is.
fn judge(update: &Update<'_>, now: Option<CommitId>) -> Option<PushOutcome> {
    if now == Some(update.commit) {
        return Some(PushOutcome::Pushed);
    }
    (now != update.expected).then_some(PushOutcome::Moved { now })
}

fn with_messages(refusal: String, messages: &Messages) -> String {
    match messages.text().trim() {
        "" => refusal,
        words => format!("{refusal}: {words}"),
    }
}

/// Tells a branch that moved between our look and the server's lock from a server that does not want the push.
fn refused(session: &Arc<Session>, update: &Update<'_>, reason: &str) -> Result<PushOutcome, GitError> {
    let references = list_within(session)?;
    let now = references.iter().find(|reference| reference.name == update.name);
    let outcome = judge(update, now.map(|reference| reference.commit));
    Ok(outcome.unwrap_or_else(|| PushOutcome::Rejected {
        reason: session.sanitize(reason),
    }))
}
