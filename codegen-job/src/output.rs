//! What to change in the output repository: a pure function of what was generated and what is there.
//!
//! The rules:
//! - A file that this IdlRepo's record names is Heddle's: it is overwritten or pruned, also when somebody edited it.
//! - A file that is in the way and in no record is somebody's: a conflict, unless it is the same byte for byte.
//! - A file that another IdlRepo's record names is always a conflict.
//! - A record of this IdlRepo elsewhere is from before its `output.path` changed. If files that it names are generated
//!   again, all of it is taken over; if none is, it is left alone, like everything below the former path.

use crate::manifest::{FOLDER, Manifest, Owner, digest};
use crate::plugin::GeneratedFiles;
use crate::repo_path::{RepoPath, parents};
use heddle_crds::idl_repo::{FileCounts, Reason};
use heddle_git_remote::{Edit, Edits};
use std::collections::{BTreeMap, BTreeSet};

/// How many files a message names.
const NAMED: usize = 5;

/// The output branch as it is, with paths from the repository's root.
#[derive(Clone, Debug, Default)]
pub struct ObservedOutput {
    /// Every path there is.
    pub paths: BTreeSet<String>,
    /// The contents of those files that the plan can touch, and of this IdlRepo's record.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// The record of this IdlRepo, if there is one.
    pub own: Option<Manifest>,
    /// The records of this IdlRepo elsewhere that name files which are generated again.
    pub former: BTreeMap<String, FormerRecord>,
    /// What other IdlRepos' records name, with whose they are.
    pub others: BTreeMap<String, ForeignRecord>,
}

/// The files that a record names, with their digests.
pub type FormerRecord = BTreeMap<String, String>;

/// A record of another IdlRepo.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignRecord {
    /// Where it is.
    pub path: String,
    /// Whose it is.
    pub owner: Owner,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Every change, the record's included.
    pub edits: Edits,
    /// How many files, not counting the record.
    pub counts: FileCounts,
    /// Heddle's files that somebody had edited, and that are overwritten or pruned.
    pub reclaimed: Vec<String>,
}

/// Why nothing can be done.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Files of others are in the way.
    #[error(
        "failed to place generated files: {} {in_the_way} and was not written by Heddle; move it away, or set \
         output.path or the generator's path to another directory",
        name_some(paths)
    )]
    Conflict {
        /// The files.
        paths: Vec<String>,
        /// How they are in the way.
        in_the_way: &'static str,
    },
    /// Two IdlRepos write the same file.
    #[error(
        "failed to place {path}: it belongs to the IdlRepo {}/{}; give the two different paths, or, if that IdlRepo is \
         gone, delete {} and the files it names from the branch",
        record.owner.namespace, record.owner.name, record.path
    )]
    ShareFile {
        /// The file.
        path: String,
        /// What says so.
        record: ForeignRecord,
    },
    /// A generator writes to the folder of records.
    #[error("failed to place {path} of generator {generator:?}: {FOLDER} is Heddle's own folder")]
    UseReserved {
        /// The file.
        path: String,
        /// The generator.
        generator: String,
    },
    /// The record is damaged.
    #[error(
        "failed to read {path}, the record of files that Heddle wrote; restore it from the branch's history"
    )]
    ReadRecord {
        /// The record.
        path: String,
        /// What is wrong with it.
        #[source]
        source: crate::manifest::ManifestError,
    },
}

impl PlanError {
    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::UseReserved { .. } => Reason::PluginFailed,
            Self::Conflict { .. } | Self::ShareFile { .. } | Self::ReadRecord { .. } => {
                Reason::OutputConflict
            }
        }
    }
}

/// Plans the changes that make the output below `root` what was generated for `owner`.
///
/// # Errors
/// When that would touch what is not Heddle's.
pub fn plan(
    owner: &Owner,
    root: &RepoPath,
    generated: &GeneratedFiles,
    observed: &ObservedOutput,
) -> Result<Plan, PlanError> {
    let before = observed.recorded(root);
    let mut plan = Plan::default();
    let mut manifest = Manifest {
        owner: owner.clone(),
        files: BTreeMap::new(),
    };
    let mut conflicts = Vec::new();
    for (path, file) in &generated.0 {
        let target = root.join_path(path).as_str().to_owned();
        if path.as_str() == FOLDER || path.as_str().starts_with(&format!("{FOLDER}/")) {
            return Err(PlanError::UseReserved {
                path: target,
                generator: file.generator.clone(),
            });
        }
        if let Some(record) = observed.others.get(&target) {
            return Err(PlanError::ShareFile {
                path: target,
                record: record.clone(),
            });
        }
        manifest.files.insert(path.clone(), digest(file.text.as_bytes()));
        match observed.judge(&target, file.text.as_bytes(), before.get(&target)) {
            Verdict::Same => plan.counts.unchanged += 1,
            Verdict::Foreign => conflicts.push(target),
            Verdict::Write { reclaims } => {
                plan.counts.written += 1;
                plan.reclaimed.extend(reclaims.then(|| target.clone()));
                plan.edits
                    .insert(target, Edit::Write(file.text.clone().into_bytes()));
            }
        }
    }
    refuse(conflicts, "is in the way")?;
    prune(&mut plan, observed, before, &manifest, root);
    check_directories(&plan, observed)?;
    record(&mut plan, observed, &manifest, root);
    Ok(plan)
}

