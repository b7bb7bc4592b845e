//! Runs sessions, counts them, and writes one line for each at its end.

use crate::dial::BackendStream;
use crate::handshake::SessionOrigin;
use crate::transcode;
use heddle_telemetry::ContinueTrace as _;
use heddle_ws_session::Transport;
use heddle_ws_session::{self as session, ClosedBy, EndReason, Endpoint, SessionEnd, Volume};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Runs a session to its end.
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
