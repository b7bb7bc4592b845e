//! A clone on somebody's disk, changed and pushed by the real git command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Account;
use crate::command::{git, run, run_text};

/// A working copy of a repository on a server, with the account that it pushes as.
#[derive(Debug)]
pub struct WorkCopy {
    directory: PathBuf,
    authority: PathBuf,
    authorization: String,
}

impl WorkCopy {
    /// Clones `url` as `account` into `directory`, trusting the certificates in the file `authority`.
    ///
    /// # Errors
    /// Git fails; its words are in the error.
    pub fn clone(url: &str, account: &Account, authority: &Path, directory: &Path) -> Result<Self> {
        let copy = Self::at(account, authority, directory)?;
        copy.git(&["clone", "--quiet", url, "."])?;
        Ok(copy)
    }

    /// Starts an empty working copy in `directory` that pushes to `url`, where there need not be anything yet.
    ///
    /// # Errors
    /// Git fails; its words are in the error.
    pub fn init(url: &str, account: &Account, authority: &Path, directory: &Path) -> Result<Self> {
        let copy = Self::at(account, authority, directory)?;
        copy.git(&["init", "--quiet", "--initial-branch=main"])?;
        copy.git(&["remote", "add", "origin", url])?;
        Ok(copy)
    }

    fn at(account: &Account, authority: &Path, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
        Ok(Self {
            directory: directory.to_path_buf(),
            authority: authority.to_path_buf(),
            authorization: format!("Authorization: {}", account.authorization()),
        })
    }

    /// Runs git here and returns what it printed.
    ///
    /// # Errors
    /// Git fails; its words are in the error.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        let settings = [
            ("http.extraHeader", self.authorization.as_str()),
            ("user.name", "Tester"),
            ("user.email", "tester@example.com"),
        ];
        run_text(
            git(&self.directory, &settings)
                .env("GIT_SSL_CAINFO", &self.authority)
                .args(arguments),
        )
    }

    /// Where the files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a file.
    ///
    /// # Errors
    /// The disk fails.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let path = self.directory.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Commits everything and returns the commit's id.
    ///
    /// # Errors
    /// Git fails, for example because nothing has changed.
    pub fn commit(&self, message: &str) -> Result<String> {
        run(git(&self.directory, &[]).args(["add", "--all"]))?;
        self.git(&["commit", "--quiet", "--message", message])?;
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes what is checked out to `branch`.
    ///
    /// # Errors
    /// The server refuses; its words are in the error.
    pub fn push(&self, branch: &str) -> Result<()> {
        self.git(&["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")])
            .map(drop)
    }
}
