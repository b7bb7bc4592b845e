//! Which of a remote's commits is meant: a pure function of its references.

use std::fmt;

use semver::{Version, VersionReq};

use crate::{CommitId, GitError, Reference};

const HEAD: &str = "HEAD";
const BRANCHES: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";
/// Names offered when the one wanted is not there.
const SUGGESTIONS: usize = 3;
/// How alike (1 is equal) a name must be to be offered, by Jaro-Winkler, which favours equal beginnings.
const SIMILARITY: f64 = 0.8;

/// What to follow in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The branch that the repository shows first: its `HEAD`.
    Default,
    /// The tip of a branch, by its name without `refs/heads/`.
    Branch(String),
    /// A tag, by its name without `refs/tags/`.
    Tag(String),
    /// The highest tag that is a semantic version (also with `v` before it) and satisfies the requirement.
    Semver(VersionReq),
    /// One commit, whatever the names.
    Commit(CommitId),
}

/// A commit to work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub commit: CommitId,
    /// The full name that led to it; for [`Selector::Commit`], one that points at it, if any does.
    pub reference: Option<String>,
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("the default branch"),
            Self::Branch(name) => write!(formatter, "branch {name}"),
            Self::Tag(name) => write!(formatter, "tag {name}"),
            Self::Semver(requirement) => write!(formatter, "a tag whose version satisfies \"{requirement}\""),
            Self::Commit(commit) => write!(formatter, "commit {commit}"),
        }
    }
}

/// Finds the commit that `selector` means among `references`.
///
/// # Errors
/// [`crate::GitErrorKind::ReferenceNotFound`], with a few names that are close. A [`Selector::Commit`] always
/// resolves: whether the commit exists shows when it is fetched.
pub fn resolve(references: &[Reference], selector: &Selector) -> Result<Resolved, GitError> {
    match selector {
        Selector::Default => resolve_default(references),
        Selector::Branch(name) => resolve_name(references, selector, BRANCHES, name),
        Selector::Tag(name) => resolve_name(references, selector, TAGS, name),
        Selector::Semver(requirement) => resolve_version(references, selector, requirement),
        Selector::Commit(commit) => Ok(Resolved {
            commit: *commit,
            reference: name_of(references, *commit),
        }),
    }
}

fn resolve_default(references: &[Reference]) -> Result<Resolved, GitError> {
    let Some(head) = references.iter().find(|reference| reference.name == HEAD) else {
        return Err(missing(references, &Selector::Default, Vec::new()));
    };
    let name = head.symbolic_target.clone().unwrap_or_else(|| HEAD.to_owned());
    Ok(Resolved {
        commit: head.commit,
        reference: Some(name),
    })
}

fn resolve_name(
    references: &[Reference],
    selector: &Selector,
    prefix: &str,
    name: &str,
) -> Result<Resolved, GitError> {
    let found = references
        .iter()
        .find(|reference| reference.name.strip_prefix(prefix) == Some(name));
    found.map(resolved).ok_or_else(|| {
        let names = short_names(references, prefix);
        missing(references, selector, nearest(&names, name))
    })
}

fn resolve_version(
    references: &[Reference],
    selector: &Selector,
    requirement: &VersionReq,
) -> Result<Resolved, GitError> {
    let mut versions: Vec<(Version, &Reference)> = references
        .iter()
        .filter_map(|reference| Some((version(reference)?, reference)))
        .collect();
    // Names break ties between "1.0.0" and "v1.0.0", so that the choice does not depend on the server's order.
    versions.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.name.cmp(&y.name)));
    let found = versions.iter().find(|(version, _)| requirement.matches(version));
    found.map(|(_, reference)| resolved(reference)).ok_or_else(|| {
        let highest = versions.iter().take(SUGGESTIONS);
        let names = highest.filter_map(|(_, reference)| reference.name.strip_prefix(TAGS));
        missing(references, selector, names.map(str::to_owned).collect())
    })
}

fn version(reference: &Reference) -> Option<Version> {
    let name = reference.name.strip_prefix(TAGS)?;
    Version::parse(name.strip_prefix('v').unwrap_or(name)).ok()
}

fn resolved(reference: &Reference) -> Resolved {
    Resolved {
        commit: reference.commit,
        reference: Some(reference.name.clone()),
    }
}

fn name_of(references: &[Reference], commit: CommitId) -> Option<String> {
    let pointing = references
        .iter()
        .filter(|reference| reference.commit == commit && reference.name != HEAD);
    pointing.map(|reference| reference.name.clone()).next()
}

fn short_names<'a>(references: &'a [Reference], prefix: &str) -> Vec<&'a str> {
    references
        .iter()
        .filter_map(|reference| reference.name.strip_prefix(prefix))
        .collect()
}

fn nearest(names: &[&str], wanted: &str) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .iter()
        .map(|name| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &wanted.to_lowercase()),
                *name,
            )
        })
        .filter(|(score, _)| *score >= SIMILARITY)
        .collect();
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    scored
        .into_iter()
        .take(SUGGESTIONS)
        .map(|(_, name)| name.to_owned())
        .collect()
}

fn missing(references: &[Reference], selector: &Selector, near: Vec<String>) -> GitError {
    let nothing = if references.is_empty() {
        ": the repository is empty"
    } else {
        ""
    };
    GitError::FindReference {
        wanted: format!("{selector}{nothing}"),
        near,
    }
}

#[cfg(test)]
mod tests;
