//! IDL from an earlier commit of a checkout on this machine.

use super::{BYTES_LIMIT, FILES_LIMIT, LocalError, SourceFiles, is_proto};
use git2::{ObjectType, Repository, TreeWalkMode, TreeWalkResult};
use heddle_git_remote::CommitId;
use std::path::{Path, PathBuf};

/// Reads every `.proto` file below `folder` as it was at `revision`, which may be anything that Git takes for a commit.
///
/// # Errors
/// When `folder` is in no checkout, the revision is unknown, or there is too much.
pub fn read_revision(folder: &Path, revision: &str) -> Result<(CommitId, SourceFiles), LocalError> {
    let fail = |source: git2::Error| LocalError::Git {
        path: folder.to_owned(),
        revision: revision.to_owned(),
        reason: source.message().to_owned(),
    };
    let repository = Repository::discover(folder).map_err(fail)?;
    let commit = repository
        .revparse_single(revision)
        .and_then(|object| object.peel_to_commit())
        .map_err(fail)?;
    let mut tree = commit.tree().map_err(fail)?;
    let below = below_root(&repository, folder);
    if below != Path::new("") {
        let entry = tree.get_path(&below).map_err(fail)?;
        tree = entry
            .to_object(&repository)
            .and_then(|object| object.peel_to_tree())
            .map_err(fail)?;
    }
    let files = read_tree(&repository, &tree, folder).map_err(|error| match error {
        Stop::Git(source) => fail(source),
        Stop::Exceed(error) => error,
    })?;
    let id = commit.id().to_string().parse();
    Ok((
        id.map_err(|_| fail(git2::Error::from_str("not a SHA-1 id")))?,
        files,
    ))
}

enum Stop {
    Git(git2::Error),
    Exceed(LocalError),
}

/// The folder relative to the checkout's root.
fn below_root(repository: &Repository, folder: &Path) -> PathBuf {
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let root = repository.workdir().map(absolute).unwrap_or_default();
    absolute(folder)
        .strip_prefix(root)
        .map(Path::to_owned)
        .unwrap_or_default()
}

fn read_tree(repository: &Repository, tree: &git2::Tree<'_>, folder: &Path) -> Result<SourceFiles, Stop> {
    let mut found = Vec::new();
    let walked = tree.walk(TreeWalkMode::PreOrder, |directory, entry| {
        if let (Ok(name), Some(ObjectType::Blob)) = (entry.name(), entry.kind())
            && is_proto(name)
        {
            found.push((format!("{directory}{name}"), entry.id()));
        }
        match found.len() > FILES_LIMIT {
            true => TreeWalkResult::Abort,
            false => TreeWalkResult::Ok,
        }
    });
    let exceed = |allowed, what| {
        Stop::Exceed(LocalError::Exceed {
            path: folder.to_owned(),
            allowed,
            what,
        })
    };
    if found.len() > FILES_LIMIT {
        return Err(exceed(FILES_LIMIT, ".proto files"));
    }
    walked.map_err(Stop::Git)?;
    let mut bytes = 0;
    let mut files = Vec::with_capacity(found.len());
    for (path, id) in found {
        let blob = repository.find_blob(id).map_err(Stop::Git)?;
        bytes += blob.size();
        if bytes > BYTES_LIMIT {
            return Err(exceed(BYTES_LIMIT, "bytes of .proto files"));
        }
        files.push((path, blob.content().to_vec()));
    }
    Ok(files.into_iter().collect())
}
