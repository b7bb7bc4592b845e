//! One handshake with one backend.

use super::{BackendAnswer, http1, http2};
use crate::backend::LiveBackend;
use crate::dial::{BackendStream, DialError};
use crate::fields::Fields;
use crate::head::HeadError;
use crate::refusal::Refusal;
use crate::request::SessionRequest;
use bytes::BytesMut;
use heddle_crds::ws_route::Protocol;
use heddle_route_config::Route;
use std::io;
use std::sync::Arc;

/// What a backend has said.
pub(super) enum Answer {
    Switched(Switched),
    Declined(BackendAnswer),
}

/// A backend that has changed to WebSocket.
pub(super) struct Switched {
    pub(super) stream: BackendStream,
    pub(super) leftover: BytesMut,
    /// Those that are meant for the client.
    pub(super) fields: Fields,
}

/// Why a backend has not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("failed to send the handshake to the backend")]
    Send(#[source] io::Error),
    #[error("failed to receive the backend's answer")]
    Receive(#[source] HeadError),
    #[error("failed to receive the backend's answer in time")]
    NoAnswer,
    #[error("failed to receive the backend's answer in the time that others had left")]
    OutOfTime,
    #[error("failed to make the request in HTTP/2: its path or host cannot be written there")]
    Unsendable,
    #[error("failed to understand the backend's answer: {0}")]
    Invalid(&'static str),
    #[error("failed to make the handshake in HTTP/2")]
    Http2(#[source] hyper::Error),
}

impl AttemptError {
    /// Whether another backend may be tried: not when this one takes the session to be open, nor when the client is to
    /// blame.
    pub(super) fn may_retry(&self) -> bool {
        !matches!(self, Self::Invalid(_) | Self::Unsendable)
    }

    /// Whether it says something about how the backend does.
    pub(super) fn is_backends_fault(&self) -> bool {
        !matches!(self, Self::OutOfTime | Self::Unsendable)
    }

    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::NoAnswer | Self::OutOfTime => Refusal::GatewayTimeout,
            Self::Dial(error) if error.is_timeout() => Refusal::GatewayTimeout,
            Self::Unsendable => Refusal::Malformed("the path or host has characters that URLs cannot have"),
            _ => Refusal::BadGateway,
        }
    }
}

/// Connects, asks and waits for the answer.
pub(super) async fn attempt(
    request: &SessionRequest,
    backend: &Arc<LiveBackend>,
    route: &Route,
) -> Result<Answer, AttemptError> {
    match backend.config.protocol {
        Protocol::Http1 => http1::attempt(request, backend, route).await,
        // The rarer way, and the larger state.
        Protocol::Http2 => Box::pin(http2::attempt(request, backend, route)).await,
    }
}
