//! One direction of a session that transcodes.

use super::convert::{ConversionError, Transcoder};
use super::metered::Socket;
use futures::{SinkExt as _, StreamExt as _};
use heddle_crds::ws_route::InvalidMessagePolicy;
use heddle_ws_session::Transport;
use heddle_ws_session::frame::{self, code};
use heddle_ws_session::pace::Pace;
use heddle_ws_session::peer::{Close, Due, Input, Output, Peer};
use heddle_ws_session::relay::{Flow, Lane, Shared};
use heddle_ws_session::scratch;
use heddle_ws_session::{EndReason, OnExceed};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

/// So many messages a direction moves before the other has its turn.
const MESSAGES_PER_TURN: usize = 8;

/// One direction of a session, as messages.
#[derive(Debug)]
pub(super) struct MessageLane {
    transcoder: Arc<Transcoder>,
    flow: Flow,
    /// How many messages the sender may send. A box, as few routes say so.
    pace: Option<Box<Pace>>,
    /// The message that waits for the rate limit.
    held: Option<Message>,
    /// What the sender is told about its last message; it is not read until it has been.
    reply: Option<Message>,
    /// Bytes that came with the handshake and have not been counted yet.
    leftover: u64,
    /// The most bytes of a message that was turned.
    most: usize,
}

impl AsRef<Flow> for MessageLane {
    fn as_ref(&self) -> &Flow {
        &self.flow
    }
}

impl<S: Transport, K: Transport> Lane<Socket<S>, Socket<K>> for MessageLane {
    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Peer<Socket<S>>,
        sink: &mut Peer<Socket<K>>,
        shared: &mut Shared,
    ) -> Poll<()> {
        for _ in 0..MESSAGES_PER_TURN {
            ready!(self.poll_room(context, sink, shared));
            send_due(sink, shared);
            if self.send_broadcast(sink, shared) {
                continue;
            }
            if sink.is_to_finish() {
                ready!(poll_flush(context, sink));
                ready!(poll_finish(context, sink));
                shared.has_changed = true;
            }
            ready!(self.poll_reply(context, source));
            let turn = self.poll_input(context, source, sink, shared);
            self.count(source, shared);
            ready!(turn);
        }
        Poll::Ready(())
    }

    fn is_broken(&self, context: &mut Context<'_>, source: &mut Peer<Socket<S>>) -> bool {
        source.transport.get_mut().is_broken(context)
    }
}

impl MessageLane {
    pub(super) fn new(transcoder: Arc<Transcoder>, pace: Option<Pace>, leftover: usize, most: usize) -> Self {
        Self {
            transcoder,
            flow: Flow::default(),
            pace: pace.map(Box::new),
            held: None,
            reply: None,
            leftover: leftover as u64,
            most,
        }
    }

    /// Waits until the receiver has taken the last message, and what the library has answered it.
    fn poll_room<K: Transport>(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Peer<Socket<K>>,
        shared: &mut Shared,
    ) -> Poll<()> {
        if sink.output == Output::Finished {
            return Poll::Ready(());
        }
        if poll_flush(context, sink).is_pending() {
            self.flow.block(shared);
            return Poll::Pending;
        }
        let Poll::Ready(ready) = sink.transport.poll_ready_unpin(context) else {
            self.flow.block(shared);
            return Poll::Pending;
        };
        let was_blocked = self.flow.blocked_since.take().is_some();
        match ready {
            Ok(()) if was_blocked => sink.hear(shared.now),
            Ok(()) | Err(Error::ConnectionClosed) => {}
            Err(_) => sink.fail_output(),
        }
        Poll::Ready(())
    }

    /// Sends the next message for all sessions, if one is due. It is turned as if the backend had sent it where clients do
    /// not speak JSON. Whether there was one.
    fn send_broadcast<K: Transport>(&self, sink: &mut Peer<Socket<K>>, shared: &mut Shared) -> bool {
        let Some(broadcast) = shared.take_broadcast(sink) else {
            return false;
        };
        match self.transcoder.for_clients(&broadcast, self.most) {
            Ok(message) => {
                shared.count_broadcast(broadcast.frame().len());
                send(sink, message);
            }
            Err(_) => shared.count_missed(1),
        }
        true
    }

