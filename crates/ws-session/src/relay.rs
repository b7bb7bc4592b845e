//! A session as a state machine: two peers, two directions, and the times at which something is due.

mod shared;

use crate::broadcast::BroadcastVolume;
use crate::control::{Signal, Subscriber};
use crate::end::{ClosedBy, EndReason, SessionEnd};
use crate::frame::code;
use crate::peer::{Input, Output, Peer, Side};
use crate::{Keepalive, SessionContext, SessionControl, Volume};
use shared::code_for_other;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};

pub use shared::Shared;

/// How often is looked whether a peer that is not read still has a connection, and how long the other one has to have
/// taken nothing by then.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);

/// One direction of a session: moves what `source` sends to `sink`.
pub trait Lane<S, K>: AsRef<Flow> {
    /// Moves what there is while that is possible, and no longer than a turn: ready when there may be more to do.
    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Peer<S>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> Poll<()>;

    /// Whether who sends in this direction has broken the connection off, as far as that is known without a read.
    fn is_broken(&self, context: &mut Context<'_>, source: &mut Peer<S>) -> bool;
}

/// What is known of a direction.
#[derive(Debug, Default)]
pub struct Flow {
    /// What has arrived.
    pub volume: Volume,
    /// Until when the sender has to wait for the rate limit.
    pub waits_until: Option<Instant>,
    /// Since when the receiver has not taken anything of what there is for it.
    pub blocked_since: Option<Instant>,
}

impl Flow {
    /// Notes that the receiver does not take what there is for it.
    pub fn block(&mut self, shared: &mut Shared) {
        if self.blocked_since.is_none() {
            self.blocked_since = Some(shared.now);
            shared.has_new_deadline = true;
        }
    }
}

/// A session.
#[derive(Debug)]
pub struct Relay<C, B, L> {
    client: Peer<C>,
    backend: Peer<B>,
    /// From the client to the backend.
    up: L,
    /// From the backend to the client.
    down: L,
    shared: Shared,
    /// When the session ends in any case, and why.
    ends_at: Option<(Instant, EndReason)>,
    /// When the timer is set to go off. Never later than what is due first.
    armed: Option<Instant>,
    /// When is looked whether connections that are not read are still there, if any is not.
    looks_at: Instant,
    /// The signal that was heeded last, and the window.
    signals_seen: usize,
    windows_seen: usize,
}

impl<C, B, L> Relay<C, B, L> {
    /// The same session at the same point, over what becomes of its connections.
    ///
    /// # Errors
    /// What becomes of a connection that cannot be had in the other form; the session is lost then.
    pub(crate) fn carry<D, A, E>(
        self,
        client: impl FnOnce(C) -> Result<D, E>,
        backend: impl FnOnce(B) -> Result<A, E>,
    ) -> Result<Relay<D, A, L>, E> {
        Ok(Relay {
            client: self.client.carry(client)?,
            backend: self.backend.carry(backend)?,
            up: self.up,
            down: self.down,
            shared: self.shared,
            ends_at: self.ends_at,
            armed: self.armed,
            looks_at: self.looks_at,
            signals_seen: self.signals_seen,
            windows_seen: self.windows_seen,
        })
    }
}

impl<C: 'static, B: 'static, L: Lane<C, B> + Lane<B, C>> Relay<C, B, L> {
    /// A session that begins now, with a lane for each direction.
    pub fn new(client: C, backend: B, up: L, down: L, context: SessionContext) -> Self {
        let now = Instant::now();
        let rules = &context.rules;
        let ends_at = rules.draw_age().map(|age| (now + age, EndReason::MaxAge));
        Self {
            client: Peer::new(client, Side::Client, now),
            backend: Peer::new(backend, Side::Backend, now),
            up,
            down,
            ends_at,
            armed: None,
            looks_at: now + LOOK_INTERVAL,
            signals_seen: 0,
            windows_seen: 0,
            shared: Shared {
                subscriber: Subscriber::new(context.control.clone()),
                broadcasts: BroadcastVolume::default(),
                context,
                now,
                last_data: now,
                ping_payload: rand::random(),
                has_changed: false,
                has_new_deadline: true,
                end: None,
                patience: None,
            },
        }
    }

    /// What tells the session to end, or of messages for all.
    pub(crate) fn control(&self) -> SessionControl {
        self.shared.context.control.clone()
    }

    /// How many times it was told something.
    pub(crate) fn signals(&self) -> usize {
        self.shared.context.control.signals()
    }

    /// How many of these it has heeded.
    pub(crate) fn signals_seen(&self) -> usize {
        self.signals_seen
    }

    /// Does what a signal is about.
    pub(crate) fn heed(&mut self, signal: Signal) {
        self.signals_seen = signal.number;
        if let Some(window) = signal.window.filter(|window| window.number > self.windows_seen) {
            self.windows_seen = window.number;
            self.drain_at(window.moment());
        }
        let is_due = self.shared.subscriber.look();
        self.client.expect_message(is_due);
        if is_due && !self.client.is_message_due() {
            self.shared.miss_rest();
        }
    }

