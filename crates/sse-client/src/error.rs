//! Why there is no connection, or no more.

use crate::ParseError;
use crate::connect::{ProxyError, Refusal};
use crate::redirect::RedirectError;
use http::StatusCode;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use url::Url;

/// Scheme, host, port and path of a URL: what may be told of it. Queries may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Place(String);

/// Why an attempt brought no stream, or a stream broke. No text holds header values, queries or bodies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name has no address, or name resolution fails.
    #[error("failed to resolve {host}; check the host of the URL, and name resolution")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// The address policy permits none of the host's addresses.
    #[error("refused to connect to {host}: {refusal}")]
    AddressRefused {
        /// The host of the URL, or of a redirect.
        host: String,
        /// The policy's answer for the last address.
        refusal: Refusal,
    },
    /// No address takes a connection.
    #[error(
        "failed to connect to {place} at {address}; check that the server listens there, and network policies"
    )]
    Connect {
        /// What was asked for.
        place: Place,
        /// The last address that was tried.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Name resolution, TCP, proxy and TLS took longer than [`Settings::connect_timeout`](crate::Settings::connect_timeout).
    #[error("failed to connect to {place} within {limit:?}; check network policies and proxies")]
    ConnectTimeout {
        /// What was asked for.
        place: Place,
        /// The limit.
        limit: Duration,
    },
    /// The proxy does not let through, or cannot be reached.
    #[error("failed to reach {place} through the proxy {proxy}; check the proxy's settings")]
    Proxy {
        /// What was asked for.
        place: Place,
        /// Host and port of the proxy.
        proxy: String,
        /// What went wrong.
        #[source]
        source: ProxyError,
    },
    /// The server's certificate is not trusted, or is for another name.
    #[error(
        "failed to trust the certificate of {place}; give the authority that issued it, and check the host's name"
    )]
    Certificate {
        /// What was asked for.
        place: Place,
        /// What TLS says.
        #[source]
        source: io::Error,
    },
    /// TLS fails for another reason, such as a missing client certificate.
    #[error(
        "failed to speak TLS with {place}; check that the port speaks TLS and whether it asks for a client certificate"
    )]
    Tls {
        /// What was asked for.
        place: Place,
        /// What TLS says.
        #[source]
        source: io::Error,
    },
    /// What the server answers is not HTTP, or it closes the connection before it answers.
    #[error("failed to get an HTTP response from {place}; check that the port speaks HTTP")]
    Exchange {
        /// What was asked for.
        place: Place,
        /// What HTTP says.
        #[source]
        source: hyper::Error,
    },
    /// The server took longer to answer than [`Settings::response_timeout`](crate::Settings::response_timeout).
    #[error(
        "failed to get a response from {place} within {limit:?}; check that the server sends its head at once"
    )]
    ResponseTimeout {
        /// What was asked for.
        place: Place,
        /// The limit.
        limit: Duration,
    },
    /// The server answers with another status than 200 and 204.
    #[error("failed to open the event stream at {place}: the server answers {status}")]
    Status {
        /// What was asked for.
        place: Place,
        /// The answer.
        status: StatusCode,
        /// What `Retry-After` says, in either of its forms.
        retry_after: Option<Duration>,
    },
    /// The server answers with something else than `text/event-stream`.
    #[error(
        "failed to read {place} as an event stream: its Content-Type is not text/event-stream; check the URL"
    )]
    ContentType {
        /// What was asked for.
        place: Place,
    },
    /// The server compresses though it was not asked to.
    #[error(
        "failed to read {place}: its Content-Encoding was not asked for; have the server send it unencoded"
    )]
    ContentEncoding {
        /// What was asked for.
        place: Place,
    },
    /// A redirect is not followed.
    #[error("failed to follow a redirect of {place}")]
    Redirect {
        /// What answered with the redirect.
        place: Place,
        /// Why.
        #[source]
        source: RedirectError,
    },
    /// The last event id holds characters that no header can carry.
    #[error(
        "failed to ask {place} to go on: the last event id cannot be sent in a header; start without one"
    )]
    LastEventId {
        /// What would be asked.
        place: Place,
    },
    /// The server has ended the response, which it may at any time.
    #[error("the server at {place} has ended the response")]
    EndOfStream {
        /// What was asked for.
        place: Place,
    },
    /// The connection broke.
    #[error("failed to read from {place}")]
    Read {
        /// What was asked for.
        place: Place,
        /// What HTTP says.
        #[source]
        source: hyper::Error,
    },
    /// No byte came within [`Settings::read_timeout`](crate::Settings::read_timeout).
    #[error(
        "the stream from {place} was silent for {limit:?}; have the server send comments as heartbeats, or raise the read timeout"
    )]
    ReadTimeout {
        /// What was asked for.
        place: Place,
        /// The limit.
        limit: Duration,
    },
    /// A line did not end within [`Settings::line_timeout`](crate::Settings::line_timeout), though bytes may have come.
    #[error(
        "a line from {place} has not ended within {limit:?}; check what slows the server down, or raise the line timeout"
    )]
    LineTimeout {
        /// What was asked for.
        place: Place,
        /// The limit.
        limit: Duration,
    },
    /// A limit on sizes is passed.
    #[error("failed to go on with the stream from {place}")]
    Parse {
        /// What was asked for.
        place: Place,
        /// Which one.
        #[source]
        source: ParseError,
    },
}

impl Error {
    /// Whether the same request may succeed later, with nobody changing anything about it: what
    /// [`Settings::is_retryable`](crate::Settings::is_retryable) is by default.
    ///
    /// Final are: an address that the policy refuses, something else than an event stream, redirects that are not followed, a
    /// last event id that cannot be sent, and every status other than 408, 425, 429 and 5xx but for 501 and 505.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_retryable(*status),
            Self::AddressRefused { .. }
            | Self::ContentType { .. }
            | Self::ContentEncoding { .. }
            | Self::Redirect { .. }
            | Self::LastEventId { .. } => false,
            _ => true,
        }
    }

    /// How long the server asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn is_retryable(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

impl Place {
    pub(crate) fn of(url: &Url) -> Self {
        Self(format!("{}{}", url.origin().ascii_serialization(), url.path()))
    }

    /// `name` must hold neither a query nor credentials.
    pub(crate) fn named(name: String) -> Self {
        Self(name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
