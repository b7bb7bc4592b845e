//! A server, a remote, and the canaries that must not show up anywhere.

use std::collections::BTreeMap;

use heddle_git_remote::{
    AddressPolicy, CommitDetails, CommitId, Credentials, Edit, Edits, OutputBranch, Remote, Signature,
};
use heddle_git_server::{Access, Account, GitServer, GitServerOptions};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "canary-password";
pub(crate) const READER_PASSWORD: &str = "canary-reader";

/// A server with an account that may write and one that may read.
pub(crate) struct Fixture {
    pub(crate) server: GitServer,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(adjust: impl FnOnce(&mut GitServerOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = GitServerOptions::new(&directory.path().join("server"));
        options.accounts = vec![
            Account::new("writer", PASSWORD, Access::Write),
            Account::new("reader", READER_PASSWORD, Access::Read),
        ];
        adjust(&mut options);
        Self {
            server: GitServer::start(options).unwrap(),
            directory,
        }
    }

    /// The remote of a repository, as the account that may write.
    pub(crate) fn remote(&self, repository: &str) -> Remote {
        remote(&self.server.url(repository)).with_credentials(self.credentials("writer", PASSWORD))
    }

    pub(crate) fn credentials(&self, username: &str, password: &str) -> Credentials {
        secret(&[
            ("username", username),
            ("password", password),
            ("ca.crt", self.server.ca_pem()),
        ])
    }

    /// A fresh folder.
    pub(crate) fn folder(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

pub(crate) fn secret(entries: &[(&str, &str)]) -> Credentials {
    let data: BTreeMap<String, Vec<u8>> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
        .collect();
    Credentials::from_secret(&data).unwrap()
}

/// A remote that may be on loopback, where the servers of tests are.
pub(crate) fn remote(url: &str) -> Remote {
    Remote::new(url.parse().unwrap()).with_address_policy(AddressPolicy::denying(Vec::new()))
}

pub(crate) fn id(text: &str) -> CommitId {
    text.parse().unwrap()
}

pub(crate) fn edits(files: &[(&str, Option<&str>)]) -> Edits {
    let edit = |content: &Option<&str>| match content {
        Some(content) => Edit::Write(content.as_bytes().to_vec()),
        None => Edit::Delete,
    };
    files
        .iter()
        .map(|(path, content)| ((*path).to_owned(), edit(content)))
        .collect()
}

pub(crate) fn details(message: &str) -> CommitDetails {
    let signature = |name: &str| Signature {
        name: name.to_owned(),
        email: format!("{name}@example.com"),
    };
    CommitDetails {
        author: signature("author"),
        committer: signature("heddle"),
        time: 1_767_225_600,
        message: message.to_owned(),
    }
}

pub(crate) fn commit(branch: &OutputBranch, files: &[(&str, Option<&str>)]) -> CommitId {
    branch
        .commit(&edits(files), &details("generate"))
        .unwrap()
        .unwrap()
}
