//! Runs sessions, counts them, and writes one line for each at its end.

use crate::dial::BackendStream;
use crate::handshake::SessionOrigin;
use crate::transcode;
use crate::worker::Seat;
use bytes::Bytes;
use futures::future::Either;
use heddle_telemetry::{ContinueTrace as _, ErrorChain};
use heddle_ws_session::broadcast::BroadcastVolume;
use heddle_ws_session::{self as session, ClosedBy, EndReason, Endpoint, SessionEnd, Volume};
use heddle_ws_session::{Parked, TcpSession, Transport};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A client's connection, which may be plain TCP: a session between two of those can change threads.
pub(crate) trait MaybeTcp: Transport + Sized {
    /// # Errors
    /// The connection as it was, if it is something else.
    fn into_tcp(self) -> Result<TcpStream, Self> {
        Err(self)
    }
}

impl MaybeTcp for TcpStream {
    fn into_tcp(self) -> Result<TcpStream, Self> {
        Ok(self)
    }
}

impl MaybeTcp for Box<dyn Transport> {}

/// Runs a session to its end, or as long as it stays on the thread of its seat; it goes on elsewhere then.
///
/// What lasts as long as the session is in the future once: an async fn would have room for its arguments twice.
pub(crate) fn converse_seated<C: MaybeTcp>(
    client: Endpoint<C>,
    backend: Endpoint<BackendStream>,
    origin: SessionOrigin,
    seat: Seat,
) -> impl Future<Output = ()> + Send {
    match over_tcp(client, backend, &origin) {
        Ok((client, backend)) => {
            let session = TcpSession::new(client, backend, origin.route.session_context());
            Either::Left(converse_here(session, SessionRecord::begin(origin), seat))
        }
        // The rarer ways, and futures of their own.
        Err((client, backend)) => Either::Right(Box::pin(async move {
            let _seat = seat;
            converse(client, backend, origin).await;
        })),
    }
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn has room for its arguments twice, and sessions last"
)]
fn converse_here(
    mut session: TcpSession,
    record: SessionRecord,
    mut seat: Seat,
) -> impl Future<Output = ()> + Send {
    async move {
        match session.turns(|| seat.is_to_leave()).await {
            true => record.finish(session.end()),
            false => depart(session, record, seat),
        }
    }
}

/// The ends of a session that forwards frames as they are between two plain connections; of another one, as they were.
#[expect(clippy::type_complexity, reason = "both ends, as one thing or as the other")]
fn over_tcp<C: MaybeTcp>(
    client: Endpoint<C>,
    backend: Endpoint<BackendStream>,
    origin: &SessionOrigin,
) -> Result<(Endpoint<TcpStream>, Endpoint<TcpStream>), (Endpoint<C>, Endpoint<BackendStream>)> {
    let plain = match backend.transport {
        BackendStream::Plain(plain) if origin.route.transcoder.is_none() => plain,
        other => return Err((client, endpoint(other, backend.leftover))),
    };
    match client.transport.into_tcp() {
        Ok(tcp) => Ok((endpoint(tcp, client.leftover), endpoint(plain, backend.leftover))),
        Err(other) => {
            let plain = BackendStream::Plain(plain);
            Err((
                endpoint(other, client.leftover),
                endpoint(plain, backend.leftover),
            ))
        }
    }
}

fn endpoint<T>(transport: T, leftover: Bytes) -> Endpoint<T> {
    Endpoint { transport, leftover }
}

/// Has a session go on on another thread.
fn depart(session: TcpSession, record: SessionRecord, seat: Seat) {
    match session.park() {
        Ok(parked) => seat.change(|seat| resume(parked, record, seat)),
        Err(error) => not_moved(&error),
    }
}

/// Goes on with a session that came from another thread.
fn resume(parked: Parked, record: SessionRecord, seat: Seat) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        match parked.unpark() {
            Ok(session) => converse_here(session, record, seat).await,
            Err(error) => not_moved(&error),
        }
    })
}

/// Its record says that the session was broken off.
fn not_moved(error: &io::Error) {
    tracing::warn!(error = %ErrorChain(error), "failed to move a session to another thread");
}

