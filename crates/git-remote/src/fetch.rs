//! Shallow fetches: one commit and its files, with as little history as the server lets us get away with.

use std::path::Path;
use std::sync::Arc;

use git2::{AutotagOption, Direction, FetchOptions, Repository};

use crate::libgit2::{Messages, create_repository, transfer_callbacks, with_connection};
use crate::reference::advertised;
use crate::session::Session;
use crate::{CommitId, GitError, Reference, Remote, Snapshot};

const FETCH: &str = "fetch a commit";
/// Commits of history without which a commit is fetched when the server allows it.
const SHALLOW: i32 = 1;
/// How much history is fetched, step by step, where a server only gives out the tips of its references. libgit2
/// takes the last one for "all of it".
const DEEPER: [i32; 3] = [64, 1024, i32::MAX];
/// Where fetched objects would be named; nothing is, as only the objects are wanted.
const NOWHERE: &str = "refs/heddle/fetched";

/// How far a fetch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchProgress {
    /// Objects received.
    pub received_objects: usize,
    /// Objects in the pack.
    pub total_objects: usize,
    /// Bytes of the pack received.
    pub received_bytes: usize,
}

/// Fetches `commit` without its history into a bare repository in `directory`, which is created when missing.
///
/// A commit that a reference points at can be fetched from every server. Others are asked for by id, and, when the
/// server refuses that, looked for in the history of `reference` (or of everything) with growing depth.
/// `progress` is called often, and must return quickly.
///
/// # Errors
/// [`crate::GitErrorKind::CommitNotFound`] when the commit is not there, or any kind of failed transfer.
pub fn fetch_commit(
    remote: &Remote,
    directory: &Path,
    commit: CommitId,
    reference: Option<&str>,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<Snapshot, GitError> {
    let repository = create_repository(directory)?;
    let session = Session::start(remote);
    if !fetch_directly(&session, &repository, commit, reference, progress)? {
        fetch_deeper(&session, &repository, commit, reference, progress)?;
    }
    Snapshot::new(repository, commit, remote.cancellation.clone())
}

/// Fetches by a name that points at the commit, or by id. False when the server refuses that.
fn fetch_directly(
    session: &Arc<Session>,
    repository: &Repository,
    commit: CommitId,
    reference: Option<&str>,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<bool, GitError> {
    with_connection(session, Some(repository), Direction::Fetch, FETCH, |connected| {
        let references = advertised(session, connected)?;
        let wanted = pointing_at(&references, commit, reference);
        let source = wanted.map_or_else(|| commit.to_string(), |reference| reference.name.clone());
        let refspecs = [format!("+{source}:{NOWHERE}")];
        match download(session, connected, &refspecs, SHALLOW, progress) {
            // What libgit2 and servers say to an id that may not be asked for has no code of its own.
            Err(GitError::RunGit { reason, .. } | GitError::Reject { reason, .. }) => {
                tracing::debug!(%commit, reason, "the server does not serve the commit directly");
                Ok(false)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(has(repository, commit)),
        }
    })
}

fn pointing_at<'a>(
    references: &'a [Reference],
    commit: CommitId,
    preferred: Option<&str>,
) -> Option<&'a Reference> {
    let mut pointing = references.iter().filter(|reference| reference.commit == commit);
    pointing
        .clone()
        .find(|reference| Some(reference.name.as_str()) == preferred)
        .or_else(|| pointing.next())
}

fn fetch_deeper(
    session: &Arc<Session>,
    repository: &Repository,
    commit: CommitId,
    reference: Option<&str>,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<(), GitError> {
    let mut searched = String::new();
    for depth in DEEPER {
        with_connection(session, Some(repository), Direction::Fetch, FETCH, |connected| {
            let references = advertised(session, connected)?;
            let found = reference.filter(|name| references.iter().any(|reference| reference.name == *name));
            searched = found.map_or_else(|| "any branch or tag".to_owned(), str::to_owned);
            download(session, connected, &history_refspecs(found), depth, progress)
        })?;
        if has(repository, commit) {
            return Ok(());
        }
    }
    let reason =
        format!("it is not in the history of {searched}, and the server does not give it out by its id");
    Err(GitError::FindCommit {
        remote: session.remote().url.to_string(),
        commit,
        reason,
    })
}

fn history_refspecs(reference: Option<&str>) -> Vec<String> {
    match reference {
        Some(name) => vec![format!("+{name}:{NOWHERE}")],
        None => ["heads", "tags"]
            .map(|kind| format!("+refs/{kind}/*:{NOWHERE}/{kind}/*"))
            .to_vec(),
    }
}

fn has(repository: &Repository, commit: CommitId) -> bool {
    repository.find_commit(commit.oid()).is_ok()
}

/// Receives the objects of `refspecs` from a connected remote.
pub(crate) fn download(
    session: &Session,
    connected: &mut git2::Remote<'_>,
    refspecs: &[String],
    depth: i32,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<(), GitError> {
    let messages = Messages::default();
    let callbacks = transfer_callbacks(session, &messages, |stats| {
        progress(FetchProgress {
            received_objects: stats.received_objects(),
            total_objects: stats.total_objects(),
            received_bytes: stats.received_bytes(),
        });
    });
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .download_tags(AutotagOption::None)
        .depth(depth);
    connected
        .download(refspecs, Some(&mut options))
        .map_err(|error| session.explain(FETCH, &error))
}
