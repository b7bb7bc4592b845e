//! Hands an answer other than 101 on to the client: status, fields and body, as the backend gave them.

use crate::body::{BODY_TIMEOUT, BodyError};
use crate::fields::write_line;
use crate::handshake::BackendAnswer;
use crate::head::BodyLength;
use heddle_ws_session::Transport;
use std::io;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// Why a client has not got the whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("failed to send the answer to the client")]
    Send(#[source] io::Error),
}

/// Relays the answer. The client's connection is to be closed afterwards; it was told so.
pub(super) async fn relay<S: Transport>(mut answer: BackendAnswer, client: &mut S) -> Result<(), RelayError> {
    let head = answer_head(&answer);
    let relay = async {
        client.write_all(&head).await.map_err(RelayError::Send)?;
        let is_chunked = answer.body.length() == BodyLength::Chunked;
        while let Some(piece) = answer.body.next().await? {
            if is_chunked {
                let size = format!("{:x}\r\n", piece.len());
                client
                    .write_all(size.as_bytes())
                    .await
                    .map_err(RelayError::Send)?;
            }
            client.write_all(&piece).await.map_err(RelayError::Send)?;
            if is_chunked {
                client.write_all(b"\r\n").await.map_err(RelayError::Send)?;
            }
            client.flush().await.map_err(RelayError::Send)?;
        }
        if is_chunked {
            client.write_all(b"0\r\n\r\n").await.map_err(RelayError::Send)?;
        }
        client.flush().await.map_err(RelayError::Send)
    };
    timeout(BODY_TIMEOUT, relay)
        .await
        .unwrap_or(Err(BodyError::Timeout.into()))
}

fn answer_head(answer: &BackendAnswer) -> Vec<u8> {
    let status = answer.status;
    let mut head = format!("HTTP/1.1 {status} ").into_bytes();
    head.extend_from_slice(&answer.reason);
    head.extend_from_slice(b"\r\n");
    answer.fields.write(&mut head);
    match (status, answer.body.length()) {
        (204 | 304, _) | (_, BodyLength::Unsaid) => {}
        (_, BodyLength::Known(length)) => {
            write_line(&mut head, b"Content-Length", length.to_string().as_bytes())
        }
        (_, BodyLength::Chunked) => write_line(&mut head, b"Transfer-Encoding", b"chunked"),
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    head
}
