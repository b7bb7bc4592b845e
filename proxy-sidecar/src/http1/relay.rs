//! Hands an answer other than 101 on to the client: status, fields and body, as the backend gave them.

use crate::body::{BodyError, BodyReader};
use crate::dial::BackendStream;
use crate::fields::write_line;
use crate::head::{BodyLength, ResponseHead, body_length};
use crate::request::end_to_end;
use crate::transport::Transport;
use bytes::BytesMut;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// How long the body of an answer may take in all.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a client has not got the whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    /// Nothing of it has been sent.
    #[error("failed to understand how long the body is")]
    Framing,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("failed to send the answer to the client")]
    Send(#[source] io::Error),
    #[error("failed to relay the body in time")]
    Timeout,
}

/// Relays the answer. The client's connection is to be closed afterwards; it was told so.
pub(super) async fn relay<S: Transport>(
    head: ResponseHead,
    backend: BackendStream,
    leftover: BytesMut,
    client: &mut S,
) -> Result<(), RelayError> {
    let length = match head.status {
        204 | 304 => BodyLength::Known(0),
        _ => body_length(&head.fields).map_err(|_| RelayError::Framing)?,
    };
    let head = answer_head(head, length);
    let relay = async {
        client.write_all(&head).await.map_err(RelayError::Send)?;
        let mut body = BodyReader::new(backend, leftover, length);
        while let Some(piece) = body.next().await? {
            if length == BodyLength::Chunked {
                let size = format!("{:x}\r\n", piece.len());
                client
                    .write_all(size.as_bytes())
                    .await
                    .map_err(RelayError::Send)?;
            }
            client.write_all(&piece).await.map_err(RelayError::Send)?;
            if length == BodyLength::Chunked {
                client.write_all(b"\r\n").await.map_err(RelayError::Send)?;
            }
            client.flush().await.map_err(RelayError::Send)?;
        }
        if length == BodyLength::Chunked {
            client.write_all(b"0\r\n\r\n").await.map_err(RelayError::Send)?;
        }
        client.flush().await.map_err(RelayError::Send)
    };
    timeout(BODY_TIMEOUT, relay)
        .await
        .unwrap_or(Err(RelayError::Timeout))
}

fn answer_head(head: ResponseHead, length: BodyLength) -> Vec<u8> {
    let ResponseHead {
        status,
        reason,
        version: _,
        fields,
    } = head;
    let mut answer = format!("HTTP/1.1 {status} ").into_bytes();
    answer.extend_from_slice(&reason);
    answer.extend_from_slice(b"\r\n");
    end_to_end(fields).write(&mut answer);
    match (status, length) {
        (204 | 304, _) | (_, BodyLength::Unsaid) => {}
        (_, BodyLength::Known(length)) => {
            write_line(&mut answer, b"Content-Length", length.to_string().as_bytes())
        }
        (_, BodyLength::Chunked) => write_line(&mut answer, b"Transfer-Encoding", b"chunked"),
    }
    answer.extend_from_slice(b"Connection: close\r\n\r\n");
    answer
}
