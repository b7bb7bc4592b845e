//! Applying edits to a Git tree without a working copy.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository, Tree};

use crate::libgit2::local;
use crate::output::{Edit, Edits};
use crate::{GitError, snapshot};

const WRITE: &str = "write a tree";
const FILE: i32 = 0o100_644;
const EXECUTABLE: i32 = 0o100_755;
const FOLDER: i32 = 0o040_000;
/// Bytes of a path; what Linux can check out.
const PATH_BYTES: usize = 4096;
/// Folders around a file; every level is a recursion.
const PATH_DEPTH: usize = 64;

/// Edits arranged by folder.
#[derive(Default)]
struct Folder<'a> {
    edits: BTreeMap<&'a str, &'a Edit>,
    folders: BTreeMap<&'a str, Folder<'a>>,
}

/// The id of the tree that `base` becomes by `edits`. Folders that become empty go away; executables stay executable.
pub(crate) fn apply(
    repository: &Repository,
    base: Option<&Tree<'_>>,
    edits: &Edits,
) -> Result<Oid, GitError> {
    let mut root = Folder::default();
    for (path, edit) in edits {
        root.place(path, edit)?;
    }
    match root.write(repository, base, "")? {
        Some(tree) => Ok(tree),
        None => empty(repository),
    }
}

fn empty(repository: &Repository) -> Result<Oid, GitError> {
    repository
        .treebuilder(None)
        .and_then(|builder| builder.write())
        .map_err(|error| local(WRITE, &error))
}

impl<'a> Folder<'a> {
    fn place(&mut self, path: &'a str, edit: &'a Edit) -> Result<(), GitError> {
        check(path)?;
        let (folders, name) = path
            .rsplit_once('/')
            .map_or((None, path), |(folders, name)| (Some(folders), name));
        let mut folder = self;
        for part in folders.into_iter().flat_map(|folders| folders.split('/')) {
            folder = folder.folders.entry(part).or_default();
        }
        folder.edits.insert(name, edit);
        Ok(())
    }

    /// Writes this folder; `None` when nothing is left in it.
    fn write(
        &self,
        repository: &Repository,
        base: Option<&Tree<'_>>,
        path: &str,
    ) -> Result<Option<Oid>, GitError> {
        let mut builder = repository
            .treebuilder(base)
            .map_err(|error| local(WRITE, &error))?;
        for (name, edit) in &self.edits {
            let existing = base.and_then(|base| base.get_name(name));
            let is_folder = existing
                .as_ref()
                .is_some_and(|entry| entry.kind() == Some(ObjectType::Tree));
            match edit {
                Edit::Delete if existing.is_none() || is_folder => {}
                Edit::Delete => builder.remove(*name).map_err(|error| local(WRITE, &error))?,
                Edit::Write(_) if is_folder => {
                    return Err(refuse(&join(path, name), "a folder is in the way"));
                }
                Edit::Write(content) => {
                    let executable = existing.is_some_and(|entry| entry.filemode() == EXECUTABLE);
                    let blob = repository.blob(content).map_err(|error| local(WRITE, &error))?;
                    let mode = if executable { EXECUTABLE } else { FILE };
                    builder
                        .insert(*name, blob, mode)
                        .map_err(|error| refuse(&join(path, name), error.message()))?;
                }
            }
        }
        for (name, folder) in &self.folders {
            let path = join(path, name);
            let existing = builder.get(name).map_err(|error| local(WRITE, &error))?;
            let subtree = match existing.map(|entry| (entry.kind(), entry.id())) {
                Some((Some(ObjectType::Tree), id)) => {
                    Some(repository.find_tree(id).map_err(|error| local(WRITE, &error))?)
                }
                Some(_) if folder.writes() => {
                    return Err(refuse(&path, "a file is where a folder has to be"));
                }
                Some(_) => continue,
                None => None,
            };
            match folder.write(repository, subtree.as_ref(), &path)? {
                Some(tree) => {
                    builder
                        .insert(*name, tree, FOLDER)
                        .map_err(|error| refuse(&path, error.message()))?;
                }
                None if subtree.is_some() => builder.remove(*name).map_err(|error| local(WRITE, &error))?,
                None => {}
            }
        }
        match builder.is_empty() {
            true => Ok(None),
            false => builder.write().map(Some).map_err(|error| local(WRITE, &error)),
        }
    }

    /// Whether anything is written below here; deletions alone need no folder.
    fn writes(&self) -> bool {
        self.edits.values().any(|edit| matches!(edit, Edit::Write(_)))
            || self.folders.values().any(Self::writes)
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

fn refuse(path: &str, reason: impl Into<String>) -> GitError {
    GitError::PlacePath {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// Paths come from generators: nothing that leaves the tree, or that becomes configuration when checked out.
fn check(path: &str) -> Result<(), GitError> {
    if path.len() > PATH_BYTES || path.split('/').count() > PATH_DEPTH {
        return Err(refuse(
            &path.chars().take(80).collect::<String>(),
            "it is too long or too deep",
        ));
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err(refuse(path, "it contains a backslash or a control character"));
    }
    match path
        .split('/')
        .find(|part| matches!(*part, "" | "." | "..") || part.eq_ignore_ascii_case(".git"))
    {
        Some(part) => Err(refuse(path, format!("it has the part {part:?}"))),
        None => Ok(()),
    }
}

/// The tree at `commit`, if there is a commit.
pub(crate) fn base(
    repository: &Repository,
    commit: Option<crate::CommitId>,
) -> Result<Option<Tree<'_>>, GitError> {
    commit
        .map(|commit| snapshot::tree(repository, commit))
        .transpose()
}
