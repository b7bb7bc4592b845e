//! A chat over WebSockets, to put a WsRoute in front of: `/` is a page with a client, `/chat/<room>` is the room.

mod http;
mod message;
mod room;
mod session;

use anyhow::{Context, Result};
use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use message::Encoding;
use room::Rooms;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a request's head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long sessions may take to end when the chat does.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// A chat over WebSockets.
#[derive(Parser)]
struct Arguments {
    /// Where it listens.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// How messages are encoded: `json`, or `protobuf` as `idl/chat/v1/chat.proto` has it.
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    encoding: Encoding,
}

/// What all sessions share.
struct Chat {
    rooms: Rooms,
    encoding: Encoding,
    /// Cancelled when the program shall end.
    shutdown: CancellationToken,
    /// Everything that is served.
    tasks: TaskTracker,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let chat = Arc::new(Chat {
        rooms: Rooms::default(),
        encoding: arguments.encoding,
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
    });
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("failed to listen on {}", arguments.listen))?;
    println!("listening on {}", listener.local_addr()?);
    let mut terminated = signal(SignalKind::terminate()).context("failed to listen for signals")?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("failed to accept a connection")?;
                chat.tasks.spawn(serve(Arc::clone(&chat), stream));
            }
            _ = terminated.recv() => break,
        }
    }
    chat.shutdown.cancel();
    chat.tasks.close();
    // Those who have not left by then are left behind.
    let ended = tokio::time::timeout(SHUTDOWN_LIMIT, chat.tasks.wait()).await;
    ended.context("some sessions have not ended in time")
}

/// One connection; a peer that breaks off ends it as well as any.
async fn serve(chat: Arc<Chat>, stream: TcpStream) {
    let service = service_fn(|request| http::answer(Arc::clone(&chat), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            eprintln!("a connection has failed: {error}");
        },
        () = chat.shutdown.cancelled() => {}
    }
}
