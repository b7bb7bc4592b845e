//! Paths inside a repository, as users and plugins give them: parsed once into a form that cannot leave it.

use std::fmt;

/// The most bytes of a whole path: what common file systems and archive tools take.
const PATH_BYTES: usize = 1024;
/// The most bytes of one component (`NAME_MAX` of Linux).
const COMPONENT_BYTES: usize = 255;

/// A relative path with `/` between its components; empty for the root. Holds no `.`, `..`, `.git`, backslash, control
/// character, or anything else that some file system reads as one of those.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct RepoPath(String);

/// Why a path cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the path {path:?} {reason}")]
pub struct RepoPathError {
    path: String,
    reason: &'static str,
}

impl RepoPath {
    /// Parses a path; `.` components and superfluous `/` are taken out.
    ///
    /// # Errors
    /// When the path is absolute, or one of its components cannot be in a repository.
    pub fn parse(text: &str) -> Result<Self, RepoPathError> {
        let refuse = |reason| RepoPathError {
            path: shorten(text),
            reason,
        };
        if text.len() > PATH_BYTES {
            return Err(refuse("is longer than 1024 bytes"));
        }
        if text.starts_with('/') {
            return Err(refuse("is absolute; write it relative to the repository's root"));
        }
        let components: Vec<&str> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        match components.iter().find_map(|component| problem(component)) {
            Some(reason) => Err(refuse(reason)),
            None => Ok(Self(components.join("/"))),
        }
    }

    /// `name` below this path.
    ///
    /// # Errors
    /// As [`Self::parse`] for `name`.
    pub fn join(&self, name: &str) -> Result<Self, RepoPathError> {
        Self::parse(name).map(|name| self.join_path(&name))
    }

    /// `other` below this path.
    pub fn join_path(&self, other: &Self) -> Self {
        match (self.0.as_str(), other.0.as_str()) {
            ("", _) => other.clone(),
            (_, "") => self.clone(),
            (parent, child) => Self(format!("{parent}/{child}")),
        }
    }

    /// What is left of `path` below this one, if it is below.
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.0.is_empty() {
            Some(path)
        } else {
            path.strip_prefix(self.0.as_str())?.strip_prefix('/')
        }
    }

    /// The path as text, without `/` at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the repository's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

/// The directories that a path is in, nearest last, without the root: `a/b/c` is in `a` and `a/b`.
pub(crate) fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

fn problem(component: &str) -> Option<&'static str> {
    if component.len() > COMPONENT_BYTES {
        return Some("has a component longer than 255 bytes");
    }
    if component == ".." {
        return Some("leads out of its directory by \"..\"");
    }
    if component.contains(['\\', ':']) {
        return Some("contains '\\' or ':', which are not portable");
    }
    if component
        .chars()
        .any(|character| character.is_control() || is_invisible(character))
    {
        return Some("contains control characters or invisible ones");
    }
    // NTFS drops blanks and dots at the end and has a short name for the folder.
    let folded = component.trim_end_matches([' ', '.']).to_lowercase();
    matches!(folded.as_str(), ".git" | "git~1").then_some("names Git's own folder")
}

/// Characters without a shape: HFS+ ignores them in names, and people cannot see them.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn shorten(path: &str) -> String {
    let mut path = path.to_owned();
    heddle_crds::condition::truncate(&mut path, COMPONENT_BYTES);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_paths_are_taken_and_normalised() {
        for (text, expected) in [
            ("", ""),
            (".", ""),
            ("a", "a"),
            ("a/b.rs", "a/b.rs"),
            ("./a//b/", "a/b"),
            ("google/r#type/google.type.rs", "google/r#type/google.type.rs"),
            (".github/x", ".github/x"),
            (".gitignore", ".gitignore"),
            ("a b/ü", "a b/ü"),
            ("a/...", "a/..."),
        ] {
            assert_eq!(RepoPath::parse(text).unwrap().as_str(), expected, "{text:?}");
        }
    }

    #[test]
    fn paths_that_leave_the_repository_or_touch_git_are_refused() {
        for text in [
            "/etc/passwd",
            "..",
            "a/../b",
            ".git/hooks/pre-commit",
            "a/.GIT/config",
            ".git /x",
            ".git./x",
            "GIT~1/x",
            ".g\u{200c}it/config",
            "a\\b",
            "C:x",
            ".git::$INDEX_ALLOCATION/x",
            "a\nb",
            "a\0",
            "a\u{1b}[31m",
        ] {
            assert!(RepoPath::parse(text).is_err(), "{text:?}");
        }
        assert!(RepoPath::parse(&"a".repeat(256)).is_err());
        assert!(RepoPath::parse(&"a/".repeat(600)).is_err());
    }

    #[test]
    fn a_path_knows_what_is_below_it() {
        let gen_ = RepoPath::parse("gen").unwrap();
        assert_eq!(gen_.strip("gen/a.rs"), Some("a.rs"));
        assert_eq!(gen_.strip("generated/a.rs"), None);
        assert_eq!(gen_.strip("gen"), None);
        assert_eq!(RepoPath::default().strip("a"), Some("a"));
        assert_eq!(gen_.join("x/y").unwrap().as_str(), "gen/x/y");
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
    }
}