/// What becomes of one generated file.
enum Verdict {
    Same,
    Write { reclaims: bool },
    Foreign,
}

impl ObservedOutput {
    /// What was written for this IdlRepo before, with digests.
    fn recorded(&self, root: &RepoPath) -> BTreeMap<String, String> {
        let former = self.former.values().flatten();
        let mut recorded: BTreeMap<_, _> = former
            .map(|(path, digest)| (path.clone(), digest.clone()))
            .collect();
        // Where both name a file, ours was written later.
        recorded.extend(self.own.iter().flat_map(|own| place_all(root, &own.files)));
        recorded
    }

    /// `recorded` is the digest that the record has for the file.
    fn judge(&self, path: &str, text: &[u8], recorded: Option<&String>) -> Verdict {
        if !self.paths.contains(path) {
            return Verdict::Write { reclaims: false };
        }
        match (self.contents.get(path), recorded) {
            (Some(contents), _) if contents == text => Verdict::Same,
            (contents, Some(recorded)) => Verdict::Write {
                reclaims: contents.is_none_or(|contents| digest(contents) != *recorded),
            },
            (_, None) => Verdict::Foreign,
        }
    }
}

fn place_all(root: &RepoPath, files: &BTreeMap<RepoPath, String>) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(path, digest)| (root.join_path(path).as_str().to_owned(), digest.clone()))
        .collect()
}

/// Removes what was generated before and no longer is.
fn prune(
    plan: &mut Plan,
    observed: &ObservedOutput,
    before: BTreeMap<String, String>,
    manifest: &Manifest,
    root: &RepoPath,
) {
    let after = place_all(root, &manifest.files);
    for (path, recorded) in before {
        // Another IdlRepo may have taken the file over since, and a person may have removed it.
        if after.contains_key(&path) || observed.others.contains_key(&path) || !observed.paths.contains(&path)
        {
            continue;
        }
        if observed
            .contents
            .get(&path)
            .is_none_or(|contents| digest(contents) != recorded)
        {
            plan.reclaimed.push(path.clone());
        }
        plan.counts.pruned += 1;
        plan.edits.insert(path, Edit::Delete);
    }
}

/// Git cannot have a file and a directory of the same name.
fn check_directories(plan: &Plan, observed: &ObservedOutput) -> Result<(), PlanError> {
    let written = || {
        plan.edits
            .iter()
            .filter(|(_, edit)| matches!(edit, Edit::Write(_)))
            .map(|(path, _)| path)
    };
    let stays = |path: &str| observed.paths.contains(path) && plan.edits.get(path) != Some(&Edit::Delete);
    let files_as_directories = written()
        .flat_map(|path| parents(path))
        .filter(|parent| stays(parent));
    refuse(
        files_as_directories.map(str::to_owned).collect(),
        "is a file where a directory has to be",
    )?;
    let directory_of = |path: &String| {
        let below = format!("{path}/");
        let first = observed
            .paths
            .range(below.clone()..)
            .next()
            .filter(|other| other.starts_with(&below));
        first.cloned()
    };
    refuse(
        written().filter_map(directory_of).collect(),
        "is in a directory where a file has to be",
    )
}

fn refuse(mut paths: Vec<String>, in_the_way: &'static str) -> Result<(), PlanError> {
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        Ok(())
    } else {
        Err(PlanError::Conflict { paths, in_the_way })
    }
}

/// Brings the record up to date, and removes those it replaces; without files there is none.
fn record(plan: &mut Plan, observed: &ObservedOutput, manifest: &Manifest, root: &RepoPath) {
    for former in observed.former.keys() {
        plan.edits.insert(former.clone(), Edit::Delete);
    }
    let Ok(path) = root.join(&manifest.owner.file()) else {
        return;
    };
    let path = path.as_str().to_owned();
    let bytes = manifest.to_bytes();
    match (manifest.files.is_empty(), observed.contents.get(&path)) {
        (true, None) => {}
        (true, Some(_)) => _ = plan.edits.insert(path, Edit::Delete),
        (false, Some(old)) if *old == bytes => {}
        (false, _) => _ = plan.edits.insert(path, Edit::Write(bytes)),
    }
}

fn name_some(paths: &[String]) -> String {
    let named = paths.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more, each of which"),
    }
}

#[cfg(test)]
mod tests;
