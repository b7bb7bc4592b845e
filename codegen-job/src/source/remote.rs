//! IDL from a commit of a Git repository. Nothing is checked out, so links in it lead nowhere.

use super::{BYTES_LIMIT, FILES_LIMIT, SourceFiles, is_proto};
use heddle_git_remote::{
    CommitId, FetchProgress, FileKind, GitError, Remote, Selector, Snapshot, fetch_commit, list_references,
    resolve,
};
use std::path::Path;

/// A commit of IDL.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The commit.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
    /// Its `.proto` files.
    pub files: SourceFiles,
}

/// The commit that `selector` means right now.
///
/// # Errors
/// Those of listing and resolving references.
pub fn resolve_commit(remote: &Remote, selector: &Selector) -> Result<CommitId, GitError> {
    match selector {
        Selector::Commit(commit) => Ok(*commit),
        _ => Ok(resolve(&list_references(remote)?, selector)?.commit),
    }
}

/// Fetches `commit` into a bare repository at `folder` and reads its IDL. `selector` helps to find a commit that the
/// server does not give out by its id.
///
/// # Errors
/// Those of fetching, or [`heddle_git_remote::GitErrorKind::LimitExceeded`] when there is too much IDL.
pub fn fetch(
    remote: &Remote,
    selector: &Selector,
    commit: CommitId,
    folder: &Path,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<Fetched, GitError> {
    let reference = match selector {
        Selector::Branch(name) => Some(format!("refs/heads/{name}")),
        Selector::Tag(name) => Some(format!("refs/tags/{name}")),
        Selector::Default | Selector::Semver(_) | Selector::Commit(_) => None,
    };
    let snapshot = fetch_commit(remote, folder, commit, reference.as_deref(), progress)?;
    Ok(Fetched {
        commit,
        subject: snapshot.summary()?,
        files: read(remote, &snapshot)?,
    })
}

fn read(remote: &Remote, snapshot: &Snapshot) -> Result<SourceFiles, GitError> {
    let exceed = |what, allowed: usize| GitError::ExceedLimit {
        remote: remote.url().to_string(),
        what,
        allowed: allowed as u64,
    };
    let mut entries = snapshot.files()?;
    entries
        .retain(|entry| is_proto(&entry.path) && matches!(entry.kind, FileKind::File | FileKind::Executable));
    if entries.len() > FILES_LIMIT {
        return Err(exceed(".proto files", FILES_LIMIT));
    }
    if entries.iter().map(|entry| entry.size).sum::<u64>() > BYTES_LIMIT as u64 {
        return Err(exceed("bytes of .proto files", BYTES_LIMIT));
    }
    let contents = entries.into_iter().map(|entry| {
        let bytes = snapshot.read(&entry.path)?.unwrap_or_default();
        Ok((entry.path, bytes))
    });
    contents.collect()
}
