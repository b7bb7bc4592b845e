//! How a server is run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::{Access, Account, TlsFiles};

/// How to run a [`crate::GitServer`].
#[derive(Clone, Debug)]
pub struct GitServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where repositories are, and `tls/` when no certificate is given.
    pub data: PathBuf,
    /// Repositories to create at start, such as `team/idl.git`.
    pub repositories: Vec<String>,
    /// Whether a push to a repository that does not exist creates it.
    pub create_on_push: bool,
    /// Who may log in.
    pub accounts: Vec<Account>,
    /// Whether reading needs no login.
    pub anonymous_read: bool,
    /// Whether commits may be fetched by id that no reference points at.
    pub any_commit: bool,
    /// The certificate; made for `names` when missing.
    pub tls: Option<TlsFiles>,
    /// Host names and addresses that a made certificate is for.
    pub names: Vec<String>,
    /// Requests that are redirected.
    pub redirects: Vec<Redirect>,
    /// More git settings for the backend, such as `uploadpack.packObjectsHook`.
    pub settings: BTreeMap<String, String>,
    /// Whether to print a line of JSON for each request.
    pub print_requests: bool,
}

/// A path that is answered with a redirect.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// What the request's path begins with.
    pub from: String,
    /// What takes its place in the `Location`; may be another host's URL.
    pub to: String,
}

impl GitServerOptions {
    /// A server on loopback for one account that may write; its name and password are `writer` and `writer-password`.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: data.to_path_buf(),
            repositories: Vec::new(),
            create_on_push: false,
            accounts: vec![Account::new("writer", "writer-password", Access::Write)],
            anonymous_read: false,
            any_commit: true,
            tls: None,
            names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            redirects: Vec::new(),
            settings: BTreeMap::new(),
            print_requests: false,
        }
    }
}
