//! What clients are told when there is no session, and nobody else has told them: the one place where trouble becomes an
//! answer. Its texts name neither addresses nor errors of ours.

use crate::head::HeadError;
use http::StatusCode;

/// Why the proxy itself refuses a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Refusal {
    /// It is no HTTP/1.1 request, or one that readers could understand differently.
    Malformed(&'static str),
    /// Its head is too long, or has too many fields.
    HeadTooLarge,
    /// Its head has not arrived in time.
    HeadTimeout,
    /// It is not a GET.
    Method,
    /// It does not ask for WebSocket.
    NotAnUpgrade,
    /// It asks for another version of the protocol.
    Version,
    /// No route takes it.
    RouteNotFound,
    /// Its page is of an origin that may not connect.
    Origin,
    /// The route has as many sessions as it may.
    RouteFull,
    /// The client has as many sessions as it may.
    ClientFull,
    /// No backend could be reached, or what it said was no answer.
    BadGateway,
    /// No backend has answered in time.
    GatewayTimeout,
}

/// How long a client should wait before it tries again, in seconds.
const RETRY_AFTER_SECONDS: &str = "5";

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::RouteNotFound => StatusCode::NOT_FOUND,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::RouteFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::ClientFull => StatusCode::TOO_MANY_REQUESTS,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Its name in logs and labels.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::Method => "method",
            Self::NotAnUpgrade => "not_an_upgrade",
            Self::Version => "version",
            Self::RouteNotFound => "route_not_found",
            Self::Origin => "origin",
            Self::RouteFull => "route_full",
            Self::ClientFull => "client_full",
            Self::BadGateway => "bad_gateway",
            Self::GatewayTimeout => "gateway_timeout",
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            Self::HeadTooLarge => "the head of the request is too large",
            Self::HeadTimeout => "the request took too long to arrive",
            Self::Method => "a WebSocket handshake is a GET",
            Self::NotAnUpgrade => "only WebSocket handshakes are served here",
            Self::Version => "only version 13 of the WebSocket protocol is spoken here",
            Self::RouteNotFound => "no route takes this request",
            Self::Origin => "pages of this origin may not connect",
            Self::RouteFull => "there are too many connections",
            Self::ClientFull => "you have too many connections",
            Self::BadGateway => "no backend could be reached",
            Self::GatewayTimeout => "no backend answered in time",
        }
    }

    /// Fields that belong to the answer, beside those of every answer.
    pub(crate) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            Self::NotAnUpgrade | Self::Version => {
                &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
            }
            Self::RouteFull | Self::ClientFull => &[("Retry-After", RETRY_AFTER_SECONDS)],
            _ => &[],
        }
    }

    /// The whole answer in HTTP/1.1. The connection is closed after it.
    pub(crate) fn to_http1(self) -> Vec<u8> {
        let status = self.status();
        let connection = match self.fields().iter().any(|(name, _)| *name == "Upgrade") {
            true => "close, Upgrade",
            false => "close",
        };
        let mut answer = format!(
            "HTTP/1.1 {} {}\r\nConnection: {connection}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n",
            status.as_str(),
            status.canonical_reason().unwrap_or_default(),
            self.text().len() + 1,
        );
        for (name, value) in self.fields() {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        answer.push_str(self.text());
        answer.push('\n');
        answer.into_bytes()
    }
}

impl Refusal {
    /// What a client is told whose head could not be read. Nothing, if it is gone.
    pub(crate) fn of_head(error: &HeadError) -> Option<Self> {
        match error {
            HeadError::Closed | HeadError::Truncated | HeadError::Read(_) => None,
            HeadError::TooLong | HeadError::TooManyFields => Some(Self::HeadTooLarge),
            HeadError::Malformed(_) => Some(Self::Malformed("the request is malformed")),
        }
    }
}
