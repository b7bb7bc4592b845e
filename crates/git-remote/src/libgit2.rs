//! A libgit2 remote inside a session: connecting, and the callbacks that enforce limits.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use git2::{Direction, RemoteCallbacks, Repository};

use crate::session::Session;
use crate::{GitError, transport};

/// Bytes of servers' side-band messages that are kept; hooks may talk without end.
const MESSAGE_BYTES: usize = 4096;

/// What the server says on the side, for the reason of a refusal.
#[derive(Clone, Default)]
pub(crate) struct Messages(Rc<RefCell<Vec<u8>>>);

impl Messages {
    pub(crate) fn hear(&self, bytes: &[u8]) {
        let mut heard = self.0.borrow_mut();
        let room = MESSAGE_BYTES.saturating_sub(heard.len());
        heard.extend(&bytes[..bytes.len().min(room)]);
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

/// Opens a repository for objects only, in `directory`, which is created when missing.
pub(crate) fn create_repository(directory: &std::path::Path) -> Result<Repository, GitError> {
    transport::prepare()?;
    Repository::init_bare(directory).map_err(|error| local("create a local repository", &error))
}

/// A failure on our own disk.
pub(crate) fn local(step: &'static str, error: &git2::Error) -> GitError {
    GitError::RunGit {
        step,
        reason: error.message().to_owned(),
    }
}

/// Runs `work` with a remote that is connected; `repository` is needed for everything but listing.
pub(crate) fn with_connection<T>(
    session: &Arc<Session>,
    repository: Option<&Repository>,
    direction: Direction,
    step: &'static str,
    work: impl FnOnce(&mut git2::Remote<'_>) -> Result<T, GitError>,
) -> Result<T, GitError> {
    transport::prepare()?;
    session.remote().check()?;
    session.forget_failure();
    let _entered = session.enter();
    let url = session.remote().url.as_str();
    let opened = match repository {
        Some(repository) => repository.remote_anonymous(url),
        None => git2::Remote::create_detached(url),
    };
    let mut opened = opened.map_err(|error| session.explain(step, &error))?;
    // Not `connect_auth`: the transports authenticate by themselves, and libgit2 has nothing to ask us.
    opened
        .connect(direction)
        .map_err(|error| session.explain(step, &error))?;
    work(&mut opened)
}

/// Callbacks that stop a transfer when the session says so.
pub(crate) fn transfer_callbacks<'a>(
    session: &'a Session,
    messages: &Messages,
    mut progress: impl FnMut(&git2::Progress<'_>) + 'a,
) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    let heard = messages.clone();
    callbacks.sideband_progress(move |bytes| {
        heard.hear(bytes);
        true
    });
    callbacks.transfer_progress(move |stats| {
        progress(&stats);
        match check_transfer(session, &stats) {
            Ok(()) => true,
            Err(error) => {
                session.record(error);
                false
            }
        }
    });
    callbacks
}

fn check_transfer(session: &Session, stats: &git2::Progress<'_>) -> Result<(), GitError> {
    session.check()?;
    let allowed = session.remote().limits.objects;
    match stats.total_objects() > allowed {
        true => Err(session.exceed("objects", allowed as u64)),
        false => Ok(()),
    }
}
