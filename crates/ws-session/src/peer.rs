//! One of the two ends of a session: how far it is with its Close frames and its connection.

use crate::Transport;
use crate::frame::code;
use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::time::Instant;

/// Which end a peer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Who asked for the session.
    Client,
    /// Who serves it.
    Backend,
}

/// What comes from a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// Frames.
    Open,
    /// Nothing that counts, after a Close frame, until the connection ends.
    Closed,
    /// Nothing: the connection has ended.
    Ended,
}

/// What may be sent to a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// Frames.
    Open,
    /// Nothing more: a Close frame is on its way, or the stream was cut inside a frame.
    Closed,
    /// Nothing: this half of the connection has been shut down, or it fails.
    Finished,
}

/// A Close frame that the proxy sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Close {
    /// None stands for a frame without a code.
    pub code: Option<u16>,
    /// Cut to what a Close frame has room for when it is sent.
    pub reason: Cow<'static, str>,
}

/// A frame that the proxy sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Due {
    /// Ends the session for its receiver.
    Close(Close),
    /// Asks whether its receiver lives.
    Ping,
}

/// One of the two ends of a session.
#[derive(Debug)]
pub struct Peer<T> {
    /// The connection.
    pub transport: T,
    /// Which end it is.
    pub side: Side,
    /// What comes from it.
    pub input: Input,
    /// What may be sent to it.
    pub output: Output,
    /// The Close frame that is sent at the next boundary.
    close_due: Option<Close>,
    /// Whether a Ping is sent at the next boundary.
    is_ping_due: bool,
    /// Whether messages for all sessions wait for the end of a message.
    is_message_due: bool,
    /// Whether bytes may be held by the transport.
    pub needs_flush: bool,
    /// Whether a Ping of anybody has gone to the peer since it was heard.
    pub(crate) was_pinged: bool,
    /// When it sent something, or took something that had had to wait.
    pub(crate) heard: Instant,
    /// Since when an answer to a Ping has been waited for.
    pub(crate) probed: Option<Instant>,
    pub(crate) code_received: Option<u16>,
    pub(crate) code_sent: Option<u16>,
}

impl<T> Peer<T> {
    pub(crate) fn new(transport: T, side: Side, now: Instant) -> Self {
        Self {
            transport,
            side,
            input: Input::Open,
            output: Output::Open,
            close_due: None,
            is_ping_due: false,
            is_message_due: false,
            needs_flush: false,
            was_pinged: false,
            heard: now,
            probed: None,
            code_received: None,
            code_sent: None,
        }
    }

    /// The same peer over what becomes of its connection.
    pub(crate) fn carry<U, E>(self, transport: impl FnOnce(T) -> Result<U, E>) -> Result<Peer<U>, E> {
        Ok(Peer {
            transport: transport(self.transport)?,
            side: self.side,
            input: self.input,
            output: self.output,
            close_due: self.close_due,
            is_ping_due: self.is_ping_due,
            is_message_due: self.is_message_due,
            needs_flush: self.needs_flush,
            was_pinged: self.was_pinged,
            heard: self.heard,
            probed: self.probed,
            code_received: self.code_received,
            code_sent: self.code_sent,
        })
    }

    /// Sends a Close frame at the next boundary, unless one was sent or is due already.
    pub fn request_close(&mut self, code: u16, reason: impl Into<Cow<'static, str>>) {
        let (code, reason) = (Some(code), reason.into());
        self.request(Close { code, reason });
    }

    /// The same for a frame that may lack a code.
    pub fn request(&mut self, close: Close) {
        if self.lacks_close() {
            self.close_due = Some(close);
        }
    }

    /// Sends a Ping at the next boundary.
    pub(crate) fn request_ping(&mut self) {
        self.is_ping_due = true;
    }

    /// Notes whether there are messages for all sessions.
    pub(crate) fn expect_message(&mut self, is_due: bool) {
        self.is_message_due = is_due;
    }

