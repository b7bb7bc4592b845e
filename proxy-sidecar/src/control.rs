//! A socket in the state folder by which `heddle-proxy drain` has this process end its sessions, and waits for it. A
//! container's preStop hook runs that: it has no signal to send, and no way to wait otherwise.

use heddle_telemetry::ErrorChain;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The socket's name in the state folder.
const NAME: &str = "control.sock";

/// What is asked, and what is answered when it is done.
const DRAIN: &[u8; 6] = b"drain\n";
const DRAINED: &[u8; 8] = b"drained\n";

/// How long somebody who was told may take to end.
const HANG_UP_LIMIT: Duration = Duration::from_secs(1);

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

/// How long whoever connects may take to say what it wants.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// What follows a failed accept, which is out of file descriptors more often than not.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket, if there is a state folder.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    shared: Arc<Shared>,
    /// Takes those who ask, until the end. Aborted when dropped.
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: CancellationToken,
    /// Those who wait for the end.
    waiting: Mutex<Vec<UnixStream>>,
}

impl ControlSocket {
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, ControlError> {
        let mut socket = Self {
            shared: Arc::default(),
            tasks: JoinSet::new(),
        };
        if let Some(folder) = folder {
            let path = folder.join(NAME);
            let listener = std::fs::create_dir_all(folder)
                .and_then(|()| listen(&path))
                .map_err(|source| ControlError::Listen { path, source })?;
            socket.tasks.spawn(accept(listener, Arc::clone(&socket.shared)));
        }
        Ok(socket)
    }

    /// Waits until somebody asks for it.
    pub(crate) async fn asked_to_drain(&self) {
        self.shared.asked.cancelled().await;
    }

    /// Tells those who wait, whoever asked first and whoever asked while it went on, and waits until they have ended: when
    /// this process is a container's first, its end is that of all others, and a hook that was killed has failed.
    pub(crate) async fn drained(mut self) {
        self.tasks.abort_all();
        let waiting = std::mem::take(&mut *self.shared.waiting());
        for mut stream in waiting {
            // Who has stopped to wait is not told.
            if stream.write_all(DRAINED).await.is_ok() {
                let mut nothing = [0];
                let hangs_up = stream.read(&mut nothing);
                tokio::time::timeout(HANG_UP_LIMIT, hangs_up).await.ok();
            }
        }
        self.tasks.shutdown().await;
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<UnixStream>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever says something else, or nothing, is not answered.
    async fn hear(&self, mut stream: UnixStream) {
        let mut asked = [0; DRAIN.len()];
        let read = tokio::time::timeout(ASK_TIMEOUT, stream.read_exact(&mut asked)).await;
        if matches!(read, Ok(Ok(_))) && asked == *DRAIN {
            self.waiting().push(stream);
            self.asked.cancel();
        }
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move { shared.hear(stream).await });
                }
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "failed to accept whoever asks to drain");
                    tokio::time::sleep(PAUSE).await;
                }
            },
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