    /// Ends the session at `moment`, unless it ends before.
    fn drain_at(&mut self, moment: Instant) {
        if self.ends_at.is_none_or(|(earlier, _)| moment < earlier) {
            self.ends_at = Some((moment, EndReason::Drain));
            self.shared.has_new_deadline = true;
        }
    }

    #[cfg(test)]
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.ends_at.map(|(moment, _)| moment)
    }

    /// Begins to be polled with a timer that nothing has set yet.
    pub(crate) fn begin_turns(&mut self) {
        self.armed = None;
        self.shared.has_new_deadline = true;
    }

    /// Goes on with the session as far as it goes: ready when both connections are closed. `sleep` wakes the task when
    /// something is due.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        loop {
            self.shared.now = Instant::now();
            let Self {
                client,
                backend,
                up,
                down,
                shared,
                ..
            } = self;
            let up_turn = up.poll_turn(context, client, backend, shared);
            let down_turn = down.poll_turn(context, backend, client, shared);
            if std::mem::take(&mut self.shared.has_changed) {
                self.advance();
                if self.client.is_done() && self.backend.is_done() {
                    return Poll::Ready(());
                }
                continue;
            }
            if up_turn.is_pending()
                && down_turn.is_pending()
                && self.poll_timer(context, sleep.as_mut()).is_pending()
            {
                return Poll::Pending;
            }
        }
    }

    /// Draws conclusions from what has changed.
    fn advance(&mut self) {
        let Self {
            client,
            backend,
            shared,
            ..
        } = self;
        let is_closing = !shared.is_open();
        conclude(client, backend, shared);
        conclude(backend, client, shared);
        if is_closing {
            shared.renew_patience();
        }
    }

    /// Does what is due: ready if there was something. The timer is set only when something may be due earlier than it
    /// knows, not for each message that moves a time further away.
    fn poll_timer(&mut self, context: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        if std::mem::take(&mut self.shared.has_new_deadline) {
            let due = self.next_due();
            if let Some(due) = due.filter(|due| self.armed.is_none_or(|armed| *due < armed)) {
                sleep.as_mut().reset(due);
                // Not subject to the task's budget: a timer that is refused for that would never be registered.
                let registered = pin!(unconstrained(sleep)).poll(context);
                self.armed = Some(due);
                if registered.is_pending() {
                    return Poll::Pending;
                }
                self.shared.now = self.shared.now.max(due);
            }
        }
        // The clock decides rather than the timer, whose only work is to wake the task.
        if self.armed.is_none_or(|armed| armed > self.shared.now) {
            return Poll::Pending;
        }
        self.armed = None;
        self.shared.has_new_deadline = true;
        self.tick(context);
        Poll::Ready(())
    }

    /// When something is due next.
    fn next_due(&self) -> Option<Instant> {
        let look = self.next_look();
        if let Some(patience) = self.shared.patience {
            return Some(look.map_or(patience, |look| look.min(patience)));
        }
        let rules = &self.shared.context.rules;
        let probe = |heard: Instant, probed: Option<Instant>| {
            let keepalive = rules.keepalive.as_ref()?;
            Some(probed.map_or(heard + keepalive.interval, |since| since + keepalive.timeout))
        };
        let all = [
            look,
            self.ends_at.map(|(moment, _)| moment),
            rules.idle.map(|idle| self.shared.last_data + idle),
            probe(self.client.heard, self.client.probed),
            probe(self.backend.heard, self.backend.probed),
            // A wait that is over lasts on while the backend takes nothing: no timer can help with that.
            self.up
                .as_ref()
                .waits_until
                .filter(|until| *until > self.shared.now),
        ];
        all.into_iter().flatten().min()
    }

    /// When is looked next whether a peer that is not read, because the other one takes nothing, still has a connection.
    fn next_look(&self) -> Option<Instant> {
        let blocked = [self.up.as_ref().blocked_since, self.down.as_ref().blocked_since];
        blocked.iter().any(Option::is_some).then_some(self.looks_at)
    }

    /// Gives both peers up when one has reset its connection and what it sent waits for the other, who takes nothing: a
    /// read would tell, but there is no room to read to, and nothing else can be said to the other one inside a frame.
    fn look(&mut self, context: &mut Context<'_>) {
        let now = self.shared.now;
        self.looks_at = now + LOOK_INTERVAL;
        let is_stuck = |lane: &L| {
            let since = AsRef::<Flow>::as_ref(lane).blocked_since;
            since.is_some_and(|since| since + LOOK_INTERVAL <= now)
        };
        let gone = match (is_stuck(&self.up), is_stuck(&self.down)) {
            (true, _) if self.up.is_broken(context, &mut self.client) => ClosedBy::Client,
            (_, true) if self.down.is_broken(context, &mut self.backend) => ClosedBy::Backend,
            _ => return,
        };
        self.shared.begin(gone, EndReason::Vanished);
        self.client.give_up();
        self.backend.give_up();
    }

    /// Does what is due.
    fn tick(&mut self, context: &mut Context<'_>) {
        let now = self.shared.now;
        if self.next_look().is_some_and(|moment| moment <= now) {
            self.look(context);
        }
        if let Some(patience) = self.shared.patience {
            if patience <= now {
                self.lose_patience();
            }
            return;
        }
        let rules = self.shared.context.rules.clone();
        let is_idle = rules.idle.is_some_and(|idle| self.shared.last_data + idle <= now);
        match self.ends_at.filter(|(moment, _)| *moment <= now) {
            Some((_, reason)) => self.close_in_order(reason),
            None if is_idle => self.close_in_order(EndReason::Idle),
            None => {}
        }
        let Some(keepalive) = &rules.keepalive else {
            return;
        };
        let is_client_paused =
            self.up.as_ref().blocked_since.is_some() || self.up.as_ref().waits_until.is_some();
        if check(&mut self.client, is_client_paused, keepalive, now) {
            self.shared.begin(ClosedBy::Client, EndReason::Dead);
        }
        if check(
            &mut self.backend,
            self.down.as_ref().blocked_since.is_some(),
            keepalive,
            now,
        ) {
            self.shared.begin(ClosedBy::Backend, EndReason::Dead);
        }
    }

    /// Closes the client first: what it sends until it answers still reaches the backend, and so does its answer.
    fn close_in_order(&mut self, reason: EndReason) {
        self.shared.begin(ClosedBy::Proxy, reason);
        self.client.request_close(code::GOING_AWAY, reason.text());
    }

    /// Goes on without the answer that did not come: closes whoever has not been told, or else gives both up.
    fn lose_patience(&mut self) {
        let is_told = !self.client.lacks_close() && !self.backend.lacks_close();
        if is_told {
            self.client.give_up();
            self.backend.give_up();
        }
        let for_client = answer(self.client.code_received).unwrap_or(code::INTERNAL_ERROR);
        self.client.request_close(for_client, "");
        let for_backend = answer(self.backend.code_received).unwrap_or(code::GOING_AWAY);
        self.backend.request_close(for_backend, "");
        self.shared
            .end
            .get_or_insert((ClosedBy::Proxy, EndReason::Vanished));
        self.shared.renew_patience();
        self.shared.has_changed = true;
    }

    /// How the session ended. What still waits for the client is missed.
    pub(crate) fn end(mut self) -> SessionEnd {
        self.shared.miss_rest();
        let (closed_by, reason) = self.shared.end.unwrap_or((ClosedBy::Proxy, EndReason::Vanished));
        SessionEnd {
            closed_by,
            reason,
            code_from_client: self.client.code_received,
            code_from_backend: self.backend.code_received,
            code_to_client: self.client.code_sent,
            code_to_backend: self.backend.code_sent,
            from_client: self.up.as_ref().volume,
            from_backend: self.down.as_ref().volume,
            broadcast: self.shared.broadcasts,
        }
    }
}