    /// Whether messages for all sessions wait for a boundary between two messages. After a Close frame none may follow.
    pub fn is_message_due(&self) -> bool {
        self.is_message_due && self.lacks_close()
    }

    /// Whether a frame of the proxy's waits for a boundary between frames, or one that may be between messages.
    pub(crate) fn has_frame_due(&self, is_between_messages: bool) -> bool {
        let is_due =
            self.close_due.is_some() || self.is_ping_due || (self.is_message_due && is_between_messages);
        is_due && self.output == Output::Open
    }

    /// Whether no Close frame has been sent to the peer and none is going to be.
    pub(crate) fn lacks_close(&self) -> bool {
        self.output == Output::Open && self.close_due.is_none()
    }

    /// The frame that waits for a boundary, which this is. After a Close frame nothing else may follow.
    pub fn take_due(&mut self) -> Option<Due> {
        if self.output != Output::Open {
            return None;
        }
        if let Some(close) = self.close_due.take() {
            self.passed_close(close.code);
            return Some(Due::Close(close));
        }
        std::mem::take(&mut self.is_ping_due).then(|| {
            self.was_pinged = true;
            Due::Ping
        })
    }

    /// Notes that a Close frame goes to the peer.
    pub fn passed_close(&mut self, code: Option<u16>) {
        self.output = Output::Closed;
        self.code_sent = Some(code.unwrap_or(code::NO_STATUS));
        self.close_due = None;
    }

    /// Notes that the peer lives.
    pub fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.probed = None;
        self.was_pinged = false;
    }

    /// Notes that nothing can be sent to the peer any more.
    pub fn fail_output(&mut self) {
        self.output = Output::Finished;
        self.close_due = None;
    }

    /// Ends the stream to the peer inside a frame, where no Close frame can be sent.
    pub(crate) fn cut(&mut self) {
        self.output = Output::Closed;
        self.close_due = None;
    }

    /// Gives the peer up: nothing comes from it, nothing goes to it.
    pub(crate) fn give_up(&mut self) {
        self.fail_output();
        self.input = Input::Ended;
    }

    /// Whether this half of the connection is to be shut down once everything has been written. Servers close first
    /// (RFC 6455 7.1.1): the client is shut down when both Close frames have gone, the backend when it has closed.
    pub fn is_to_finish(&self) -> bool {
        match (self.output, self.side) {
            (Output::Closed, Side::Client) => self.input != Input::Open || self.code_sent.is_none(),
            (Output::Closed, Side::Backend) => self.input == Input::Ended || self.code_sent.is_none(),
            (Output::Open | Output::Finished, _) => false,
        }
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.input == Input::Ended && self.output == Output::Finished
    }
}

impl<T: Transport> Peer<T> {
    /// Reads into `buffer`; 0 at the end of the connection, however it ended.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        let mut read = ReadBuf::new(buffer);
        let result = ready!(Pin::new(&mut self.transport).poll_read(context, &mut read));
        Poll::Ready(match result {
            Ok(()) => read.filled().len(),
            Err(_) => 0,
        })
    }

    /// Writes some of `bytes`.
    ///
    /// # Errors
    /// What the transport says; it takes nothing more then.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.transport).poll_write(context, bytes));
        let result = match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        };
        self.needs_flush = true;
        if result.is_err() {
            self.fail_output();
        }
        Poll::Ready(result)
    }

    /// Makes the transport send what it holds. Nothing to do for TCP.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.needs_flush && self.output != Output::Finished {
            if ready!(Pin::new(&mut self.transport).poll_flush(context)).is_err() {
                self.fail_output();
            }
            self.needs_flush = false;
        }
        Poll::Ready(())
    }

    /// Shuts down the half of the connection that goes to the peer.
    pub(crate) fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // That it fails says no more than that the connection has gone.
        let (Ok(()) | Err(_)) = ready!(Pin::new(&mut self.transport).poll_shutdown(context));
        self.output = Output::Finished;
        Poll::Ready(())
    }
}
