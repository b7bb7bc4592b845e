//! Sessions whose messages are JSON on one side and protobuf on the other.
//!
//! Frames are tokio-tungstenite's here, whole messages of both peers; everything else, from limits to the end, is that of
//! sessions that forward frames as they are. Pings and Pongs end at the proxy: each side is answered and, if the route
//! wants it, pinged for itself; of Pongs that a peer does not read no more are kept than fit its buffer. A message may
//! become so many times as long as the route's limit, and ends the session beyond that. No extension may have been agreed
//! on with either side.

mod convert;
mod lane;
mod metered;

use heddle_ws_session::Transport;
use heddle_ws_session::pace::Pace;
use heddle_ws_session::relay::Relay;
use heddle_ws_session::{Endpoint, SessionContext, SessionEnd, drive};
use lane::MessageLane;
use metered::{Metered, Socket};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

pub(crate) use convert::Transcoder;

/// How much is read at once: held by each end of a session for as long as that lasts.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// The longest message where the route sets no limit, which routes that transcode always do.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;
/// So many times as long as the longest message that may arrive may one be that was turned.
const GROWTH: usize = 8;
/// How much more may wait to be written to a peer: the Pongs that it asks for and does not read, and a Close frame.
const CONTROL_BYTES: usize = 4 * 1024;

/// Relays one session to its end, message by message: both connections are closed when it returns.
///
/// Dropping the future closes both at once, without Close frames.
pub(crate) async fn run<C: Transport, B: Transport>(
    client: Endpoint<C>,
    backend: Endpoint<B>,
    context: SessionContext,
    transcoder: Arc<Transcoder>,
) -> SessionEnd {
    let rules = &context.rules;
    let most = rules.max_message_bytes.unwrap_or(MAX_MESSAGE_BYTES);
    let pace = rules
        .message_rate
        .as_ref()
        .map(|rate| Pace::new(rate, Instant::now()));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let turned = most.saturating_mul(GROWTH);
    let up = MessageLane::new(Arc::clone(&transcoder), pace, client.leftover.len(), turned);
    let down = MessageLane::new(transcoder, None, backend.leftover.len(), turned);
    let client = socket(client, Role::Server, most).await;
    let backend = socket(backend, Role::Client, most).await;
    drive(Relay::new(client, backend, up, down, context)).await
}

async fn socket<T: Transport>(end: Endpoint<T>, role: Role, most: usize) -> Socket<T> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(most.saturating_mul(GROWTH).saturating_add(CONTROL_BYTES))
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let transport = Metered::new(end.transport);
    WebSocketStream::from_partially_read(transport, end.leftover.into(), role, Some(config)).await
}

#[cfg(test)]
mod tests;
