//! The files of one commit.

use git2::{ObjectType, Repository, Tree};

use crate::libgit2::local;
use crate::{CommitId, GitError};

const READ: &str = "read a commit";
/// Files and folders listed: a few trees that contain each other many times can stand for more than fits into memory.
const ENTRIES: usize = 1_000_000;
/// Bytes of a file that is read; a small pack can hold files that are larger than memory.
const FILE_BYTES: usize = 64 * 1024 * 1024;
const EXECUTABLE: i32 = 0o100_755;
const SYMLINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;

/// One commit in a local repository, as [`crate::fetch_commit`] leaves it. Nothing is checked out: files are read
/// from the object store, so symbolic links and odd names in the repository reach no file of ours.
pub struct Snapshot {
    repository: Repository,
    commit: CommitId,
}

/// One file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// From the root, separated by `/`.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of content; 0 for submodules.
    pub size: u64,
}

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A plain file.
    File,
    /// A file with the executable bit.
    Executable,
    /// A symbolic link; its content is the target.
    Symlink,
    /// A commit of another repository, without content here.
    Submodule,
}

impl Snapshot {
    pub(crate) fn new(repository: Repository, commit: CommitId) -> Result<Self, GitError> {
        repository
            .find_commit(commit.oid())
            .map_err(|error| local(READ, &error))?;
        Ok(Self { repository, commit })
    }

    /// The commit.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.commit
    }

    /// The first line of the commit's message.
    ///
    /// # Errors
    /// The local repository is damaged.
    pub fn summary(&self) -> Result<String, GitError> {
        let commit = self
            .repository
            .find_commit(self.commit.oid())
            .map_err(|error| local(READ, &error))?;
        let summary = commit.summary_bytes().unwrap_or_default();
        Ok(String::from_utf8_lossy(summary).into_owned())
    }

    /// When the commit was made, in seconds since 1970 UTC.
    ///
    /// # Errors
    /// The local repository is damaged.
    pub fn committed_at(&self) -> Result<i64, GitError> {
        let commit = self
            .repository
            .find_commit(self.commit.oid())
            .map_err(|error| local(READ, &error))?;
        Ok(commit.time().seconds())
    }

    /// All files, sorted by path. Names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// There are more than a million entries, or the local repository is damaged.
    pub fn files(&self) -> Result<Vec<FileEntry>, GitError> {
        list(&self.repository, self.commit)
    }

    /// The content of the file (or link) at `path`, or `None` when there is none.
    ///
    /// # Errors
    /// It is larger than 64 MiB, or the local repository is damaged.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        read(&self.repository, self.commit, path)
    }
}

/// The tree of a commit.
pub(crate) fn tree(repository: &Repository, commit: CommitId) -> Result<Tree<'_>, GitError> {
    repository
        .find_commit(commit.oid())
        .and_then(|commit| commit.tree())
        .map_err(|error| local(READ, &error))
}

pub(crate) fn list(repository: &Repository, commit: CommitId) -> Result<Vec<FileEntry>, GitError> {
    let odb = repository.odb().map_err(|error| local(READ, &error))?;
    let mut files = Vec::new();
    let mut entries = 0;
    // A stack of our own, as libgit2's walk fails at names that are not UTF-8.
    let mut pending = vec![(String::new(), tree(repository, commit)?)];
    while let Some((folder, tree)) = pending.pop() {
        for entry in &tree {
            entries += 1;
            if entries > ENTRIES {
                return Err(exceed(commit, "files and folders", ENTRIES));
            }
            let Ok(name) = entry.name() else { continue };
            let path = format!("{folder}{name}");
            let Some(kind) = kind(entry.kind(), entry.filemode()) else {
                let subtree = repository
                    .find_tree(entry.id())
                    .map_err(|error| local(READ, &error))?;
                pending.push((format!("{path}/"), subtree));
                continue;
            };
            let size = match kind {
                FileKind::Submodule => 0,
                _ => {
                    odb.read_header(entry.id())
                        .map_err(|error| local(READ, &error))?
                        .0 as u64
                }
            };
            files.push(FileEntry { path, kind, size });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn exceed(commit: CommitId, what: &'static str, allowed: usize) -> GitError {
    GitError::ExceedLimit {
        remote: format!("commit {commit}"),
        what,
        allowed: allowed as u64,
    }
}

fn kind(object: Option<ObjectType>, mode: i32) -> Option<FileKind> {
    match (object, mode) {
        (Some(ObjectType::Tree), _) => None,
        (_, SUBMODULE) => Some(FileKind::Submodule),
        (_, SYMLINK) => Some(FileKind::Symlink),
        (_, EXECUTABLE) => Some(FileKind::Executable),
        _ => Some(FileKind::File),
    }
}

pub(crate) fn read(
    repository: &Repository,
    commit: CommitId,
    path: &str,
) -> Result<Option<Vec<u8>>, GitError> {
    let entry = match tree(repository, commit)?.get_path(std::path::Path::new(path)) {
        Ok(entry) => entry,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(local(READ, &error)),
    };
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(None);
    }
    let odb = repository.odb().map_err(|error| local(READ, &error))?;
    let (size, _) = odb.read_header(entry.id()).map_err(|error| local(READ, &error))?;
    if size > FILE_BYTES {
        return Err(exceed(commit, "bytes in a file", FILE_BYTES));
    }
    let blob = repository
        .find_blob(entry.id())
        .map_err(|error| local(READ, &error))?;
    Ok(Some(blob.content().to_vec()))
}
