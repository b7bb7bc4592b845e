//! IDL from a directory on this machine: a checkout of a pull request, or work in progress.

use super::{BYTES_LIMIT, FILES_LIMIT, SourceFiles, is_proto};
use heddle_crds::idl_repo::Reason;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

/// The deepest that directories may nest.
const DEPTH_LIMIT: usize = 64;

/// Why a directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The file system refused.
    #[error("failed to read {path}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Git refused.
    #[error(
        "failed to read {path} at {revision:?}: {reason}; --against takes a revision of the checkout or a file with a descriptor set"
    )]
    Git {
        /// The directory.
        path: PathBuf,
        /// What was asked for.
        revision: String,
        /// What Git says.
        reason: String,
    },
    /// There is too much.
    #[error("failed to read {path}: more than {allowed} {what}; is this the directory with the IDL?")]
    Exceed {
        /// The directory.
        path: PathBuf,
        /// The limit.
        allowed: usize,
        /// Of what.
        what: &'static str,
    },
}

impl LocalError {
    /// The reason, in the words of the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Read { .. } | Self::Git { .. } => Reason::InvalidSpec,
            Self::Exceed { .. } => Reason::LimitExceeded,
        }
    }
}

/// Reads every `.proto` file below `root`. Symbolic links are not followed, and Git's folder is left out.
///
/// # Errors
/// When a directory or file cannot be read, or there is more than a repository may have.
pub fn read_directory(root: &Path) -> Result<SourceFiles, LocalError> {
    let mut walk = Walk {
        root,
        files: Vec::new(),
        bytes: 0,
    };
    walk.visit(root, 0)?;
    Ok(walk.files.into_iter().collect())
}

struct Walk<'a> {
    root: &'a Path,
    files: Vec<(String, Vec<u8>)>,
    bytes: usize,
}

impl Walk<'_> {
    fn visit(&mut self, directory: &Path, depth: usize) -> Result<(), LocalError> {
        if depth > DEPTH_LIMIT {
            return Err(self.exceed(DEPTH_LIMIT, "levels of directories"));
        }
        let entries = fs::read_dir(directory).map_err(|source| fail(directory, source))?;
        for entry in entries {
            self.visit_entry(&entry.map_err(|source| fail(directory, source))?, depth)?;
        }
        Ok(())
    }

    fn visit_entry(&mut self, entry: &DirEntry, depth: usize) -> Result<(), LocalError> {
        let path = entry.path();
        let kind = entry.file_type().map_err(|source| fail(&path, source))?;
        if kind.is_dir() && entry.file_name() != ".git" {
            return self.visit(&path, depth + 1);
        }
        let relative = path.strip_prefix(self.root).ok().and_then(Path::to_str);
        let Some(name) = relative.filter(|name| kind.is_file() && is_proto(name)) else {
            return Ok(());
        };
        let bytes = fs::read(&path).map_err(|source| fail(&path, source))?;
        self.bytes += bytes.len();
        self.files.push((name.to_owned(), bytes));
        if self.files.len() > FILES_LIMIT {
            return Err(self.exceed(FILES_LIMIT, ".proto files"));
        }
        if self.bytes > BYTES_LIMIT {
            return Err(self.exceed(BYTES_LIMIT, "bytes of .proto files"));
        }
        Ok(())
    }

    fn exceed(&self, allowed: usize, what: &'static str) -> LocalError {
        LocalError::Exceed {
            path: self.root.to_owned(),
            allowed,
            what,
        }
    }
}

fn fail(path: &Path, source: io::Error) -> LocalError {
    LocalError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proto_files_are_read_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let secret = tempfile::tempdir().unwrap();
        fs::write(secret.path().join("token.proto"), "canary").unwrap();
        for (path, text) in [
            ("a.proto", "A"),
            ("api/v1/b.proto", "B"),
            ("README.md", "R"),
            (".git/x.proto", "G"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink(secret.path(), folder.path().join("linked")).unwrap();
        std::os::unix::fs::symlink(secret.path().join("token.proto"), folder.path().join("c.proto")).unwrap();
        let files = read_directory(folder.path()).unwrap();
        assert_eq!(files.paths().collect::<Vec<_>>(), ["a.proto", "api/v1/b.proto"]);
        assert_eq!(files.bytes("api/v1/b.proto"), Some(b"B".as_slice()));
    }
}
