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

impl Chat {
    fn new(encoding: Encoding) -> Self {
        Self {
            rooms: Rooms::default(),
            encoding,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let chat = Arc::new(Chat::new(arguments.encoding));
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::ClientRequestBuilder;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    #[tokio::test]
    async fn a_guest_that_says_too_much_at_once_is_told_so() {
        let chat = Arc::new(Chat::new(Encoding::Json));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = {
            let chat = Arc::clone(&chat);
            async move { serve(chat, listener.accept().await.unwrap().0).await }
        };
        chat.tasks.spawn(serving);
        let uri = format!("ws://{address}/chat/lobby").parse().unwrap();
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("chat.v1");
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let text = "a".repeat(1 << 20);
        socket.send(Message::text(text)).await.unwrap();
        let close = loop {
            if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                break frame.unwrap();
            }
        };
        assert_eq!(close.code, CloseCode::Size, "{close:?}");
        drop(socket);
        chat.tasks.close();
        tokio::time::timeout(SHUTDOWN_LIMIT, chat.tasks.wait())
            .await
            .unwrap();
    }
}
