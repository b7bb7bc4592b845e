//! One guest in one room.

use crate::Chat;
use crate::message::{Kind, ServerMessage};
use anyhow::{Context, Result};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::broadcast::Sender;
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

/// The longest message of a guest, in bytes.
const MESSAGE_LIMIT: usize = 4096;
/// How long a guest that has said too much may take to hear of it.
const HEARING_LIMIT: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves the session once the connection is switched; a guest that breaks off has left.
pub(crate) async fn run(chat: Arc<Chat>, room: String, guest: String, upgrade: OnUpgrade) {
    if let Err(error) = serve(&chat, &room, &guest, upgrade).await {
        eprintln!("a session has failed: {error:#}");
    }
}

async fn serve(chat: &Chat, room: &str, guest: &str, upgrade: OnUpgrade) -> Result<()> {
    let upgraded = upgrade.await.context("failed to switch protocols")?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
    let (sender, mut receiver) = chat.rooms.enter(room);
    announce(&sender, guest, Kind::Joined, String::new());
    let ended = loop {
        tokio::select! {
            message = socket.next() => match heard(chat, &sender, guest, message) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(refusal) => break close(&mut socket, refusal.code, &refusal.reason).await,
            },
            news = receiver.recv() => match news {
                // What a slow guest has missed is gone; a room has no memory.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break Ok(()),
                Ok(news) => if let Err(error) = tell(chat, &mut socket, &news).await {
                    break Err(error);
                },
            },
            () = chat.shutdown.cancelled() => {
                break close(&mut socket, CloseCode::Away, "the chat ends").await;
            }
        }
    };
    drop(receiver);
    announce(&sender, guest, Kind::Left, String::new());
    ended
}

/// Why a guest has to leave.
struct Refusal {
    code: CloseCode,
    reason: String,
}

/// What has come from the guest; false when it has left.
fn heard(
    chat: &Chat,
    room: &Sender<ServerMessage>,
    guest: &str,
    message: Option<Result<Message, tungstenite::Error>>,
) -> Result<bool, Refusal> {
    match message {
        Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
            let message = chat.encoding.decode(&message).map_err(|error| Refusal {
                code: CloseCode::Invalid,
                reason: error.to_string(),
            })?;
            announce(room, guest, Kind::Said, message.text);
            Ok(true)
        }
        // The library answers pings and Close frames.
        Some(Ok(_)) => Ok(true),
        Some(Err(tungstenite::Error::Capacity(_))) => Err(Refusal {
            code: CloseCode::Size,
            reason: format!("a message has at most {MESSAGE_LIMIT} bytes"),
        }),
        Some(Err(_)) | None => Ok(false),
    }
}

async fn tell(chat: &Chat, socket: &mut Socket, news: &ServerMessage) -> Result<()> {
    let message = chat.encoding.encode(news)?;
    socket.send(message).await.context("failed to send")
}

/// A room that nobody is in any more hears nothing.
fn announce(room: &Sender<ServerMessage>, guest: &str, kind: Kind, text: String) {
    let news = ServerMessage {
        kind: kind.into(),
        guest: guest.to_owned(),
        text,
    };
    if room.send(news).is_err() {
        debug_assert_eq!(room.receiver_count(), 0, "sending fails in an empty room only");
    }
}

async fn close(socket: &mut Socket, code: CloseCode, reason: &str) -> Result<()> {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    socket.close(Some(frame)).await.context("failed to close")?;
    // Until the guest has answered.
    while let Some(message) = socket.next().await {
        if message.is_err() {
            return discard(socket.get_mut()).await;
        }
    }
    Ok(())
}

/// Reads what nobody wants: a connection with unread bytes breaks, and the guest may never see why.
async fn discard(stream: &mut TokioIo<Upgraded>) -> Result<()> {
    stream.shutdown().await.context("failed to close")?;
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(stream, &mut nowhere);
    let read = tokio::time::timeout(HEARING_LIMIT, rest).await;
    read.context("the guest does not leave")?
        .context("failed to close")
        .map(drop)
}
