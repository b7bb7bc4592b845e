//! A socket in the state folder by which `heddle-proxy drain` has this process end its sessions, and waits for it. A
//! container's preStop hook runs that: it has no signal to send, and no way to wait otherwise.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// The socket's name in the state folder.
const NAME: &str = "control.sock";

/// What is asked, and what is answered when it is done.
const DRAIN: &[u8; 6] = b"drain\n";
const DRAINED: &[u8; 8] = b"drained\n";

/// How long somebody who was told may take to end.
const HANG_UP_LIMIT: Duration = Duration::from_secs(1);

/// How long somebody who has connected may take to ask. Nobody else is heard meanwhile.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// What follows a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Why a process cannot be asked to drain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("failed to listen at {}", path.display())]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to reach the proxy at {}", path.display())]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to have the proxy drain")]
    Ask(#[source] io::Error),
    #[error("failed to wait until the proxy has drained: it ended before")]
    Ended,
}

/// The socket, if there is a state folder.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: Option<UnixListener>,
    /// Those who wait for the end.
    waiting: Mutex<Vec<UnixStream>>,
}

impl ControlSocket {
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, ControlError> {
        let listener = folder.map(|folder| {
            let path = folder.join(NAME);
            std::fs::create_dir_all(folder)
                .and_then(|()| listen(&path))
                .map_err(|source| ControlError::Listen { path, source })
        });
        Ok(Self {
            listener: listener.transpose()?,
            waiting: Mutex::default(),
        })
    }

    /// Waits until somebody asks for it. Not to be dropped before: whoever is about to ask would be told that the proxy
    /// has ended.
    pub(crate) async fn asked_to_drain(&self) {
        let Some(listener) = &self.listener else {
            return std::future::pending().await;
        };
        loop {
            // Whoever says something else, or nothing, is not answered.
            let Ok((mut stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let mut asked = [0; DRAIN.len()];
            let read = timeout(ASK_TIMEOUT, stream.read_exact(&mut asked)).await;
            if matches!(read, Ok(Ok(_))) && asked == *DRAIN {
                self.waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(stream);
                return;
            }
        }
    }

    /// Tells those who wait, and waits until they have ended: when this process is a container's first, its end is that
    /// of all others, and a hook that was killed has failed.
    pub(crate) async fn drained(self) {
        for mut stream in self.waiting.into_inner().unwrap_or_else(PoisonError::into_inner) {
            // Who has stopped to wait is not told.
            if stream.write_all(DRAINED).await.is_ok() {
                let mut nothing = [0];
                let hangs_up = stream.read(&mut nothing);
                timeout(HANG_UP_LIMIT, hangs_up).await.ok();
            }
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Of a process that is no more; a living one in this folder would be another container's fault.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Asks the process whose state folder this is to drain, and waits until it has.
pub(crate) fn drain(folder: &Path) -> Result<(), ControlError> {
    let path = folder.join(NAME);
    let mut stream =
        StdUnixStream::connect(&path).map_err(|source| ControlError::Connect { path, source })?;
    stream.write_all(DRAIN).map_err(ControlError::Ask)?;
    let mut answer = Vec::new();
    (&stream)
        .take(DRAINED.len() as u64)
        .read_to_end(&mut answer)
        .map_err(ControlError::Ask)?;
    if answer != DRAINED {
        return Err(ControlError::Ended);
    }
    // It is closed by this process's end, which is what the other side waits for.
    std::mem::forget(stream);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_folder_that_is_not_there_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("run/heddle");
        let _socket = ControlSocket::open(Some(&folder)).unwrap();
        StdUnixStream::connect(folder.join(NAME)).unwrap();
    }

    #[tokio::test]
    async fn who_is_told_has_ended_before_the_proxy_does() {
        let folder = tempfile::tempdir().unwrap();
        let socket = ControlSocket::open(Some(folder.path())).unwrap();
        let mut hook = UnixStream::connect(folder.path().join(NAME)).await.unwrap();
        hook.write_all(DRAIN).await.unwrap();
        socket.asked_to_drain().await;
        let mut drained = std::pin::pin!(socket.drained());
        assert!(futures::poll!(&mut drained).is_pending());
        let mut answer = [0; DRAINED.len()];
        hook.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, DRAINED);
        assert!(futures::poll!(&mut drained).is_pending());
        drop(hook);
        drained.await;
    }
}
