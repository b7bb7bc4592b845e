//! Applying edits to a Git tree without a working copy.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository, Tree, TreeBuilder};

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
        let mut builder = repository.treebuilder(base).map_err(failed)?;
        // Folders first: one that becomes empty makes room for a file of its name.
        for (name, folder) in &self.folders {
            self.write_folder(repository, &mut builder, name, folder, &join(path, name))?;
        }
        for (name, edit) in &self.edits {
            write_file(repository, &mut builder, name, edit, &join(path, name))?;
        }
        match builder.is_empty() {
            true => Ok(None),
            false => builder.write().map(Some).map_err(failed),
        }
    }

    fn write_folder(
        &self,
        repository: &Repository,
        builder: &mut TreeBuilder<'_>,
        name: &str,
        folder: &Self,
        path: &str,
    ) -> Result<(), GitError> {
        let (kind, id) = existing(builder, name)?;
        let makes_room = matches!(self.edits.get(name), Some(Edit::Delete));
        let subtree = match kind {
            Kind::Folder => Some(repository.find_tree(id).map_err(failed)?),
            Kind::File { .. } if !folder.writes() => return Ok(()),
            Kind::File { .. } if !makes_room => {
                return Err(refuse(path, "a file is where a folder has to be"));
            }
            Kind::File { .. } | Kind::Nothing => None,
        };
        match folder.write(repository, subtree.as_ref(), path)? {
            Some(tree) => builder
                .insert(name, tree, FOLDER)
                .map(drop)
                .map_err(|e| refuse(path, e.message())),
            None if subtree.is_some() => builder.remove(name).map_err(failed),
            None => Ok(()),
        }
    }

    /// Whether anything is written below here; deletions alone need no folder.
    fn writes(&self) -> bool {
        self.edits.values().any(|edit| matches!(edit, Edit::Write(_)))
            || self.folders.values().any(Self::writes)
    }
}

/// What is at a name.
enum Kind {
    Nothing,
    Folder,
    File { executable: bool },
}

fn existing(builder: &TreeBuilder<'_>, name: &str) -> Result<(Kind, Oid), GitError> {
    let entry = builder.get(name).map_err(failed)?;
    Ok(
        entry.map_or((Kind::Nothing, Oid::ZERO_SHA1), |entry| match entry.kind() {
            Some(ObjectType::Tree) => (Kind::Folder, entry.id()),
            _ => (
                Kind::File {
                    executable: entry.filemode() == EXECUTABLE,
                },
                entry.id(),
            ),
        }),
    )
}

fn write_file(
    repository: &Repository,
    builder: &mut TreeBuilder<'_>,
    name: &str,
    edit: &Edit,
    path: &str,
) -> Result<(), GitError> {
    let (kind, _) = existing(builder, name)?;
    match (edit, kind) {
        (Edit::Delete, Kind::Nothing | Kind::Folder) => Ok(()),
        (Edit::Delete, Kind::File { .. }) => builder.remove(name).map_err(failed),
        (Edit::Write(_), Kind::Folder) => Err(refuse(path, "a folder is in the way")),
        (Edit::Write(content), kind) => {
            let blob = repository.blob(content).map_err(failed)?;
            let mode = if matches!(kind, Kind::File { executable: true }) {
                EXECUTABLE
            } else {
                FILE
            };
            builder
                .insert(name, blob, mode)
                .map(drop)
                .map_err(|error| refuse(path, error.message()))
        }
    }
}

fn failed(error: git2::Error) -> GitError {
    local(WRITE, &error)
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
