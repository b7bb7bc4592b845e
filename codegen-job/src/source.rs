//! The IDL of a run: every `.proto` file of the source commit, of a working directory, or of a commit of its checkout.

mod checkout;
mod local;
mod remote;

use crate::repo_path::RepoPath;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use checkout::read_revision;
pub use local::{LocalError, read_directory};
pub use remote::{Fetched, fetch, resolve_commit};

/// The most `.proto` files of one repository.
pub const FILES_LIMIT: usize = 50_000;
/// The most bytes of all of them together.
pub const BYTES_LIMIT: usize = 256 * 1024 * 1024;

/// Paths in the repository and contents of its `.proto` files. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SourceFiles(Arc<BTreeMap<String, Vec<u8>>>);

impl SourceFiles {
    /// Every path, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The contents of the file at `path`.
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }

    /// The path that an import leads to: the first of `roots` that has the file.
    pub fn resolve(&self, import: &str, roots: &[RepoPath]) -> Option<&str> {
        roots.iter().find_map(|root| {
            let path = root.join(import).ok()?;
            self.0.get_key_value(path.as_str()).map(|(path, _)| path.as_str())
        })
    }
}

impl FromIterator<(String, Vec<u8>)> for SourceFiles {
    fn from_iter<T: IntoIterator<Item = (String, Vec<u8>)>>(files: T) -> Self {
        Self(Arc::new(files.into_iter().collect()))
    }
}

/// Whether a path is one of IDL.
pub(crate) fn is_proto(path: &str) -> bool {
    path.ends_with(".proto")
}
