//! How a session ended.

use crate::broadcast::BroadcastVolume;
use crate::peer::Side;

/// How a session ended, for the access log and the metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionEnd {
    /// Who began it.
    pub closed_by: ClosedBy,
    /// Why.
    pub reason: EndReason,
    /// The code of the Close frame that the client sent; 1005 if it had none. Nothing without such a frame.
    pub code_from_client: Option<u16>,
    /// The code of the Close frame that the backend sent; 1005 if it had none. Nothing without such a frame.
    pub code_from_backend: Option<u16>,
    /// The code of the Close frame that the client got, from the backend or the proxy; 1005 if it had none.
    pub code_to_client: Option<u16>,
    /// The code of the Close frame that the backend got, from the client or the proxy; 1005 if it had none.
    pub code_to_backend: Option<u16>,
    /// What arrived from the client.
    pub from_client: Volume,
    /// What arrived from the backend.
    pub from_backend: Volume,
    /// What the client got of messages for all.
    pub broadcast: BroadcastVolume,
}

impl SessionEnd {
    /// The code that says best how the session ended, as the client would tell it: what it got or else what it sent, or
    /// else 1006, which is never on the wire.
    pub fn code(&self) -> u16 {
        let client_first = match self.closed_by {
            ClosedBy::Client => self.code_from_client.or(self.code_to_client),
            ClosedBy::Backend | ClosedBy::Proxy => self.code_to_client.or(self.code_from_client),
        };
        client_first.unwrap_or(1006)
    }
}

/// What went one way in a session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Volume {
    /// Messages of data.
    pub messages: u64,
    /// Bytes, frame headers included.
    pub bytes: u64,
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ClosedBy {
    /// The client: it sent the first Close frame, or went away.
    Client,
    /// The backend: it sent the first Close frame, or went away.
    Backend,
    /// The proxy: a limit, a time or a drain.
    Proxy,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EndReason {
    /// A peer sent a Close frame.
    Closed,
    /// A connection ended without a Close frame.
    Vanished,
    /// A peer answered no ping.
    Dead,
    /// Neither side sent data for so long.
    Idle,
    /// The session reached its age.
    MaxAge,
    /// The route or the program ends.
    Drain,
    /// A message was too long.
    MessageTooBig,
    /// The client sent too many messages.
    MessageRate,
    /// The backend sent a Close frame with a code that must not be on the wire, or a message that cannot be transcoded
    /// arrived.
    InvalidMessage,
    /// The session was broken off, without Close frames.
    Aborted,
}

impl From<Side> for ClosedBy {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Backend => Self::Backend,
        }
    }
}

impl ClosedBy {
    /// Its name in logs and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Proxy => "proxy",
        }
    }
}

impl EndReason {
    /// Its name in logs and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Vanished => "vanished",
            Self::Dead => "dead",
            Self::Idle => "idle",
            Self::MaxAge => "max_age",
            Self::Drain => "drain",
            Self::MessageTooBig => "message_too_big",
            Self::MessageRate => "message_rate",
            Self::InvalidMessage => "invalid_message",
            Self::Aborted => "aborted",
        }
    }

    /// What a peer is told that this is said to.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Closed | Self::Aborted => "",
            Self::Vanished | Self::Dead => "connection lost",
            Self::Idle => "idle for too long",
            Self::MaxAge => "session has reached its age",
            Self::Drain => "going away",
            Self::MessageTooBig => "message too big",
            Self::MessageRate => "too many messages",
            Self::InvalidMessage => "invalid message",
        }
    }

    /// What a peer is told whose other end this is said to.
    pub(crate) fn text_for_other(self) -> &'static str {
        match self {
            Self::Vanished | Self::Dead => "the other end is gone",
            _ => "the other end was refused",
        }
    }
}