    /// Tells the sender what was wrong with its last message.
    fn poll_reply<S: Transport>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Peer<Socket<S>>,
    ) -> Poll<()> {
        if self.reply.is_none() {
            return Poll::Ready(());
        }
        if source.output == Output::Open {
            ready!(source.transport.poll_ready_unpin(context)).ok();
        }
        if let Some(reply) = self.reply.take()
            && source.output == Output::Open
        {
            send(source, reply);
        }
        Poll::Ready(())
    }

    /// Takes the message that was held back, or else one from the connection.
    fn poll_input<S: Transport, K: Transport>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Peer<Socket<S>>,
        sink: &mut Peer<Socket<K>>,
        shared: &mut Shared,
    ) -> Poll<()> {
        if self.flow.waits_until.is_some_and(|until| until > shared.now) && shared.is_open() {
            ready!(poll_flush(context, sink));
            return Poll::Pending;
        }
        self.flow.waits_until = None;
        if let Some(message) = self.held.take() {
            self.pass(message, source, sink, shared);
            return Poll::Ready(());
        }
        let next = match source.input {
            Input::Open => source.transport.poll_next_unpin(context),
            Input::Closed => poll_discard(context, source),
            Input::Ended => Poll::Pending,
        };
        match next {
            Poll::Pending => {
                ready!(poll_flush(context, sink));
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(message))) => self.take(message, source, sink, shared),
            Poll::Ready(Some(Err(error))) => fail(&error, source, sink, shared),
            Poll::Ready(None) => end(source, shared),
        }
        Poll::Ready(())
    }

    fn take<S: Transport, K: Transport>(
        &mut self,
        message: Message,
        source: &mut Peer<Socket<S>>,
        sink: &mut Peer<Socket<K>>,
        shared: &mut Shared,
    ) {
        match message {
            Message::Text(_) | Message::Binary(_) => {
                shared.last_data = shared.now;
                self.flow.volume.messages += 1;
                shared.traffic(source.side).messages.inc();
                self.pass(message, source, sink, shared);
            }
            Message::Close(frame) => closed(frame, source, sink, shared),
            // The library has its answer ready; until that is written there may be no room for anything else.
            Message::Ping(_) => source.needs_flush = true,
            // That the peer lives is known from its bytes.
            Message::Pong(_) | Message::Frame(_) => {}
        }
    }

    /// Passes a message on, or keeps it while the rate limit wants that.
    fn pass<S: Transport, K: Transport>(
        &mut self,
        message: Message,
        source: &mut Peer<Socket<S>>,
        sink: &mut Peer<Socket<K>>,
        shared: &mut Shared,
    ) {
        if sink.output != Output::Open {
            return;
        }
        let pace = self.pace.as_mut().filter(|_| shared.is_open());
        match pace.map_or(Ok(()), |pace| pace.take(shared.now)) {
            Ok(()) => self.convert(&message, source, sink, shared),
            Err(until) if shared.on_exceed() == OnExceed::Wait => {
                self.held = Some(message);
                self.flow.waits_until = Some(until);
                shared.has_new_deadline = true;
            }
            Err(_) => shared.refuse(EndReason::MessageRate, source, sink, code::POLICY),
        }
    }

    fn convert<S: Transport, K: Transport>(
        &mut self,
        message: &Message,
        source: &mut Peer<Socket<S>>,
        sink: &mut Peer<Socket<K>>,
        shared: &mut Shared,
    ) {
        let error = match self.transcoder.convert(source.side, message, self.most) {
            Ok(converted) => return send(sink, converted),
            Err(error) => error,
        };
        match (&error, self.transcoder.policy()) {
            (ConversionError::MissingType, _) => {
                shared.refuse(EndReason::InvalidMessage, source, sink, code::INTERNAL_ERROR);
            }
            (ConversionError::TooLong, _) => {
                shared.refuse(EndReason::MessageTooBig, source, sink, code::TOO_BIG);
            }
            (_, InvalidMessagePolicy::Close) => {
                // The text that says more comes first: a peer is told one thing.
                let reason = frame::fitting(&format!("invalid message: {error}")).to_owned();
                source.request_close(code::INVALID_PAYLOAD, reason);
                shared.refuse(EndReason::InvalidMessage, source, sink, code::INVALID_PAYLOAD);
            }
            (_, InvalidMessagePolicy::Reply) => self.reply = Some(reply(&error)),
        }
    }

    /// Counts what was read.
    fn count<S: Transport>(&mut self, source: &mut Peer<Socket<S>>, shared: &Shared) {
        let read = source.transport.get_mut().take_read();
        if read > 0 {
            source.hear(shared.now);
        }
        let bytes = read + std::mem::take(&mut self.leftover);
        if bytes > 0 {
            self.flow.volume.bytes += bytes;
            shared.traffic(source.side).bytes.inc_by(bytes);
        }
    }
}

