//! A repository on a server, as seen from the server's disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{git, run, run_text, run_with_input};

/// Separates the parts of a commit in what `git log` prints; no test puts it into a message.
const FIELD: char = '\u{1f}';
const RECORD: char = '\u{1e}';
/// When commits are made unless their content says otherwise, so that ids repeat: 2026-01-01T00:00:00Z.
const COMMIT_TIME: &str = "1767225600 +0000";

/// A bare repository, read and changed by git without going through a server.
#[derive(Clone, Debug)]
pub struct BareRepository {
    path: PathBuf,
}

/// What `git log` says about a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSummary {
    /// The commit's id.
    pub id: String,
    /// Its parents' ids.
    pub parents: Vec<String>,
    /// `name <email>` of the author.
    pub author: String,
    /// `name <email>` of the committer.
    pub committer: String,
    /// The whole message, trailers included.
    pub message: String,
}

impl BareRepository {
    /// Creates an empty repository whose `HEAD` is `main`; one that exists stays as it is.
    ///
    /// # Errors
    /// Git is not installed or cannot write there.
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("failed to create {}", path.display()))?;
        run(git(path, &[]).args(["init", "--quiet", "--bare", "."]))?;
        Ok(Self::at(path))
    }

    /// One that is there already.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Commits `files` on top of `branch` (a missing branch starts without history) and returns the commit's id.
    /// Content `None` removes the file.
    ///
    /// # Errors
    /// Git fails.
    pub fn commit(&self, branch: &str, message: &str, files: &[(&str, Option<&[u8]>)]) -> Result<String> {
        let mut script = format!(
            "commit refs/heads/{branch}\ncommitter Tester <tester@example.com> {COMMIT_TIME}\ndata {}\n{message}\n",
            message.len()
        )
        .into_bytes();
        if self.branch(branch)?.is_some() {
            script.extend(format!("from refs/heads/{branch}^0\n").bytes());
        }
        for (path, content) in files {
            match content {
                Some(content) => {
                    script.extend(format!("M 100644 inline {path}\ndata {}\n", content.len()).bytes());
                    script.extend(*content);
                    script.push(b'\n');
                }
                None => script.extend(format!("D {path}\n").bytes()),
            }
        }
        run_with_input(git(&self.path, &[]).args(["fast-import", "--quiet"]), &script)?;
        self.branch(branch)?
            .context("the branch is missing after a commit to it")
    }

    /// Points an annotated tag at `commit`.
    ///
    /// # Errors
    /// Git fails.
    pub fn tag(&self, name: &str, commit: &str) -> Result<()> {
        let identity = [("user.name", "Tester"), ("user.email", "tester@example.com")];
        run(git(&self.path, &identity).args(["tag", "--annotate", "--message", name, name, commit])).map(drop)
    }

    /// Points `branch` at `commit`, as a concurrent push would.
    ///
    /// # Errors
    /// Git fails.
    pub fn move_branch(&self, branch: &str, commit: &str) -> Result<()> {
        run(git(&self.path, &[]).args(["update-ref", &format!("refs/heads/{branch}"), commit])).map(drop)
    }

    /// Takes `branch` away, if it is there.
    ///
    /// # Errors
    /// Git fails.
    pub fn delete_branch(&self, branch: &str) -> Result<()> {
        run(git(&self.path, &[]).args(["update-ref", "-d", &format!("refs/heads/{branch}")])).map(drop)
    }

    /// The commit that `branch` is at, if there is such a branch.
    ///
    /// # Errors
    /// Git fails.
    pub fn branch(&self, branch: &str) -> Result<Option<String>> {
        let name = format!("refs/heads/{branch}");
        let printed = run_text(git(&self.path, &[]).args(["for-each-ref", "--format=%(objectname)", &name]))?;
        Ok((!printed.is_empty()).then_some(printed))
    }

    /// All references by their full names, each with the object that it is at.
    ///
    /// # Errors
    /// Git fails.
    pub fn references(&self) -> Result<BTreeMap<String, String>> {
        let printed =
            run_text(git(&self.path, &[]).args(["for-each-ref", "--format=%(objectname) %(refname)"]))?;
        let pairs = printed.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
    }

    /// The commits of `branch`, newest first.
    ///
    /// # Errors
    /// There is no such branch.
    pub fn log(&self, branch: &str) -> Result<Vec<CommitSummary>> {
        let format = format!("--format=%H{FIELD}%P{FIELD}%an <%ae>{FIELD}%cn <%ce>{FIELD}%B{RECORD}");
        let printed = run_text(git(&self.path, &[]).args(["log", &format, &format!("refs/heads/{branch}")]))?;
        printed
            .split(RECORD)
            .map(str::trim)
            .filter(|record| !record.is_empty())
            .map(parse_commit)
            .collect()
    }

    /// All files of `branch` with their content.
    ///
    /// # Errors
    /// There is no such branch.
    pub fn files(&self, branch: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let revision = format!("refs/heads/{branch}");
        let printed = run(git(&self.path, &[]).args(["ls-tree", "-r", "-z", "--name-only", &revision]))?;
        let names = String::from_utf8(printed).context("a file's name is not UTF-8")?;
        let names = names.split('\0').filter(|name| !name.is_empty());
        names
            .map(|name| {
                let content = run(git(&self.path, &[]).args(["show", &format!("{revision}:{name}")]))?;
                Ok((name.to_owned(), content))
            })
            .collect()
    }

    /// Installs `script` as the hook `name`, such as `pre-receive`.
    ///
    /// # Errors
    /// The repository cannot be written to.
    pub fn install_hook(&self, name: &str, script: &str) -> Result<()> {
        let path = self.path.join("hooks").join(name);
        fs::create_dir_all(self.path.join("hooks")).context("failed to create the folder of hooks")?;
        fs::write(&path, script).with_context(|| format!("failed to write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .context("failed to make a hook executable")
    }

    /// Moves `branch` to `commit` in the middle of the next push: after the server has told the client where the
    /// branch is, before it takes the client's update.
    ///
    /// # Errors
    /// The repository cannot be written to.
    pub fn move_branch_during_next_push(&self, branch: &str, commit: &str) -> Result<()> {
        // Git forbids hooks to update references while it holds the pushed objects apart.
        let script = format!(
            "#!/bin/sh\nset -e\nrm \"$0\"\nunset GIT_QUARANTINE_PATH\nexec git update-ref refs/heads/{branch} {commit}\n"
        );
        self.install_hook("pre-receive", &script)
    }
}

fn parse_commit(record: &str) -> Result<CommitSummary> {
    let mut fields = record.split(FIELD).map(str::to_owned);
    let mut next = || {
        fields
            .next()
            .context("git log printed fewer fields than asked for")
    };
    Ok(CommitSummary {
        id: next()?,
        parents: next()?.split_whitespace().map(str::to_owned).collect(),
        author: next()?,
        committer: next()?,
        message: next()?.trim_end().to_owned(),
    })
}
