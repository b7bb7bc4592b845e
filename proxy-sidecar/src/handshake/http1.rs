//! The handshake with a backend in HTTP/1.1 (RFC 6455, 4.1).

use super::BackendAnswer;
use super::attempt::{Answer, AttemptError, Switched};
use crate::backend::LiveBackend;
use crate::body::{AnswerBody, BodyReader};
use crate::dial::{self, BackendStream};
use crate::fields::{Fields, write_line};
use crate::head::{self, BodyLength, ResponseHead, body_length};
use crate::request::{SessionRequest, VERSION, end_to_end};
use bytes::{Bytes, BytesMut};
use heddle_route_config::Route;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How many answers 1xx may come before the one that counts.
const INTERIM_LIMIT: usize = 8;

/// What most heads that are sent fit in.
const HEAD_CAPACITY: usize = 1024;

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
        return declined(head, stream, buffer);
    }
    check_switch(&head.fields, &key)?;
    let mut fields = end_to_end(head.fields);
    if request.key.is_none() {
        // It answers the key that was made up here; HTTP/2 has neither.
        fields.remove("sec-websocket-accept");
    }
    Ok(Answer::Switched(Switched {
        stream,
        leftover: buffer,
        fields,
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

fn declined(head: ResponseHead, stream: BackendStream, leftover: BytesMut) -> Result<Answer, AttemptError> {
    let length = match head.status {
        204 | 304 => BodyLength::Known(0),
        _ => body_length(&head.fields)
            .map_err(|_| AttemptError::Invalid("the length of the body is ambiguous"))?,
    };
    Ok(Answer::Declined(BackendAnswer {
        status: head.status,
        reason: head.reason,
        fields: end_to_end(head.fields),
        body: AnswerBody::Http1(Box::new(BodyReader::new(stream, leftover, length))),
    }))
}
