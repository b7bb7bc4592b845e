//! One handshake with one backend.

use crate::backend::LiveBackend;
use crate::dial::{self, BackendStream, DialError};
use crate::fields::{Fields, write_line};
use crate::head::{self, HeadError, ResponseHead};
use crate::refusal::Refusal;
use crate::request::{SessionRequest, VERSION, end_to_end};
use bytes::{Bytes, BytesMut};
use heddle_route_config::Route;
use std::io;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How many answers 1xx may come before the one that counts.
const INTERIM_LIMIT: usize = 8;

/// What most heads that are sent fit in.
const HEAD_CAPACITY: usize = 1024;

/// What a backend has said.
pub(super) enum Answer {
    Switched(Switched),
    Declined {
        head: ResponseHead,
        stream: BackendStream,
        leftover: BytesMut,
    },
}

/// A backend that has changed to WebSocket.
pub(super) struct Switched {
    pub(super) stream: BackendStream,
    pub(super) leftover: BytesMut,
    /// Those that are meant for the client.
    pub(super) fields: Fields,
}

/// Why a backend has not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("failed to send the handshake to the backend")]
    Send(#[source] io::Error),
    #[error("failed to receive the backend's answer")]
    Receive(#[source] HeadError),
    #[error("failed to receive the backend's answer in time")]
    NoAnswer,
    #[error("failed to understand the backend's answer: {0}")]
    Invalid(&'static str),
}

impl AttemptError {
    /// Whether another backend may be tried: not when this one takes the session to be open.
    pub(super) fn may_retry(&self) -> bool {
        !matches!(self, Self::Invalid(_))
    }

    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::NoAnswer | Self::Dial(DialError::Timeout) => Refusal::GatewayTimeout,
            _ => Refusal::BadGateway,
        }
    }
}

/// Connects, asks and waits for the answer.
pub(super) async fn attempt(
    request: &SessionRequest,
    backend: &LiveBackend,
    route: &Route,
) -> Result<Answer, AttemptError> {
    let mut stream = dial::dial(backend, route.timeouts.connect).await?;
    let key = match &request.key {
        Some(key) => key.clone(),
        None => Bytes::from(generate_key()),
    };
    let head = request_head(request, &key);
    stream.write_all(&head).await.map_err(AttemptError::Send)?;
    stream.flush().await.map_err(AttemptError::Send)?;
    drop(head);
    let mut buffer = BytesMut::new();
    let head = final_head(&mut stream, &mut buffer).await?;
    if head.status != 101 {
        return Ok(Answer::Declined {
            head,
            stream,
            leftover: buffer,
        });
    }
    check_switch(&head.fields, &key)?;
    Ok(Answer::Switched(Switched {
        stream,
        leftover: buffer,
        fields: answer_fields(head.fields),
    }))
}

/// The handshake as the backend gets it.
fn request_head(request: &SessionRequest, key: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_CAPACITY);
    head.extend_from_slice(b"GET ");
    head.extend_from_slice(&request.target);
    head.extend_from_slice(b" HTTP/1.1\r\n");
    write_line(&mut head, b"Host", request.host.as_bytes());
    head.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    write_line(&mut head, b"Sec-WebSocket-Key", key);
    if !request.fields.has("sec-websocket-version") {
        write_line(&mut head, b"Sec-WebSocket-Version", VERSION.as_bytes());
    }
    request.fields.write(&mut head);
    head.extend_from_slice(b"\r\n");
    head
}

/// The head of the answer that counts: interim ones are for this hop alone.
async fn final_head(stream: &mut BackendStream, buffer: &mut BytesMut) -> Result<ResponseHead, AttemptError> {
    for _ in 0..INTERIM_LIMIT {
        let head = head::read(stream, buffer).await.map_err(AttemptError::Receive)?;
        let head = ResponseHead::parse(&head).map_err(AttemptError::Receive)?;
        match head.status {
            101 | 200.. => return Ok(head),
            _ => {}
        }
    }
    Err(AttemptError::Invalid("too many interim answers"))
}

/// Whether the backend really speaks WebSocket from now on (RFC 6455, 4.1).
fn check_switch(fields: &Fields, key: &[u8]) -> Result<(), AttemptError> {
    if !fields.has_token("upgrade", "websocket") || !fields.has_token("connection", "upgrade") {
        return Err(AttemptError::Invalid("101 without Upgrade: websocket"));
    }
    match fields.one("sec-websocket-accept") {
        Ok(Some(accept)) if accept == derive_accept_key(key).as_bytes() => Ok(()),
        _ => Err(AttemptError::Invalid("101 with a wrong Sec-WebSocket-Accept")),
    }
}

/// What of an answer is for the client. `Sec-WebSocket-Accept` depends on the key, which is the client's own in HTTP/1.1.
fn answer_fields(fields: Fields) -> Fields {
    end_to_end(fields)
}
