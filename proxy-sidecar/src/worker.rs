//! Threads that each accept connections and serve them alone. They share no scheduler: a session stays where it was
//! accepted, and no message has to wake another thread.

mod acceptor;

use acceptor::Acceptor;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::shared::Shared;

pub(crate) use acceptor::Socket;

/// Commands that may wait for a thread; they are rare and done at once.
const COMMAND_QUEUE: usize = 64;

/// Why there are no threads to serve with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
    #[error("failed to start a runtime")]
    Runtime(#[source] io::Error),
}

/// What a thread is told.
#[derive(Debug)]
enum Command {
    /// Accept connections here, and no longer where the same port led before.
    Listen(Socket),
    /// No longer accept connections at this port.
    Close(u16),
}

/// The threads.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<Worker>,
    /// Ends connections at once.
    abort: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    commands: mpsc::Sender<Command>,
    thread: thread::JoinHandle<()>,
}

impl Workers {
    /// Starts `count` threads.
    pub(crate) fn start(count: usize, shared: &Arc<Shared>) -> Result<Self, WorkerError> {
        let abort = CancellationToken::new();
        let start = |index| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(WorkerError::Runtime)?;
            let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
            let work = work(receiver, Arc::clone(shared), abort.clone());
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || runtime.block_on(work))
                .map_err(WorkerError::Thread)?;
            Ok(Worker { commands, thread })
        };
        let threads = (0..count).map(start).collect::<Result<_, _>>()?;
        Ok(Self { threads, abort })
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Has each thread accept at one of `sockets`, of which there is one for each.
    pub(crate) async fn listen(&self, sockets: Vec<Socket>) {
        for (worker, socket) in self.threads.iter().zip(sockets) {
            // A thread that is gone accepts nothing.
            worker.commands.send(Command::Listen(socket)).await.ok();
        }
    }

    pub(crate) async fn close(&self, port: u16) {
        for worker in &self.threads {
            worker.commands.send(Command::Close(port)).await.ok();
        }
    }

    /// Accepts nothing any more, waits until all connections have ended, and ends those at once that are left after
    /// `limit`. Whether none was.
    pub(crate) async fn finish(self, limit: Duration) -> bool {
        let Self { threads, abort } = self;
        let mut waiting = Vec::new();
        for Worker { commands, thread } in threads {
            drop(commands);
            waiting.push(tokio::task::spawn_blocking(|| thread.join()));
        }
        let mut all = std::pin::pin!(futures::future::join_all(waiting));
        match tokio::time::timeout(limit, &mut all).await {
            Ok(_) => true,
            Err(_) => {
                abort.cancel();
                all.await;
                false
            }
        }
    }
}

async fn work(mut commands: mpsc::Receiver<Command>, shared: Arc<Shared>, abort: CancellationToken) {
    let connections = TaskTracker::new();
    let mut acceptors: BTreeMap<u16, Acceptor> = BTreeMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(socket) => {
                let port = socket.port;
                match Acceptor::start(socket, &connections, &shared) {
                    Ok(acceptor) => drop(acceptors.insert(port, acceptor)),
                    Err(error) => tracing::error!(port, error = %error, "failed to accept connections"),
                }
            }
            Command::Close(port) => drop(acceptors.remove(&port)),
        }
    }
    drop(acceptors);
    connections.close();
    // What is left is dropped with the runtime.
    tokio::select! {
        () = connections.wait() => {}
        () = abort.cancelled() => {}
    }
}
