//! What can go wrong with a remote, whose fault it is, and what to do about it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{CommitId, SecretKey};

/// A failed Git operation. The text says what failed, where and what to do, in one line; neither it nor `Debug`
/// contains a secret. Text from servers in it is bounded and free of control characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The URL of a remote is not one that is admitted.
    #[error("failed to read the repository's URL: {reason}")]
    ParseUrl {
        /// What is wrong; never the URL itself, which may hold a pasted token.
        reason: String,
    },
    /// A key of the Secret is missing or unusable.
    #[error("failed to read credentials: key {key} {reason}")]
    ReadCredentials {
        /// The key to look at.
        key: SecretKey,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder that a Secret is mounted at cannot be read.
    #[error("failed to read credentials from {}", directory.display())]
    OpenCredentials {
        /// The folder.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Name resolution found no address.
    #[error("failed to find the host {host:?}: {reason}; check its spelling in the URL, and DNS")]
    FindHost {
        /// The host of the URL.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// No connection could be made, or it broke.
    #[error("failed to connect to {authority}: {reason}")]
    Connect {
        /// `host:port`.
        authority: String,
        /// What the network said.
        reason: String,
    },
    /// A time limit passed.
    #[error("failed to hear from {authority} in time: {step} took more than {} s", limit.as_secs_f32())]
    Wait {
        /// `host:port`.
        authority: String,
        /// What was waited for.
        step: &'static str,
        /// The limit that passed.
        limit: Duration,
    },
    /// The server's certificate is not to be trusted.
    #[error("failed to trust the certificate of {authority}: {reason}; {remedy}")]
    TrustCertificate {
        /// `host:port`.
        authority: String,
        /// What is wrong with the certificate.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The ssh server's key is not the one in `known_hosts`.
    #[error(
        "failed to trust the ssh host key of {authority}: {reason}; if the key {fingerprint} is right, put it into known_hosts"
    )]
    TrustHostKey {
        /// `host:port`.
        authority: String,
        /// Unknown or changed.
        reason: String,
        /// Type and SHA-256 fingerprint of the key shown by the server, as `ssh-keygen -l` prints it.
        fingerprint: String,
    },
    /// The server wants other credentials, or the account lacks rights.
    #[error("failed to authenticate to {remote}: {reason}")]
    Authenticate {
        /// The remote's URL.
        remote: String,
        /// What was refused and what to do.
        reason: String,
    },
    /// There is no repository at the URL, or the account may not see it.
    #[error(
        "failed to find a repository at {remote}: {reason}; check the path in the URL and the account's access"
    )]
    FindRepository {
        /// The remote's URL.
        remote: String,
        /// What the server answered.
        reason: String,
    },
    /// The repository has no such branch or tag.
    #[error("failed to find {wanted}{}", suggestion(near))]
    FindReference {
        /// What was looked for, such as `branch mian`.
        wanted: String,
        /// Names that are close to it, best first.
        near: Vec<String>,
    },
    /// The repository does not have the commit, or not where it was looked for.
    #[error("failed to find commit {commit} in {remote}: {reason}")]
    FindCommit {
        /// The remote's URL.
        remote: String,
        /// The commit wanted.
        commit: CommitId,
        /// How it was looked for.
        reason: String,
    },
    /// The host's address is one that must not be connected to.
    #[error(
        "failed to connect to {host}: its address {address} is one that this operator refuses to connect to"
    )]
    RefuseAddress {
        /// The host of the URL.
        host: String,
        /// The address it resolved to.
        address: IpAddr,
    },
    /// The server redirected elsewhere.
    #[error(
        "failed to read {remote}: the server redirects to {target}, which is not followed; use the final URL"
    )]
    RefuseRedirect {
        /// The remote's URL.
        remote: String,
        /// Host and port redirected to, without the path.
        target: String,
    },
    /// A limit on size or count was passed.
    #[error("failed to stay within limits with {remote}: more than {allowed} {what}")]
    ExceedLimit {
        /// The remote's URL.
        remote: String,
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        allowed: u64,
    },
    /// The operation was stopped by its [`crate::Cancellation`].
    #[error("failed to finish with {remote}: cancelled")]
    Cancel {
        /// The remote's URL.
        remote: String,
    },
    /// The server said no for a reason of its own, such as a hook or a protected branch.
    #[error("failed to get consent from {remote}: {reason}")]
    Reject {
        /// The remote's URL.
        remote: String,
        /// The server's words.
        reason: String,
    },
    /// The server failed or is overloaded.
    #[error("failed to get an answer from {remote}: HTTP status {status} {reason}")]
    Serve {
        /// The remote's URL.
        remote: String,
        /// The HTTP status.
        status: u16,
        /// The server's words, possibly none.
        reason: String,
    },
    /// A path in an edit cannot be in a Git tree.
    #[error("failed to put {path:?} into a tree: {reason}")]
    PlacePath {
        /// The path given.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Git or the local disk failed in a way that is none of the above.
    #[error("failed to {step}: {reason}")]
    RunGit {
        /// What was being done.
        step: &'static str,
        /// libgit2's words.
        reason: String,
    },
}

