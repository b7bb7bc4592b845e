//! The files of one commit.

use git2::{ObjectType, Repository, Tree};

use crate::libgit2::local;
use crate::{Cancellation, CommitId, GitError};

const READ: &str = "read a commit";
/// Files and folders listed: a few trees that contain each other many times can stand for more than fits into memory.
const ENTRIES: usize = 1_000_000;
/// Bytes of one path; Linux takes no longer ones (`PATH_MAX`).
const PATH_BYTES: usize = 4096;
/// Folders in each other; every level repeats the names of those above it.
const DEPTH: usize = 64;
/// Bytes of all paths together, folders included.
const ALL_PATH_BYTES: usize = 64 * 1024 * 1024;
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
    cancellation: Cancellation,
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
    pub(crate) fn new(
        repository: Repository,
        commit: CommitId,
        cancellation: Cancellation,
    ) -> Result<Self, GitError> {
        repository
            .find_commit(commit.oid())
            .map_err(|error| local(READ, &error))?;
        Ok(Self {
            repository,
            commit,
            cancellation,
        })
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
    /// There are more than a million entries, folders are deeper than 64, a path is longer than 4096 bytes or all
    /// together than 64 MiB; the operation was cancelled; or the local repository is damaged.
    pub fn files(&self) -> Result<Vec<FileEntry>, GitError> {
        list(&self.repository, self.commit, &self.cancellation)
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

pub(crate) fn list(
    repository: &Repository,
    commit: CommitId,
    cancellation: &Cancellation,
) -> Result<Vec<FileEntry>, GitError> {
    let odb = repository.odb().map_err(|error| local(READ, &error))?;
    let mut files = Vec::new();
    let mut budget = Budget::new(commit, cancellation);
    // A stack of our own, as libgit2's walk fails at names that are not UTF-8.
    let mut pending = vec![(String::new(), 0, tree(repository, commit)?.id())];
    while let Some((folder, depth, id)) = pending.pop() {
        let tree = repository.find_tree(id).map_err(|error| local(READ, &error))?;
        for entry in &tree {
            budget.count_entry()?;
            let Ok(name) = entry.name() else { continue };
            budget.count_path(folder.len() + name.len(), depth)?;
            let path = format!("{folder}{name}");
            let Some(kind) = kind(entry.kind(), entry.filemode()) else {
                pending.push((format!("{path}/"), depth + 1, entry.id()));
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

/// What listing a commit has cost so far.
struct Budget<'a> {
    commit: CommitId,
    cancellation: &'a Cancellation,
    entries: usize,
    path_bytes: usize,
}

impl<'a> Budget<'a> {
    fn new(commit: CommitId, cancellation: &'a Cancellation) -> Self {
        Self {
            commit,
            cancellation,
            entries: 0,
            path_bytes: 0,
        }
    }

    fn count_entry(&mut self) -> Result<(), GitError> {
        if self.cancellation.is_cancelled() {
            return Err(GitError::Cancel {
                remote: format!("commit {}", self.commit),
            });
        }
        self.entries += 1;
        self.keep(self.entries, ENTRIES, "files and folders")
    }

    /// `depth` is how many folders the path is in.
    fn count_path(&mut self, bytes: usize, depth: usize) -> Result<(), GitError> {
        self.path_bytes += bytes;
        self.keep(depth, DEPTH, "folders in each other")?;
        self.keep(bytes, PATH_BYTES, "bytes in a path")?;
        self.keep(self.path_bytes, ALL_PATH_BYTES, "bytes in all paths together")
    }

    fn keep(&self, used: usize, allowed: usize, what: &'static str) -> Result<(), GitError> {
        if used > allowed {
            return Err(exceed(self.commit, what, allowed));
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GitErrorKind;
    use git2::{Oid, Signature, Time};
    use tempfile::TempDir;

    const FOLDER: i32 = 0o040_000;
    const FILE: i32 = 0o100_644;

    /// A repository, and its commit of the tree that `grow` makes from an empty file.
    fn committed(grow: impl FnOnce(&Repository, Oid) -> Oid) -> (TempDir, Repository, CommitId) {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        let root = grow(&repository, repository.blob(b"").unwrap());
        let who = Signature::new("a", "a@example.com", &Time::new(0, 0)).unwrap();
        let commit = repository
            .commit(None, &who, &who, "c", &repository.find_tree(root).unwrap(), &[])
            .unwrap();
        let commit = commit.to_string().parse().unwrap();
        (directory, repository, commit)
    }

    fn folder(repository: &Repository, entries: &[(&str, Oid, i32)]) -> Oid {
        let mut builder = repository.treebuilder(None).unwrap();
        for (name, id, mode) in entries {
            builder.insert(name, *id, *mode).unwrap();
        }
        builder.write().unwrap()
    }

    /// As many folders in each other, with a file in each.
    fn nested(levels: usize, name: &str) -> (TempDir, Repository, CommitId) {
        committed(|repository, file| {
            let innermost = folder(repository, &[("f", file, FILE)]);
            (0..levels).fold(innermost, |inner, _| {
                folder(repository, &[("f", file, FILE), (name, inner, FOLDER)])
            })
        })
    }

    fn refusal((_directory, repository, commit): (TempDir, Repository, CommitId)) -> GitError {
        list(&repository, commit, &Cancellation::default()).unwrap_err()
    }

    fn assert_exceeds(refused: &GitError, what: &str) {
        assert_eq!(refused.kind(), GitErrorKind::LimitExceeded);
        assert!(refused.to_string().contains(what), "{refused}");
    }

    #[test]
    fn folders_as_deep_as_is_allowed_are_listed() {
        let (_directory, repository, commit) = nested(DEPTH, "d");
        let files = list(&repository, commit, &Cancellation::default()).unwrap();
        assert_eq!(files.len(), DEPTH + 1);
    }

    #[test]
    fn thousands_of_long_folders_in_each_other_are_refused() {
        assert_exceeds(&refusal(nested(3_000, &"n".repeat(250))), "4096 bytes in a path");
        assert_exceeds(&refusal(nested(3_000, "n")), "64 folders in each other");
    }

    #[test]
    fn a_folder_of_long_names_that_is_repeated_many_times_is_refused() {
        let many = committed(|repository, file| {
            let names: Vec<String> = (0..1_000).map(|number| format!("{number:0250}")).collect();
            let of = |id, mode| -> Vec<_> { names.iter().map(|name| (name.as_str(), id, mode)).collect() };
            let inner = folder(repository, &of(file, FILE));
            folder(repository, &of(inner, FOLDER))
        });
        assert_exceeds(&refusal(many), "67108864 bytes in all paths");
    }

    #[test]
    fn listing_ends_when_it_is_cancelled() {
        let (_directory, repository, commit) = nested(3, "d");
        let cancellation = Cancellation::default();
        cancellation.cancel();
        let refused = list(&repository, commit, &cancellation).unwrap_err();
        assert_eq!(refused.kind(), GitErrorKind::Cancelled);
    }
}