/// What follows for the session, and for the `other` peer, from the state of `peer`.
fn conclude<P, O>(peer: &mut Peer<P>, other: &mut Peer<O>, shared: &mut Shared) {
    match (peer.input, peer.code_received) {
        (Input::Ended, None) => {
            if shared.end.is_none() {
                shared.begin(peer.side.into(), EndReason::Vanished);
            }
            other.request_close(code_for_other(other.side), EndReason::Vanished.text_for_other());
        }
        (Input::Open, _) if peer.output == Output::Finished && shared.is_open() => {
            // It takes nothing any more; what it said before is still read, for there may be a Close frame.
            shared.renew_patience();
        }
        _ => {}
    }
}

/// The code that answers a Close frame with this one: the same, if it may be sent.
fn answer(received: Option<u16>) -> Option<u16> {
    received.map(|received| match received {
        1000..=1003 | 1007..=1013 | 3000..=4999 => received,
        code::NO_STATUS => code::NORMAL,
        _ => code::PROTOCOL_ERROR,
    })
}

/// Pings a peer that has said nothing for too long: whether it is dead and was given up.
fn check<T>(peer: &mut Peer<T>, is_paused: bool, keepalive: &Keepalive, now: Instant) -> bool {
    if is_paused {
        // Who is not read cannot be heard.
        peer.hear(now);
        return false;
    }
    match peer.probed {
        Some(since) if since + keepalive.timeout <= now => {
            peer.give_up();
            return true;
        }
        None if peer.heard + keepalive.interval <= now => {
            peer.probed = Some(now);
            // A Ping of the other side that has not been answered serves as well: of several, a peer need answer only
            // the last (RFC 6455 5.5.3), and that one has to be the other side's.
            if !peer.was_pinged {
                peer.request_ping();
            }
        }
        _ => {}
    }
    false
}