/// The class of a [`GitError`]; stable, meant for conditions and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GitErrorKind {
    /// The host's name does not resolve.
    HostUnknown,
    /// Refused, unreachable, reset, or not speaking the protocol.
    ConnectionFailed,
    /// A time limit passed.
    Timeout,
    /// The TLS certificate is not trusted.
    TlsNotTrusted,
    /// The ssh host key is not in `known_hosts`.
    HostKeyNotTrusted,
    /// Credentials missing, wrong or without the right needed.
    AuthenticationFailed,
    /// No repository at the URL.
    RepositoryNotFound,
    /// No such branch, tag or version.
    ReferenceNotFound,
    /// No such commit.
    CommitNotFound,
    /// The address policy denies the host's address.
    AddressRefused,
    /// A redirect to somewhere else.
    RedirectRefused,
    /// Too many bytes, objects or references.
    LimitExceeded,
    /// Stopped by the caller.
    Cancelled,
    /// The server refused for a reason of its own.
    Rejected,
    /// The URL is not admitted.
    InvalidUrl,
    /// The Secret is incomplete or malformed.
    InvalidCredentials,
    /// Anything else.
    Other,
}

impl GitError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> GitErrorKind {
        match self {
            Self::ParseUrl { .. } => GitErrorKind::InvalidUrl,
            Self::ReadCredentials { .. } | Self::OpenCredentials { .. } => GitErrorKind::InvalidCredentials,
            Self::FindHost { .. } => GitErrorKind::HostUnknown,
            Self::Connect { .. } => GitErrorKind::ConnectionFailed,
            Self::Wait { .. } => GitErrorKind::Timeout,
            Self::TrustCertificate { .. } => GitErrorKind::TlsNotTrusted,
            Self::TrustHostKey { .. } => GitErrorKind::HostKeyNotTrusted,
            Self::Authenticate { .. } => GitErrorKind::AuthenticationFailed,
            Self::FindRepository { .. } => GitErrorKind::RepositoryNotFound,
            Self::FindReference { .. } => GitErrorKind::ReferenceNotFound,
            Self::FindCommit { .. } => GitErrorKind::CommitNotFound,
            Self::RefuseAddress { .. } => GitErrorKind::AddressRefused,
            Self::RefuseRedirect { .. } => GitErrorKind::RedirectRefused,
            Self::ExceedLimit { .. } => GitErrorKind::LimitExceeded,
            Self::Cancel { .. } => GitErrorKind::Cancelled,
            Self::Reject { .. } => GitErrorKind::Rejected,
            Self::Serve { .. } | Self::PlacePath { .. } | Self::RunGit { .. } => GitErrorKind::Other,
        }
    }

    /// Whether trying again later may succeed although nobody changes the specification, the Secret or the
    /// repository: name resolution, connections, time limits, and servers that are overloaded.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::FindHost { .. } | Self::Connect { .. } | Self::Wait { .. } => true,
            Self::Serve { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

impl GitErrorKind {
    /// The kind in CamelCase, as conditions' reasons and labels of metrics are written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostUnknown => "HostUnknown",
            Self::ConnectionFailed => "ConnectionFailed",
            Self::Timeout => "Timeout",
            Self::TlsNotTrusted => "TlsNotTrusted",
            Self::HostKeyNotTrusted => "HostKeyNotTrusted",
            Self::AuthenticationFailed => "AuthenticationFailed",
            Self::RepositoryNotFound => "RepositoryNotFound",
            Self::ReferenceNotFound => "ReferenceNotFound",
            Self::CommitNotFound => "CommitNotFound",
            Self::AddressRefused => "AddressRefused",
            Self::RedirectRefused => "RedirectRefused",
            Self::LimitExceeded => "LimitExceeded",
            Self::Cancelled => "Cancelled",
            Self::Rejected => "Rejected",
            Self::InvalidUrl => "InvalidUrl",
            Self::InvalidCredentials => "InvalidCredentials",
            Self::Other => "Other",
        }
    }
}

impl fmt::Display for GitErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [first @ .., last] => format!("; did you mean {} or {last}?", first.join(", ")),
    }
}
