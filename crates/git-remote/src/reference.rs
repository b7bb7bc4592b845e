//! Listing a remote's references, as `git ls-remote` does.

use std::sync::Arc;

use git2::Direction;

use crate::libgit2::with_connection;
use crate::session::Session;
use crate::{CommitId, GitError, Remote};

/// What follows a tag's name where servers advertise the object that an annotated tag points to.
const PEELED: &str = "^{}";
const LIST: &str = "list references";

/// A branch, a tag, `HEAD`, or another name that the remote has for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The full name, such as `refs/heads/main`, or `HEAD`.
    pub name: String,
    /// What the name points at; for an annotated tag, the tag object.
    pub object: CommitId,
    /// The commit: the same as `object` but for annotated tags, which are peeled.
    pub commit: CommitId,
    /// For `HEAD`, the branch that it stands for, when the server says so.
    pub symbolic_target: Option<String>,
}

/// Asks `remote` for its references, in the order of their names. An empty repository has none.
///
/// # Errors
/// Any kind but those of looking something up.
pub fn list_references(remote: &Remote) -> Result<Vec<Reference>, GitError> {
    list_within(&Session::start(remote))
}

/// [`list_references`] as a part of a longer operation.
pub(crate) fn list_within(session: &Arc<Session>) -> Result<Vec<Reference>, GitError> {
    with_connection(session, None, Direction::Fetch, LIST, |connected| {
        advertised(session, connected)
    })
}

/// The references that a connected remote has advertised.
pub(crate) fn advertised(
    session: &Session,
    connected: &git2::Remote<'_>,
) -> Result<Vec<Reference>, GitError> {
    let heads = connected.list().map_err(|error| session.explain(LIST, &error))?;
    let allowed = session.remote().limits.references;
    match heads.len() > allowed {
        true => Err(session.exceed("references", allowed as u64)),
        false => Ok(collect(heads)),
    }
}

/// Folds the lines of peeled tags into their tags.
fn collect(heads: &[git2::RemoteHead<'_>]) -> Vec<Reference> {
    let mut references: Vec<Reference> = Vec::with_capacity(heads.len());
    for head in heads {
        let commit = CommitId::new(head.oid());
        match (head.name().strip_suffix(PEELED), references.last_mut()) {
            // A peeled line follows its tag's line (gitprotocol-pack, "reference discovery").
            (Some(name), Some(tag)) if tag.name == name => tag.commit = commit,
            (Some(_), _) => {}
            (None, _) => references.push(Reference {
                name: head.name().to_owned(),
                object: commit,
                commit,
                symbolic_target: head.symref_target().map(str::to_owned),
            }),
        }
    }
    references
}