/// Runs a session to its end, where it is.
pub(crate) async fn converse<C: Transport>(
    client: Endpoint<C>,
    backend: Endpoint<BackendStream>,
    origin: SessionOrigin,
) {
    let context = origin.route.session_context();
    let transcoder = origin.route.transcoder.clone();
    let record = SessionRecord::begin(origin);
    let Endpoint { transport, leftover } = backend;
    let end = match (transcoder, transport) {
        // Frames as a whole take room of their own; those sessions are apart so that the others stay small.
        (Some(transcoder), transport) => {
            let backend = Endpoint { transport, leftover };
            Box::pin(transcode::run(client, backend, context, transcoder)).await
        }
        (None, BackendStream::Plain(transport)) => {
            session::run(client, Endpoint { transport, leftover }, context).await
        }
        (None, BackendStream::Other(transport)) => {
            session::run(client, Endpoint { transport, leftover }, context).await
        }
    };
    record.finish(end);
}

/// A session that goes on.
#[derive(Debug)]
struct SessionRecord {
    origin: SessionOrigin,
    began: Instant,
    /// How it ended; nothing if it was broken off.
    end: Option<SessionEnd>,
}

/// The end of a session that was broken off.
const ABORTED: SessionEnd = SessionEnd {
    closed_by: ClosedBy::Proxy,
    reason: EndReason::Aborted,
    code_from_client: None,
    code_from_backend: None,
    code_to_client: None,
    code_to_backend: None,
    from_client: Volume {
        messages: 0,
        bytes: 0,
    },
    from_backend: Volume {
        messages: 0,
        bytes: 0,
    },
    broadcast: BroadcastVolume {
        messages: 0,
        bytes: 0,
        missed: 0,
    },
};

/// Counts a handshake that was completed.
pub(crate) fn established(origin: &SessionOrigin) {
    let metrics = &origin.route.sessions.metrics;
    metrics
        .handshake_seconds
        .observe(origin.began.elapsed().as_secs_f64());
    metrics.sessions.inc();
}

impl SessionRecord {
    fn begin(origin: SessionOrigin) -> Self {
        origin.route.sessions.metrics.open.inc();
        Self {
            origin,
            began: Instant::now(),
            end: None,
        }
    }

    /// Notes how the session ended.
    fn finish(mut self, end: SessionEnd) {
        self.end = Some(end);
    }

    /// Counts and writes the end: of a session that was broken off, when the process could not wait for it, all that is
    /// known is that it was.
    fn write(&self) {
        let end = self.end.unwrap_or(ABORTED);
        let origin = &self.origin;
        origin.route.sessions.metrics.closed(&end);
        let volume = self.end.map(|end| (end.from_client, end.from_backend));
        let broadcast = self.end.map(|end| end.broadcast);
        let lasted = self.began.elapsed();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = since_1970.saturating_sub(lasted);
        // Made at the end: a span that is held would cost more than the session itself.
        let span = tracing::info_span!(
            parent: None,
            "websocket session",
            otel.kind = "server",
            otel.start_unix_nanos = i64::try_from(began.as_nanos()).unwrap_or_default(),
        );
        if let Some(parent) = &origin.trace {
            // A disabled span continues nothing, and the line below then has no ids.
            span.continue_from(parent).ok();
        }
        let _entered = span.enter();
        tracing::info!(
            target: "heddle_proxy::access",
            namespace = origin.route.route.id.namespace,
            route = origin.route.route.id.name,
            backend = origin.backend.config.name,
            client = %origin.client,
            subprotocol = origin.subprotocol.as_deref(),
            seconds = lasted.as_secs_f64(),
            bytes_from_client = volume.map(|(client, _)| client.bytes),
            messages_from_client = volume.map(|(client, _)| client.messages),
            bytes_from_backend = volume.map(|(_, backend)| backend.bytes),
            messages_from_backend = volume.map(|(_, backend)| backend.messages),
            bytes_broadcast = broadcast.map(|broadcast| broadcast.bytes),
            messages_broadcast = broadcast.map(|broadcast| broadcast.messages),
            messages_missed = broadcast.map(|broadcast| broadcast.missed),
            code = end.code(),
            closed_by = end.closed_by.as_str(),
            reason = end.reason.as_str(),
            "session ended"
        );
    }
}

impl Drop for SessionRecord {
    fn drop(&mut self) {
        self.origin.route.sessions.metrics.open.dec();
        self.write();
    }
}
