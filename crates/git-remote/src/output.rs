//! A branch that generated files are committed to, without a working copy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use git2::{Direction, Repository, Time};

use crate::fetch::{FetchProgress, download};
use crate::libgit2::{create_repository, local, with_connection};
use crate::reference::advertised;
use crate::session::Session;
use crate::{CommitId, FileEntry, GitError, PushOutcome, Reference, Remote, push, snapshot, tree};

const OPEN: &str = "open the output branch";
const COMMIT: &str = "make a commit";
const HEAD: &str = "HEAD";
/// Names what is pushed; libgit2 pushes references.
const OUTGOING: &str = "refs/heddle/outgoing";
/// The tip is all that a new commit needs.
const TIP: i32 = 1;

/// A branch of a remote, fetched shallow, that commits can be made on and pushed to.
///
/// A branch that does not exist yet starts at the tip of the repository's default branch, so that the two share
/// history and can be compared in a pull request; in an empty repository it starts with a first commit.
pub struct OutputBranch {
    repository: Repository,
    remote: Remote,
    /// The full name.
    name: String,
    start: Start,
}

/// Where the branch was when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start {
    /// The branch's commit on the remote: what a push expects to replace. `None` when it has to be created.
    expected: Option<CommitId>,
    /// What a new commit is made on. `None` in an empty repository.
    base: Option<CommitId>,
}

/// What to do with files, by path from the root.
pub type Edits = BTreeMap<String, Edit>;

/// What to do with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Create it or replace its content; an executable stays one.
    Write(Vec<u8>),
    /// Remove it, if it is there.
    Delete,
}

/// Everything about a commit but its files. The same details on the same files give the same commit id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitDetails {
    /// Who wrote it.
    pub author: Signature,
    /// Who made the commit.
    pub committer: Signature,
    /// For both, in seconds since 1970 UTC.
    pub time: i64,
    /// The whole message, trailers included.
    pub message: String,
}

/// A person or a machine, as named in commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name, without `<`, `>` and line ends.
    pub name: String,
    /// The address, without `<`, `>` and line ends.
    pub email: String,
}

impl OutputBranch {
    /// Fetches the tip of `branch` (a name without `refs/heads/`) into a bare repository in `directory`.
    ///
    /// # Errors
    /// [`crate::GitErrorKind::ReferenceNotFound`] when `branch` cannot be a branch's name, or any kind of failed
    /// transfer.
    pub fn open(
        remote: &Remote,
        directory: &Path,
        branch: &str,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<Self, GitError> {
        let name = format!("refs/heads/{branch}");
        if !git2::Reference::is_valid_name(&name) {
            let wanted = format!("branch {branch:?}: it cannot be a branch's name");
            return Err(GitError::FindReference {
                wanted,
                near: Vec::new(),
            });
        }
        let repository = create_repository(directory)?;
        let start = fetch_tip(&Session::start(remote), &repository, &name, progress)?;
        Ok(Self {
            repository,
            remote: remote.clone(),
            name,
            start,
        })
    }

    /// Looks again where the branch is, after somebody else has moved it.
    ///
    /// # Errors
    /// Any kind of failed transfer.
    pub fn refresh(&mut self, progress: &mut dyn FnMut(FetchProgress)) -> Result<(), GitError> {
        self.start = fetch_tip(
            &Session::start(&self.remote),
            &self.repository,
            &self.name,
            progress,
        )?;
        Ok(())
    }

    /// The branch's commit on the remote, or `None` when it does not exist yet.
    #[must_use]
    pub fn tip(&self) -> Option<CommitId> {
        self.start.expected
    }

    /// What a new commit is made on: the tip, else the default branch's, else `None` in an empty repository.
    #[must_use]
    pub fn base(&self) -> Option<CommitId> {
        self.start.base
    }

    /// All files of [`Self::base`].
    ///
    /// # Errors
    /// As [`crate::Snapshot::files`].
    pub fn files(&self) -> Result<Vec<FileEntry>, GitError> {
        self.start.base.map_or(Ok(Vec::new()), |commit| {
            snapshot::list(&self.repository, commit, &self.remote.cancellation)
        })
    }

    /// The content of a file of [`Self::base`], or `None` when there is none.
    ///
    /// # Errors
    /// The local repository is damaged.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        self.start
            .base
            .map_or(Ok(None), |commit| snapshot::read(&self.repository, commit, path))
    }

    /// Makes a commit of `edits` on [`Self::base`]; `None` when they change nothing.
    ///
    /// # Errors
    /// A path cannot be placed, a signature is malformed, or the local disk fails.
    pub fn commit(&self, edits: &Edits, details: &CommitDetails) -> Result<Option<CommitId>, GitError> {
        let failed = |error: git2::Error| local(COMMIT, &error);
        let base = tree::base(&self.repository, self.start.base)?;
        let id = tree::apply(&self.repository, base.as_ref(), edits)?;
        if base.is_some_and(|base| base.id() == id) {
            return Ok(None);
        }
        let tree = self.repository.find_tree(id).map_err(failed)?;
        let parent = self
            .start
            .base
            .map(|commit| self.repository.find_commit(commit.oid()));
        let parent = parent.transpose().map_err(failed)?;
        let (author, committer) = (
            details.author.at(details.time)?,
            details.committer.at(details.time)?,
        );
        let commit = self
            .repository
            .commit(
                None,
                &author,
                &committer,
                &details.message,
                &tree,
                &parent.iter().collect::<Vec<_>>(),
            )
            .map_err(failed)?;
        Ok(Some(CommitId::new(commit)))
    }

    /// Pushes `commit`, made by [`Self::commit`], provided that the branch is still where [`Self::tip`] says: checked
    /// against what the server advertises, and again by the server itself while it holds the branch's lock. Never
    /// forced. When the branch already is at `commit` (an earlier push whose answer got lost), that is
    /// [`PushOutcome::Pushed`] too.
    ///
    /// # Errors
    /// Any kind of failed transfer. Whether the push took effect is then unknown; pushing again tells.
    pub fn push(&self, commit: CommitId) -> Result<PushOutcome, GitError> {
        self.repository
            .reference(OUTGOING, commit.oid(), true, "outgoing")
            .map_err(|error| local("name the outgoing commit", &error))?;
        let update = push::Update {
            name: &self.name,
            outgoing: OUTGOING,
            expected: self.start.expected,
            commit,
        };
        push::push(&self.remote, &self.repository, &update)
    }
}

impl Signature {
    fn at(&self, time: i64) -> Result<git2::Signature<'static>, GitError> {
        git2::Signature::new(&self.name, &self.email, &Time::new(time, 0))
            .map_err(|error| local(COMMIT, &error))
    }
}

/// Fetches what a commit on the branch `name` has to be made on.
fn fetch_tip(
    session: &Arc<Session>,
    repository: &Repository,
    name: &str,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<Start, GitError> {
    with_connection(session, Some(repository), Direction::Fetch, OPEN, |connected| {
        let references = advertised(session, connected)?;
        let find = |name: &str| {
            references
                .iter()
                .find(|reference: &&Reference| reference.name == name)
        };
        let tip = find(name);
        let Some(base) = tip.or_else(|| find(HEAD)) else {
            return Ok(Start {
                expected: None,
                base: None,
            });
        };
        if repository.find_commit(base.commit.oid()).is_err() {
            let refspec = format!("+{}:refs/heddle/base", base.name);
            download(session, connected, &[refspec], TIP, progress)?;
        }
        Ok(Start {
            expected: tip.map(|tip| tip.commit),
            base: Some(base.commit),
        })
    })
}
