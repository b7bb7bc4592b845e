//! The id of a commit.

use std::fmt;
use std::str::FromStr;

use git2::Oid;

/// Hexadecimal digits in a SHA-1 object id, the only object format libgit2 supports in releases.
const HEX_DIGITS: usize = 40;

/// The SHA-1 id of a Git object, usually a commit: 40 lower-case hexadecimal digits when printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(Oid);

/// The text is not a full object id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a commit id: expected 40 hexadecimal digits, got {length} characters")]
pub struct ParseCommitIdError {
    length: usize,
}

impl CommitId {
    pub(crate) fn new(oid: Oid) -> Self {
        Self(oid)
    }

    pub(crate) fn oid(self) -> Oid {
        self.0
    }
}

impl FromStr for CommitId {
    type Err = ParseCommitIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseCommitIdError {
            length: text.chars().count(),
        };
        if text.len() != HEX_DIGITS || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error);
        }
        Oid::from_str(text).map(Self).map_err(|_| error)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forty_hexadecimal_digits_are_a_commit_id() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(text.parse::<CommitId>().unwrap().to_string(), text);
        for bad in ["", "abc", "0123456789abcdef0123456789abcdef0123456g", "HEAD"] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }
}
