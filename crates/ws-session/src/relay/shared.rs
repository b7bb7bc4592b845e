//! What both directions of a session need, and what either may do to the whole.

use crate::broadcast::{Broadcast, BroadcastVolume};
use crate::control::Subscriber;
use crate::end::{ClosedBy, EndReason};
use crate::frame::code;
use crate::peer::{Input, Peer, Side};
use crate::traffic::DirectionTraffic;
use crate::{OnExceed, SessionContext};
use tokio::time::Instant;

/// What both directions need.
#[derive(Debug)]
pub struct Shared {
    pub(crate) context: SessionContext,
    /// The time of this turn.
    pub now: Instant,
    /// When part of a message was seen last.
    pub last_data: Instant,
    /// What the proxy's own Pings carry, by which their Pongs are known.
    pub ping_payload: [u8; 8],
    /// Whether a peer or a stream has got another state in this turn.
    pub has_changed: bool,
    /// Whether something may be due earlier than the timer knows.
    pub has_new_deadline: bool,
    /// Who ended the session and why, once somebody has.
    pub(super) end: Option<(ClosedBy, EndReason)>,
    /// Until when the next step of closing may take.
    pub(super) patience: Option<Instant>,
    pub(super) subscriber: Subscriber,
    pub(super) broadcasts: BroadcastVolume,
}

impl Shared {
    /// Whether nobody has begun to close the session.
    pub fn is_open(&self) -> bool {
        self.patience.is_none()
    }

    pub(crate) fn max_message_bytes(&self) -> Option<u64> {
        self.context.rules.max_message_bytes
    }

    /// What becomes of messages that exceed the rate.
    pub fn on_exceed(&self) -> OnExceed {
        let rate = self.context.rules.message_rate.as_ref();
        rate.map_or(OnExceed::Wait, |rate| rate.on_exceed)
    }

    /// The counters of what `side` sends.
    pub fn traffic(&self, side: Side) -> &DirectionTraffic {
        match side {
            Side::Client => &self.context.traffic.from_client,
            Side::Backend => &self.context.traffic.from_backend,
        }
    }

    /// The next message for all sessions that goes to `sink`, the client, if one is due.
    pub fn take_broadcast<K>(&mut self, sink: &mut Peer<K>) -> Option<Broadcast> {
        if !sink.is_message_due() {
            return None;
        }
        let (broadcast, missed) = self.subscriber.take();
        self.count_missed(missed);
        sink.expect_message(broadcast.is_some());
        broadcast
    }

    /// Counts a message for all sessions that goes to the client as so many bytes.
    pub fn count_broadcast(&mut self, bytes: usize) {
        self.last_data = self.now;
        self.broadcasts.messages += 1;
        self.broadcasts.bytes += bytes as u64;
        let traffic = &self.context.traffic.broadcast;
        traffic.messages.inc();
        traffic.bytes.inc_by(bytes as u64);
    }

    /// Counts messages for all sessions that do not go to the client.
    pub fn count_missed(&mut self, messages: u64) {
        if messages > 0 {
            let missed = u32::try_from(messages).unwrap_or(u32::MAX);
            self.broadcasts.missed = self.broadcasts.missed.saturating_add(missed);
            self.context.traffic.broadcast.missed.inc_by(messages);
        }
    }

    /// Passes over the messages for all sessions that wait: they do not go to the client.
    pub(super) fn miss_rest(&mut self) {
        let missed = self.subscriber.skip();
        self.count_missed(missed);
    }

    /// Closes the session for what `source` sent: with `code` toward it, with what that means for it toward `sink`.
    pub fn refuse<S, K>(&mut self, reason: EndReason, source: &mut Peer<S>, sink: &mut Peer<K>, code: u16) {
        self.begin(ClosedBy::Proxy, reason);
        source.request_close(code, reason.text());
        sink.request_close(code_for_other(sink.side), reason.text_for_other());
    }

    /// Notes that a Close frame came from `source`.
    pub fn saw_close<S>(&mut self, source: &mut Peer<S>, code: Option<u16>) {
        source.input = Input::Closed;
        source.code_received = Some(code.unwrap_or(code::NO_STATUS));
        self.begin(source.side.into(), EndReason::Closed);
    }

    /// Notes who ends the session and why, if nobody did before, and gives the next step its time.
    pub(super) fn begin(&mut self, closed_by: ClosedBy, reason: EndReason) {
        self.end.get_or_insert((closed_by, reason));
        self.renew_patience();
        self.has_changed = true;
    }

    pub(super) fn renew_patience(&mut self) {
        self.patience = Some(self.now + self.context.rules.close);
        self.has_new_deadline = true;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Of a session that was broken off only the counters tell.
        self.miss_rest();
    }
}

/// What a peer is told when the other one is at fault or gone: a backend, that the client has left; a client, that the
/// server failed. 1012 to 1014 would say more, but browsers refuse 1014, and the others promise what nobody knows.
pub(super) fn code_for_other(side: Side) -> u16 {
    match side {
        Side::Client => code::INTERNAL_ERROR,
        Side::Backend => code::GOING_AWAY,
    }
}
