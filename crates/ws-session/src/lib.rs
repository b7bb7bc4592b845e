//! A WebSocket session after its handshake: frames go both ways as they are, and are counted, limited, pinged and closed.
//!
//! One task moves both directions. It reads into a buffer that all sessions of its thread share, judges the heads of the
//! frames in there, and writes at once; only what the receiver does not take is copied and kept. So a session that waits
//! holds no buffer, and a slow receiver makes its sender wait rather than memory grow.
//!
//! # How sessions end
//! Close frames of peers go on as they are. The proxy's own go out between frames:
//!
//! | what happens | the client gets | the backend gets |
//! | --- | --- | --- |
//! | drain, age, idle | 1001 | the client's answer, or 1001 if none comes |
//! | the client's message is too long | 1009 | 1001 |
//! | the client sends too many messages | 1008 | 1001 |
//! | the backend's message is too long | 1011 | 1009 |
//! | the backend sends a Close frame with 1005, 1006 or 1015 | 1011 | 1002 |
//! | the client vanishes, or answers no Ping | – | 1001 |
//! | the backend vanishes, or answers no Ping | 1011 | – |
//! | one peer does not answer the other's Close frame | the code it sent itself | the code it sent itself |
//!
//! 1014 would say "bad gateway", and browsers refuse it as a code that must not be on the wire. Reasons are constants: they
//! never say who the other end is.
//!
//! A frame is judged before its first byte goes on, so that limits never cut one. Three things can: a peer that vanishes
//! in the middle of a frame, one that takes longer over it than a Close frame may wait, and a receiver that takes nothing.
//! Then no Close frame can be sent to the receiver of that frame, whose connection is shut down instead: it sees an end
//! inside a frame, which is what happened. A peer that resets its connection while what it sent waits for the other one,
//! who takes nothing, ends the session so at once: that is looked for
//! twice a second, at the socket of TCP and beneath TLS, and at what has become of the stream in HTTP/2.
//!
//! Each step of closing has the route's `timeouts.close`. Servers close connections first (RFC 6455 7.1.1): the client's is
//! shut down when both Close frames have gone, and read until its end so that no reset overtakes the Close frame; the
//! backend is waited for.
//!
//! # Messages for all
//! [`SessionControl::broadcast`] queues messages for all clients of its sessions. They go out between two messages of the
//! backend, as frames of their own without extensions (RFC 7692 5.1 leaves it to the sender which messages are compressed).
//! A session finds out by the number that it looks at anyhow, and takes them from one backlog that all share: see
//! [`broadcast`].
//!
//! # Who is silent
//! A peer is heard when bytes arrive from it, or when it takes bytes again after it had taken none. A peer that is not
//! read, because the other one takes nothing or the rate limit makes it wait, is not silent.

mod backlog;
pub mod broadcast;
mod control;
mod end;
pub mod frame;
mod judge;
mod lane;
mod moving;
pub mod pace;
pub mod peer;
pub mod relay;
mod rules;
pub mod scratch;
mod traffic;
mod transport;

use bytes::Bytes;
use judge::Judge;
use lane::ByteLane;
use pace::Pace;
use relay::{Lane, Relay};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;

pub use control::SessionControl;
pub use end::{ClosedBy, EndReason, SessionEnd, Volume};
pub use moving::{Parked, TcpSession};
pub use peer::Side;
pub use rules::{Keepalive, Lifetime, MessageRate, OnExceed, SessionRules};
pub use scratch::READ_BYTES;
pub use traffic::{BroadcastTraffic, DirectionTraffic, Traffic};
pub use transport::Transport;

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
pub fn run<C: Transport, B: Transport>(
    client: Endpoint<C>,
    backend: Endpoint<B>,
    context: SessionContext,
) -> impl Future<Output = SessionEnd> + Send {
    drive(byte_relay(client, backend, context))
}

/// A session that forwards frames as they are.
fn byte_relay<C: Transport, B: Transport>(
    client: Endpoint<C>,
    backend: Endpoint<B>,
    context: SessionContext,
) -> Relay<C, B, ByteLane> {
    let rate = context.rules.message_rate.as_ref();
    let pace = rate.map(|rate| Pace::new(rate, Instant::now()));
    let traffic = &context.traffic;
    let up = ByteLane::new(Judge::new(pace), client.leftover, &traffic.from_client);
    let down = ByteLane::new(Judge::new(None), backend.leftover, &traffic.from_backend);
    Relay::new(client.transport, backend.transport, up, down, context)
}

/// Polls a session to its end.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn has room for its arguments twice: nearly 1 KB for each session"
)]
pub fn drive<C: Send + 'static, B: Send + 'static, L: Lane<C, B> + Lane<B, C> + Send>(
    mut relay: Relay<C, B, L>,
) -> impl Future<Output = SessionEnd> + Send {
    async move {
        turns(&mut relay, || false).await;
        relay.end()
    }
}

/// Polls a session to its end, or until `leaves` says after a turn that it does not go on here. Whether it has ended.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn has room for its arguments twice"
)]
fn turns<C: Send + 'static, B: Send + 'static, L: Lane<C, B> + Lane<B, C> + Send>(
    relay: &mut Relay<C, B, L>,
    mut leaves: impl FnMut() -> bool + Send,
) -> impl Future<Output = bool> + Send {
    async move {
        relay.begin_turns();
        let mut sleep = pin!(tokio::time::sleep_until(Instant::now()));
        let mut signal = pin!(relay.control().after(relay.signals_seen()));
        let mut is_new = true;
        poll_fn(|task| {
            // A look at a number for each message; the lock behind the signal is taken only when there is another one.
            while std::mem::take(&mut is_new) || relay.signals() != relay.signals_seen() {
                let Poll::Ready(next) = signal.as_mut().poll(task) else {
                    break;
                };
                relay.heed(next);
                signal.set(relay.control().after(relay.signals_seen()));
                is_new = true;
            }
            match relay.poll(task, sleep.as_mut()) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending if leaves() => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
