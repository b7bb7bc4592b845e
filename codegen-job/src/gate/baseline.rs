//! What a commit is compared with, as a descriptor set.

use crate::source::{LocalError, SourceFiles, read_revision};
use heddle_git_remote::CommitId;
use std::path::{Path, PathBuf};

/// The most bytes of a file with a descriptor set.
const FILE_BYTES: u64 = heddle_crds::publication::SET_BYTES_LIMIT as u64;

/// What to compare with.
#[derive(Clone, Debug)]
pub enum Against {
    /// A commit of the source repository.
    Commit(CommitId),
    /// A branch or tag of the source repository, or of the checkout where the IDL is taken from one; or a file.
    Named(String),
}

/// A version to compare with.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// What it is, in words: a commit's full id, or what was asked for.
    pub name: String,
    /// A serialised `google.protobuf.FileDescriptorSet`.
    pub set: Vec<u8>,
}

impl std::str::FromStr for Against {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text
            .parse()
            .map_or_else(|_| Self::Named(text.to_owned()), Self::Commit))
    }
}

impl Against {
    /// In words.
    pub fn name(&self) -> String {
        match self {
            Self::Commit(commit) => commit.to_string(),
            Self::Named(name) => name.clone(),
        }
    }

    /// The descriptor set, if it is a file.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than any set.
    pub fn read_file(&self) -> Result<Option<Vec<u8>>, LocalError> {
        let Self::Named(name) = self else { return Ok(None) };
        let path = PathBuf::from(name);
        let fail = |source| LocalError::Read {
            path: path.clone(),
            source,
        };
        let Ok(metadata) = path.metadata() else {
            return Ok(None);
        };
        if !metadata.is_file() {
            return Ok(None);
        }
        if metadata.len() > FILE_BYTES {
            return Err(LocalError::Exceed {
                path,
                allowed: heddle_crds::publication::SET_BYTES_LIMIT,
                what: "bytes of a descriptor set",
            });
        }
        std::fs::read(&path).map(Some).map_err(fail)
    }

    /// The IDL at that revision of the checkout that `folder` is in.
    ///
    /// # Errors
    /// There is no checkout or no such revision.
    pub fn read_checkout(&self, folder: &Path) -> Result<(CommitId, SourceFiles), LocalError> {
        read_revision(folder, &self.name())
    }
}
