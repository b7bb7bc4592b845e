//! A client's connection in HTTP/1.1: one handshake, and then the session or an answer that says why there is none.

mod relay;

use crate::access;
use crate::dial::BackendStream;
use crate::fields::Fields;
use crate::handshake::{self, Arrival, Declined, Established, HEAD_TIMEOUT, SessionOrigin};
use crate::head::{self, HeadError, RequestHead};
use crate::refusal::Refusal;
use crate::request::SessionRequest;
use crate::session::{self, Endpoint};
use crate::transport::Transport;
use bytes::{Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long a client may take to read an answer other than 101, and how long it is waited for that it closes.
const LINGER: Duration = Duration::from_secs(2);

/// The most bytes that are read of what a client still sends after it was refused.
const LINGER_BYTES: usize = 64 * 1024;

/// How long a client may take to read the answer 101: it is shorter than any socket's buffer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What is needed for a session, once both sides have changed to WebSocket.
struct Switched {
    backend: Endpoint<BackendStream>,
    client_leftover: Bytes,
    origin: SessionOrigin,
}

/// Serves one connection to its end.
pub(crate) async fn serve<S: Transport>(mut stream: S, arrival: Arrival) {
    // What the handshake needs is given back before the session, which may last for days.
    let switched = Box::pin(shake_hands(&mut stream, &arrival)).await;
    drop(arrival);
    let Some(switched) = switched else { return };
    let Switched {
        backend,
        client_leftover,
        origin,
    } = *switched;
    let client = Endpoint {
        transport: stream,
        leftover: client_leftover,
    };
    let context = origin.route.session_context();
    let record = access::SessionRecord::begin(origin);
    let leftover = backend.leftover;
    let end = match backend.transport {
        BackendStream::Plain(transport) => {
            session::run(client, Endpoint { transport, leftover }, context).await
        }
        BackendStream::Other(transport) => {
            session::run(client, Endpoint { transport, leftover }, context).await
        }
    };
    record.finish(&end);
}

async fn shake_hands<S: Transport>(stream: &mut S, arrival: &Arrival) -> Option<Box<Switched>> {
    let mut buffer = BytesMut::new();
    let request = match read_request(stream, &mut buffer).await {
        Ok(request) => request,
        Err(refusal) => {
            if let Some(refusal) = refusal {
                arrival.shared.metrics.refused(refusal);
                refuse(stream, refusal).await;
            }
            return None;
        }
    };
    match handshake::establish(request, arrival).await {
        Ok(established) => {
            let Established {
                stream: backend,
                leftover,
                fields,
                origin,
            } = established;
            let head = switching_head(&fields);
            timeout(ANSWER_TIMEOUT, write(stream, &head)).await.ok()?.ok()?;
            access::established(&origin);
            Some(Box::new(Switched {
                backend: Endpoint {
                    transport: backend,
                    leftover: compact(leftover),
                },
                client_leftover: compact(buffer),
                origin,
            }))
        }
        Err(Declined::Refused(refusal)) => {
            refuse(stream, refusal).await;
            None
        }
        Err(Declined::Answered {
            head,
            stream: backend,
            leftover,
        }) => {
            match relay::relay(head, backend, leftover, stream).await {
                Ok(()) => linger(stream).await,
                Err(relay::RelayError::Framing) => refuse(stream, Refusal::BadGateway).await,
                Err(error) => tracing::debug!(
                    error = %heddle_telemetry::ErrorChain(&error),
                    "failed to relay a backend's answer"
                ),
            }
            None
        }
    }
}

/// The request, or what is to be said about it: nothing to a client that has gone.
async fn read_request<S: Transport>(
    stream: &mut S,
    buffer: &mut BytesMut,
) -> Result<SessionRequest, Option<Refusal>> {
    let read = timeout(HEAD_TIMEOUT, head::read(stream, buffer)).await;
    let of_head = |error: HeadError| Refusal::of_head(&error);
    let head = read.map_err(|_| Some(Refusal::HeadTimeout))?.map_err(of_head)?;
    let head = RequestHead::parse(&head).map_err(of_head)?;
    SessionRequest::from_http1(head).map_err(Some)
}

/// A copy of its own of the few bytes there are, so that the buffer of the handshake is given back.
fn compact(leftover: BytesMut) -> Bytes {
    match leftover.is_empty() {
        true => Bytes::new(),
        false => Bytes::copy_from_slice(&leftover),
    }
}

fn switching_head(fields: &Fields) -> Vec<u8> {
    let mut head =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".to_vec();
    fields.write(&mut head);
    head.extend_from_slice(b"\r\n");
    head
}

async fn write<S: Transport>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Says why there is no session, and closes so that the client gets to read it.
async fn refuse<S: Transport>(stream: &mut S, refusal: Refusal) {
    let answer = refusal.to_http1();
    if let Ok(Ok(())) = timeout(LINGER, write(stream, &answer)).await {
        linger(stream).await;
    }
}

/// Closes the sending side and reads on for a moment: closing with unread bytes would reset the connection, and the
/// client could lose the answer (RFC 9112, 9.6).
async fn linger<S: Transport>(stream: &mut S) {
    let drain = async {
        stream.shutdown().await?;
        let mut sink = [0; 1024];
        let mut read = 0;
        while read < LINGER_BYTES {
            match stream.read(&mut sink).await? {
                0 => break,
                count => read += count,
            }
        }
        Ok::<_, io::Error>(())
    };
    // Whatever comes of it, the connection is dropped next.
    timeout(LINGER, drain).await.ok();
}
