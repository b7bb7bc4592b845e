//! Our transports for libgit2, registered once per process, and the settings that keep libgit2 hermetic.

mod body;
mod http;
mod https;
mod known_hosts;
mod resolve;
mod socket;
mod ssh;
mod tls;

use std::io;
use std::sync::OnceLock;

use git2::transport::{Transport, register};
use git2::{ConfigLevel, Remote};

use crate::GitError;
use crate::session::Session;
use crate::url::Scheme;

/// Registers the transports for https and ssh. Every use of libgit2 in this crate comes after it.
pub(crate) fn prepare() -> Result<(), GitError> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    PREPARED
        .get_or_init(|| configure().map_err(|error| error.message().to_owned()))
        .clone()
        .map_err(|reason| GitError::RunGit {
            step: "prepare libgit2",
            reason,
        })
}

#[expect(
    unsafe_code,
    reason = "libgit2's process-wide settings; the OnceLock above runs this once, before any use"
)]
fn configure() -> Result<(), git2::Error> {
    // A `url.<base>.insteadOf` in somebody's ~/.gitconfig would send us elsewhere than the URL that was checked.
    for level in [
        ConfigLevel::Global,
        ConfigLevel::XDG,
        ConfigLevel::System,
        ConfigLevel::ProgramData,
    ] {
        // SAFETY: nothing else uses libgit2 yet.
        unsafe { git2::opts::set_search_path(level, "")? };
    }
    // SAFETY: as above; the factory only reads a thread-local.
    unsafe {
        // Repositories are made here and by us, also in mounted volumes, whose owner is another user.
        git2::opts::set_verify_owner_validation(false)?;
        register("https", open)?;
        register("ssh", open)
    }
}

fn open(remote: &Remote<'_>) -> Result<Transport, git2::Error> {
    let session = Session::current()
        .ok_or_else(|| git2::Error::from_str("a remote was opened outside of a session of this crate"))?;
    match session.remote().url.scheme() {
        Scheme::Https => Transport::smart(remote, true, https::HttpsTransport::new(session)),
        Scheme::Ssh => Transport::smart(remote, false, ssh::SshTransport::new(session)),
    }
}

/// Records the cause where the caller finds it, and gives libgit2 an error to hand through.
fn fail(session: &Session, error: GitError) -> git2::Error {
    session.record(error);
    git2::Error::new(
        git2::ErrorCode::GenericError,
        git2::ErrorClass::Net,
        "the transport failed",
    )
}

/// [`fail`] for streams, whose errors are `io::Error`s.
fn fail_io(session: &Session, error: GitError) -> io::Error {
    session.record(error);
    io::Error::other("the transport failed")
}

/// The precise error inside `error`, or a broken connection.
fn explain_io(session: &Session, error: io::Error) -> GitError {
    let kind = error.kind();
    let text = error.to_string();
    let Some(inner) = error.into_inner() else {
        return broken(session, kind, &text);
    };
    match inner.downcast::<GitError>() {
        Ok(precise) => *precise,
        Err(other) => match other.downcast::<rustls::Error>() {
            Ok(error) => tls::explain(session, &error),
            Err(_) => broken(session, kind, &text),
        },
    }
}

fn broken(session: &Session, kind: io::ErrorKind, text: &str) -> GitError {
    let reason = match kind {
        io::ErrorKind::ConnectionRefused => "connection refused; nothing listens on this port".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the server broke the connection".to_owned()
        }
        io::ErrorKind::UnexpectedEof => "the server closed the connection early".to_owned(),
        _ => text.to_owned(),
    };
    GitError::Connect {
        authority: session.authority(),
        reason,
    }
}
