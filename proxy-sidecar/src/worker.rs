//! Threads that serve connections. They share no scheduler: a session is served by one thread, and no message has to wake
//! another. Threads are filled one after the other, and one that has too much gives sessions to one that has little.

mod acceptor;
mod balancer;
mod crew;
mod policy;
mod processors;

use acceptor::Acceptor;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

pub(crate) use acceptor::Socket;
pub(crate) use crew::{Crew, Seat};

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
    crew: Arc<Crew>,
    /// What looks at how busy they are.
    balancer: JoinSet<()>,
    /// Ends connections at once.
    abort: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    commands: mpsc::Sender<Command>,
    thread: thread::JoinHandle<()>,
}

impl Workers {
    /// Starts `count` threads, from within a runtime that balances them.
    pub(crate) fn start(count: usize, shared: &Arc<Shared>) -> Result<Self, WorkerError> {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtimes: Vec<_> = (0..count)
            .map(|_| runtime())
            .collect::<Result<_, _>>()
            .map_err(WorkerError::Runtime)?;
        let handles = runtimes.iter().map(|runtime| runtime.handle().clone());
        let crew = Arc::new(Crew::new(handles, shared.metrics.clone()));
        let abort = CancellationToken::new();
        let start = |(index, runtime): (usize, Runtime)| {
            let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
            let post = Post {
                crew: Arc::clone(&crew),
                index,
                shared: Arc::clone(shared),
            };
            let work = work(receiver, post, abort.clone());
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || runtime.block_on(work))
                .map_err(WorkerError::Thread)?;
            Ok(Worker { commands, thread })
        };
        let threads = runtimes
            .into_iter()
            .enumerate()
            .map(start)
            .collect::<Result<_, _>>()?;
        let mut balancer = JoinSet::new();
        if count > 1 {
            balancer.spawn(balancer::balance(Arc::clone(&crew)));
        }
        Ok(Self {
            threads,
            crew,
            balancer,
            abort,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Has threads accept at `sockets`, of which there is one for each.
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
        let Self {
            threads,
            crew,
            mut balancer,
            abort,
        } = self;
        tracing::debug!(connections = crew.tasks().len(), "waiting for connections to end");
        let mut waiting = Vec::new();
        for Worker { commands, thread } in threads {
            drop(commands);
            waiting.push(tokio::task::spawn_blocking(|| thread.join()));
        }
        let mut all = std::pin::pin!(futures::future::join_all(waiting));
        let have_ended = tokio::time::timeout(limit, &mut all).await.is_ok();
        if !have_ended {
            abort.cancel();
            all.await;
        }
        balancer.shutdown().await;
        have_ended
    }
}

/// A thread's place among the others.
#[derive(Clone, Debug)]
struct Post {
    crew: Arc<Crew>,
    index: usize,
    shared: Arc<Shared>,
}

async fn work(mut commands: mpsc::Receiver<Command>, post: Post, abort: CancellationToken) {
    post.crew.begin(post.index);
    let tasks = post.crew.tasks();
    // Nobody takes connections to have ended while this one may still accept some.
    let commanded = tasks.token();
    let mut acceptors: BTreeMap<u16, Acceptor> = BTreeMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(socket) => {
                let port = socket.port;
                drop(acceptors.insert(port, Acceptor::start(socket, post.clone())));
            }
            Command::Close(port) => drop(acceptors.remove(&port)),
        }
    }
    drop((acceptors, commanded));
    tasks.close();
    // What is left is dropped with the runtime.
    tokio::select! {
        () = tasks.wait() => {}
        () = abort.cancelled() => {}
    }
}

#[cfg(test)]
mod tests;