/// What the sender of a message that cannot be turned is told.
fn reply(error: &ConversionError) -> Message {
    let body = serde_json::json!({
        "error": { "code": "INVALID_MESSAGE", "message": error.to_string() }
    });
    Message::text(body.to_string())
}

/// Sends the frame of the proxy's that is due, if one is.
fn send_due<K: Transport>(sink: &mut Peer<Socket<K>>, shared: &mut Shared) {
    let message = match sink.take_due() {
        None => return,
        Some(Due::Ping) => Message::Ping(shared.ping_payload.to_vec().into()),
        Some(Due::Close(close)) => Message::Close(close.code.map(|code| CloseFrame {
            code: code.into(),
            reason: frame::fitting(&close.reason).into(),
        })),
    };
    send(sink, message);
    shared.has_changed = true;
}

/// Gives a message to the library, which writes it at once or when there is room.
fn send<K: Transport>(sink: &mut Peer<Socket<K>>, message: Message) {
    sink.needs_flush = true;
    if sink.transport.start_send_unpin(message).is_err() {
        sink.fail_output();
    }
}

fn poll_flush<K: Transport>(context: &mut Context<'_>, sink: &mut Peer<Socket<K>>) -> Poll<()> {
    if sink.needs_flush && sink.output != Output::Finished {
        match ready!(sink.transport.poll_flush_unpin(context)) {
            Ok(()) => {}
            Err(_) => sink.fail_output(),
        }
        sink.needs_flush = false;
    }
    Poll::Ready(())
}

/// Shuts down the half of the connection that goes to the peer.
fn poll_finish<K: Transport>(context: &mut Context<'_>, sink: &mut Peer<Socket<K>>) -> Poll<()> {
    // That it fails says no more than that the connection has gone.
    let (Ok(()) | Err(_)) = ready!(Pin::new(sink.transport.get_mut()).poll_shutdown(context));
    sink.fail_output();
    Poll::Ready(())
}

/// Reads what follows a Close frame, until the connection ends.
fn poll_discard<S: Transport>(
    context: &mut Context<'_>,
    source: &mut Peer<Socket<S>>,
) -> Poll<Option<Result<Message, Error>>> {
    scratch::lend(|buffer| {
        loop {
            let mut read = ReadBuf::new(buffer);
            let result = ready!(Pin::new(source.transport.get_mut()).poll_read(context, &mut read));
            if result.is_err() || read.filled().is_empty() {
                return Poll::Ready(None);
            }
        }
    })
}

/// Passes on that a peer has closed. The library has its answer ready.
fn closed<S, K>(frame: Option<CloseFrame>, source: &mut Peer<S>, sink: &mut Peer<K>, shared: &mut Shared) {
    let code = frame.as_ref().map(|frame| u16::from(frame.code));
    shared.saw_close(source, code);
    if source.output == Output::Open {
        source.passed_close(code);
        source.needs_flush = true;
    }
    sink.request(Close {
        code,
        reason: frame
            .map(|frame| frame.reason.to_string())
            .unwrap_or_default()
            .into(),
    });
}

/// Closes a session whose peer breaks the protocol, or notes that the peer has gone.
fn fail<S, K>(error: &Error, source: &mut Peer<S>, sink: &mut Peer<K>, shared: &mut Shared) {
    let (reason, code) = match error {
        Error::Capacity(_) => (EndReason::MessageTooBig, code::TOO_BIG),
        Error::Utf8(_) => (EndReason::InvalidMessage, code::INVALID_PAYLOAD),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return end(source, shared),
        Error::Protocol(_) => (EndReason::InvalidMessage, code::PROTOCOL_ERROR),
        _ => return end(source, shared),
    };
    // The library reads no more; what still comes is read for the connection's sake.
    source.input = Input::Closed;
    shared.refuse(reason, source, sink, code);
}

fn end<S>(source: &mut Peer<S>, shared: &mut Shared) {
    source.input = Input::Ended;
    shared.has_changed = true;
}
