//! One direction of a session: from the peer that sends, through the judgement of each frame's head, to the peer that
//! receives.
//!
//! Nothing is read while something that was read waits to be written, so that a slow reader slows the sender down, and a
//! direction never holds more than one read and one control frame.

use crate::Transport;
use crate::backlog::Backlog;
use crate::frame;
use crate::judge::{Judge, Judged, Stop};
use crate::peer::{Due, Input, Output, Peer, Side};
use crate::relay::{Flow, Lane, Shared};
use crate::scratch;
use crate::traffic::DirectionTraffic;
use bytes::{Buf as _, Bytes};
use std::task::{Context, Poll, ready};

/// So often a direction reads before the other has its turn.
const READS_PER_TURN: usize = 8;

/// One direction of a session, as bytes.
#[derive(Debug)]
pub(crate) struct ByteLane {
    backlog: Backlog,
    judge: Judge,
    flow: Flow,
    /// Whether what has not been judged is no more than the beginning of a head.
    needs_more: bool,
}

impl<S: Transport, K: Transport> Lane<S, K> for ByteLane {
    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Peer<S>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            ready!(self.poll_write(context, sink, shared));
            if self.inject(context, sink, shared) || !self.backlog.to_write().is_empty() {
                continue;
            }
            if source.input == Input::Ended && self.backlog.to_judge().is_empty() {
                self.cut_if_inside_a_frame(sink);
            }
            if sink.is_to_finish() {
                ready!(sink.poll_flush(context));
                ready!(sink.poll_finish(context));
                shared.has_changed = true;
            }
            ready!(self.poll_input(context, source, sink, shared));
        }
        Poll::Ready(())
    }

    fn is_broken(&self, context: &mut Context<'_>, source: &mut Peer<S>) -> bool {
        source.transport.is_broken(context)
    }
}

impl AsRef<Flow> for ByteLane {
    fn as_ref(&self) -> &Flow {
        &self.flow
    }
}

impl ByteLane {
    /// A direction that begins with what came with the handshake, which `traffic` does not know of yet.
    pub(crate) fn new(judge: Judge, leftover: Bytes, traffic: &DirectionTraffic) -> Self {
        let mut flow = Flow::default();
        flow.volume.bytes = leftover.len() as u64;
        traffic.bytes.inc_by(flow.volume.bytes);
        Self {
            backlog: Backlog::unjudged(leftover),
            judge,
            flow,
            needs_more: false,
        }
    }

    /// Writes what may be written.
    fn poll_write<K: Transport>(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> Poll<()> {
        let now = shared.now;
        while !self.backlog.to_write().is_empty() {
            if sink.output == Output::Finished {
                self.backlog.forget_to_write();
                break;
            }
            match sink.poll_write(context, self.backlog.to_write()) {
                Poll::Ready(Ok(count)) => {
                    self.backlog.wrote(count);
                    if self.flow.blocked_since.take().is_some() {
                        // Room after there was none: the peer has acknowledged bytes.
                        sink.hear(now);
                    }
                }
                Poll::Ready(Err(_)) => self.backlog.forget_to_write(),
                Poll::Pending => {
                    self.flow.block(shared);
                    return Poll::Pending;
                }
            }
        }
        self.flow.blocked_since = None;
        Poll::Ready(())
    }

    /// Puts a frame of the proxy's in, at a boundary. Whether there was one.
    fn inject<K: Transport>(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> bool {
        let is_between_messages = self.judge.is_between_messages();
        if !sink.has_frame_due(is_between_messages) || !self.judge.is_at_boundary() {
            return false;
        }
        let mask = (sink.side == Side::Backend).then(rand::random);
        let frame = match sink.take_due() {
            None if is_between_messages => return self.inject_message(context, sink, shared),
            None => return false,
            Some(Due::Ping) => frame::ping(shared.ping_payload, mask),
            Some(Due::Close(close)) => frame::close(close.code, &close.reason, mask),
        };
        self.backlog.inject(&frame);
        shared.has_changed = true;
        true
    }

    /// Puts a message for all sessions in, between two messages. Whether there was one.
    fn inject_message<K: Transport>(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> bool {
        let Some(broadcast) = shared.take_broadcast(sink) else {
            return false;
        };
        let mut frame = broadcast.frame().clone();
        shared.count_broadcast(frame.len());
        // The next write tells what becomes of a connection that takes nothing, or nothing any more.
        if let Poll::Ready(Ok(count)) = sink.poll_write(context, &frame) {
            frame.advance(count);
        }
        if !frame.is_empty() {
            self.backlog.inject_shared(frame);
        }
        true
    }

    /// A frame whose rest never comes can only be cut off, which the receiver sees as what it is.
    fn cut_if_inside_a_frame<K: Transport>(&mut self, sink: &mut Peer<K>) {
        if sink.output == Output::Open && !self.judge.is_at_boundary() {
            sink.cut();
        }
    }

    /// Takes bytes from what was held back, or else from the connection.
    fn poll_input<S: Transport, K: Transport>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Peer<S>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> Poll<()> {
        if self.flow.waits_until.is_some_and(|until| until > shared.now) && shared.is_open() {
            ready!(sink.poll_flush(context));
            return Poll::Pending;
        }
        self.flow.waits_until = None;
        if !self.backlog.to_judge().is_empty() && !self.needs_more {
            let mut bytes = self.backlog.take();
            self.pass(context, &mut bytes, source, sink, shared);
            return Poll::Ready(());
        }
        if source.input == Input::Ended {
            ready!(sink.poll_flush(context));
            return Poll::Pending;
        }
        scratch::lend(|buffer| {
            let held = self.backlog.to_judge().len();
            let Poll::Ready(count) = source.poll_read(context, &mut buffer[held..]) else {
                ready!(sink.poll_flush(context));
                return Poll::Pending;
            };
            if count == 0 {
                source.input = Input::Ended;
                shared.has_changed = true;
                self.backlog.clear();
                self.needs_more = false;
                return Poll::Ready(());
            }
            source.hear(shared.now);
            self.flow.volume.bytes += count as u64;
            shared.traffic(source.side).bytes.inc_by(count as u64);
            self.backlog.take_into(buffer);
            self.pass(context, &mut buffer[..held + count], source, sink, shared);
            Poll::Ready(())
        })
    }

    /// Judges `bytes`, writes at once what may go on, and keeps what is left.
    fn pass<S: Transport, K: Transport>(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut [u8],
        source: &mut Peer<S>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) {
        let judged = self.judge.judge(bytes, source, sink, shared);
        let Judged {
            passed,
            judged,
            stop,
            messages,
        } = judged;
        if messages > 0 {
            self.flow.volume.messages += messages;
            shared.traffic(source.side).messages.inc_by(messages);
        }
        self.needs_more = stop == Some(Stop::NeedsMore);
        if let Some(Stop::WaitUntil(until)) = stop {
            self.flow.waits_until = Some(until);
            shared.has_new_deadline = true;
        }
        let mut written = 0;
        if passed > 0 && sink.output != Output::Finished {
            match sink.poll_write(context, &bytes[..passed]) {
                Poll::Ready(Ok(count)) => written = count,
                // It takes nothing any more; what happens then follows from that.
                Poll::Ready(Err(_)) => written = passed,
                Poll::Pending => self.flow.block(shared),
            }
        } else {
            written = passed;
        }
        if written < passed || judged < bytes.len() {
            self.backlog.keep(&bytes[written..passed], &bytes[judged..]);
        }
    }
}
