//! A client's connection in HTTP/1.1: one handshake, and then the session or an answer that says why there is none.

mod relay;

use crate::access::{self, MaybeTcp};
use crate::dial::BackendStream;
use crate::fields::Fields;
use crate::handshake::{self, Arrival, Declined, Established, SessionOrigin};
use crate::head::{self, RequestHead};
use crate::http2::{self, Prefixed};
use crate::refusal::Refusal;
use crate::request::SessionRequest;
use crate::worker::Seat;
use bytes::{Bytes, BytesMut};
use heddle_ws_session::Endpoint;
use heddle_ws_session::Transport;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{timeout, timeout_at};

/// How long a client may take to read an answer other than 101, and how long it is waited for that it closes.
const LINGER: Duration = Duration::from_secs(2);

/// The most bytes that are read of what a client still sends after it was refused.
const LINGER_BYTES: usize = 64 * 1024;

/// The most bytes that are read before a client is answered; no well-behaved one sends any.
const LEFTOVER_LIMIT: usize = 16 * 1024;

/// What a read before the answer makes room for.
const LEFTOVER_READ: usize = 512;

/// How HTTP/2 begins where nobody has agreed on it before (RFC 9113, 3.4), as far as it looks like a head.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// How long a client may take to read the answer 101: it is shorter than any socket's buffer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection has come to.
enum Outcome {
    /// Both sides have changed to WebSocket.
    Session(Box<Switched>),
    /// The client began to speak HTTP/2, with these bytes.
    Http2(Bytes),
    /// There is nothing more to do.
    Ended,
}

/// What is needed for a session.
struct Switched {
    backend: Endpoint<BackendStream>,
    client_leftover: Bytes,
    origin: SessionOrigin,
}

/// Serves one connection to its end.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn has room for its arguments twice, and sessions last"
)]
pub(crate) fn serve<S: MaybeTcp>(
    mut stream: S,
    arrival: Arrival,
    seat: Seat,
) -> impl Future<Output = ()> + Send {
    async move {
        // What the handshake needs is given back before the session, which may last for days.
        match Box::pin(shake_hands(&mut stream, &arrival)).await {
            Outcome::Session(switched) => {
                drop(arrival);
                switched.converse(stream, seat).await;
            }
            Outcome::Http2(prefix) => {
                let stream: Box<dyn Transport> = Box::new(Prefixed::new(prefix, stream));
                Box::pin(http2::serve(stream, arrival, seat.tasks().clone())).await;
            }
            Outcome::Ended => {}
        }
    }
}

impl Switched {
    fn converse<S: MaybeTcp>(self: Box<Self>, stream: S, seat: Seat) -> impl Future<Output = ()> + Send {
        let Self {
            backend,
            client_leftover: leftover,
            origin,
        } = *self;
        let client = Endpoint {
            transport: stream,
            leftover,
        };
        access::converse_seated(client, backend, origin, seat)
    }
}

async fn shake_hands<S: Transport>(stream: &mut S, arrival: &Arrival) -> Outcome {
    let mut buffer = BytesMut::new();
    let head = match timeout_at(arrival.head_deadline, head::read(stream, &mut buffer)).await {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => return refuse_unread(stream, Refusal::of_head(&error), arrival).await,
        Err(_) => return refuse_unread(stream, Some(Refusal::HeadTimeout), arrival).await,
    };
    if head == PREFACE {
        return Outcome::Http2(Bytes::from([&head[..], &buffer[..]].concat()));
    }
    let request = match read_request(&head) {
        Ok(request) => request,
        Err(refusal) => return refuse_unread(stream, refusal, arrival).await,
    };
    drop(head);
    let established = tokio::select! {
        established = handshake::establish(request, arrival) => established,
        () = gone(stream, &mut buffer) => return Outcome::Ended,
    };
    match established {
        Ok(established) => switch(stream, buffer, established).await,
        Err(Declined::Refused(refusal)) => {
            refuse(stream, refusal).await;
            Outcome::Ended
        }
        Err(Declined::Answered(answer, _permit)) => {
            match relay::relay(answer, stream).await {
                Ok(()) => linger(stream).await,
                Err(error) => tracing::debug!(
                    error = %heddle_telemetry::ErrorChain(&error),
                    "failed to relay a backend's answer"
                ),
            }
            Outcome::Ended
        }
    }
}

/// Waits until the client has gone, and keeps what it sends before it is answered.
async fn gone<S: Transport>(stream: &mut S, leftover: &mut BytesMut) {
    while leftover.len() < LEFTOVER_LIMIT {
        leftover.reserve(LEFTOVER_READ);
        match stream.read_buf(leftover).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    // It is read on by the session.
    std::future::pending().await
}

/// Tells the client that there is a session.
async fn switch<S: Transport>(stream: &mut S, leftover: BytesMut, established: Established) -> Outcome {
    let Established {
        stream: backend,
        leftover: backend_leftover,
        fields,
        origin,
    } = established;
    let head = switching_head(&fields);
    match timeout(ANSWER_TIMEOUT, write(stream, &head)).await {
        Ok(Ok(())) => {}
        // The client has gone, and the backend sees its connection end.
        Ok(Err(_)) | Err(_) => return Outcome::Ended,
    }
    access::established(&origin);
    Outcome::Session(Box::new(Switched {
        backend: Endpoint {
            transport: backend,
            leftover: compact(backend_leftover),
        },
        client_leftover: compact(leftover),
        origin,
    }))
}

/// Refuses what could not be read. Nothing is said to a client that has gone.
async fn refuse_unread<S: Transport>(stream: &mut S, refusal: Option<Refusal>, arrival: &Arrival) -> Outcome {
    if let Some(refusal) = refusal {
        arrival.shared.metrics.refused(refusal);
        refuse(stream, refusal).await;
    }
    Outcome::Ended
}

fn read_request(head: &Bytes) -> Result<SessionRequest, Option<Refusal>> {
    let head = RequestHead::parse(head).map_err(|error| Refusal::of_head(&error))?;
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

#[cfg(test)]
mod tests;
