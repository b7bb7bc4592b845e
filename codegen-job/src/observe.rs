//! Reads of the output branch what a plan has to know.

use crate::manifest::{FOLDER, Manifest, Owner};
use crate::output::{ForeignRecord, FormerRecord, ObservedOutput, PlanError};
use crate::plugin::GeneratedFiles;
use crate::repo_path::RepoPath;
use heddle_git_remote::{FileKind, GitError, OutputBranch};
use std::collections::BTreeSet;

/// The most bytes of a record, which has about 150 bytes for each file.
const RECORD_BYTES: u64 = 16 * 1024 * 1024;

/// Why the branch could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Git failed.
    #[error(transparent)]
    Read(#[from] GitError),
    /// The record is damaged.
    #[error(transparent)]
    Record(PlanError),
}

/// Reads the branch for a plan of `generated` below `root`.
///
/// # Errors
/// When Git fails or this IdlRepo's own record is damaged.
pub fn observe(
    branch: &OutputBranch,
    owner: &Owner,
    root: &RepoPath,
    generated: &GeneratedFiles,
) -> Result<ObservedOutput, ObserveError> {
    let entries = branch.files()?;
    let mut observed = ObservedOutput {
        paths: entries.iter().map(|entry| entry.path.clone()).collect(),
        ..ObservedOutput::default()
    };
    let targets = targets(root, generated);
    let own_record = root
        .join(&owner.file())
        .map(|path| path.as_str().to_owned())
        .unwrap_or_default();
    for entry in entries
        .iter()
        .filter(|entry| is_record(&entry.path) && entry.size <= RECORD_BYTES)
    {
        let bytes = branch.read(&entry.path)?.unwrap_or_default();
        let parsed = Manifest::parse(&bytes);
        if entry.path == own_record {
            let source = |source| PlanError::ReadRecord {
                path: own_record.clone(),
                source,
            };
            observed.own = Some(parsed.map_err(source).map_err(ObserveError::Record)?);
            observed.contents.insert(own_record.clone(), bytes);
        } else if let Ok(manifest) = parsed {
            observed.add_record(&entry.path, manifest, owner, &targets);
        } else {
            tracing::warn!(path = %entry.path, "the record of another IdlRepo cannot be read");
        }
    }
    let touched = touched(&observed, root, targets);
    let is_plain = |kind| matches!(kind, FileKind::File | FileKind::Executable);
    for entry in entries
        .iter()
        .filter(|entry| is_plain(entry.kind) && touched.contains(entry.path.as_str()))
    {
        let bytes = branch.read(&entry.path)?.unwrap_or_default();
        observed.contents.insert(entry.path.clone(), bytes);
    }
    Ok(observed)
}

fn is_record(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next().is_some_and(|name| name.ends_with(".json")) && parts.next() == Some(FOLDER)
}

impl ObservedOutput {
    /// Adds a record that is not the one of `owner` below the root.
    fn add_record(&mut self, path: &str, manifest: Manifest, owner: &Owner, targets: &BTreeSet<String>) {
        let folder = path.rfind(FOLDER).map(|end| &path[..end]).unwrap_or_default();
        let files = manifest
            .files
            .into_iter()
            .map(|(file, digest)| (format!("{folder}{file}"), digest));
        if manifest.owner == *owner {
            let files: FormerRecord = files.collect();
            if files.keys().any(|file| targets.contains(file)) {
                self.former.insert(path.to_owned(), files);
            }
            return;
        }
        let record = ForeignRecord {
            path: path.to_owned(),
            owner: manifest.owner,
        };
        self.others.extend(files.map(|(file, _)| (file, record.clone())));
    }
}

/// Where what was generated goes.
fn targets(root: &RepoPath, generated: &GeneratedFiles) -> BTreeSet<String> {
    let paths = generated.0.keys();
    paths
        .map(|path| root.join_path(path).as_str().to_owned())
        .collect()
}

/// The paths that a plan compares by content.
fn touched(observed: &ObservedOutput, root: &RepoPath, targets: BTreeSet<String>) -> BTreeSet<String> {
    let recorded = observed.own.iter().flat_map(|own| own.files.keys());
    let former = observed.former.iter();
    let mut touched = targets;
    touched.extend(recorded.map(|path| root.join_path(path).as_str().to_owned()));
    // The records too: they are removed, and a diff shows what is in them.
    touched.extend(former.flat_map(|(record, files)| files.keys().chain([record]).cloned()));
    touched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_recognised_by_their_folder() {
        for path in [".heddle/a.b.json", "gen/.heddle/a.b.json", "x/y/.heddle/c.json"] {
            assert!(is_record(path), "{path}");
        }
        for path in [".heddle/a.b.txt", "heddle/a.json", ".heddle/x/a.json", "a.json"] {
            assert!(!is_record(path), "{path}");
        }
    }
}
