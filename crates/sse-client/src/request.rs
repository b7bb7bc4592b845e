//! What is asked of a server, again at each connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::fmt;
use url::Url;

/// The header that carries the place to go on from.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Headers that say how bytes are framed or where they go, which is not the caller's to say.
const RESERVED: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    LAST_EVENT_ID,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request for an event stream: any method, headers and body. It is sent again at each reconnection.
///
/// Mark header values that are secrets with [`HeaderValue::set_sensitive`]: those, `Authorization` and `Cookie` are not sent on
/// to another origin when a server redirects. The `Debug` form shows neither query, header values nor body.
#[derive(Clone)]
pub struct Request {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The request can't be sent. The texts hold no part of header values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The URL is none.
    #[error("failed to read the URL; it takes the form https://host/path")]
    ParseUrl(#[source] url::ParseError),
    /// Only `http` and `https` can be asked.
    #[error("failed to use a URL of scheme {scheme}; use http or https")]
    UseScheme {
        /// The scheme of the URL.
        scheme: String,
    },
    /// The header is set by the client itself.
    #[error("failed to set the header {name}; the client sets it itself")]
    SetReservedHeader {
        /// The header's name.
        name: HeaderName,
    },
}

impl Request {
    /// A GET request.
    ///
    /// # Errors
    /// The URL is none, or of another scheme than `http` and `https`.
    pub fn get(url: &str) -> Result<Self, RequestError> {
        Self::new(Method::GET, url)
    }

    /// A request of any method. User name and password in the URL become an `Authorization` header.
    ///
    /// # Errors
    /// The URL is none, or of another scheme than `http` and `https`.
    pub fn new(method: Method, url: &str) -> Result<Self, RequestError> {
        let mut url = Url::parse(url).map_err(RequestError::ParseUrl)?;
        if !is_supported(&url) {
            return Err(RequestError::UseScheme {
                scheme: url.scheme().to_owned(),
            });
        }
        let mut headers = HeaderMap::new();
        if let Some(value) = basic_credentials(&url) {
            headers.insert(AUTHORIZATION, value);
        }
        // Neither fails where there is a host, which these schemes always have.
        let _ = url.set_username("").and(url.set_password(None));
        url.set_fragment(None);
        Ok(Self {
            url,
            method,
            headers,
            body: Bytes::new(),
        })
    }

    /// Sets a header in place of any of this name.
    ///
    /// # Errors
    /// The client sets this header itself.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Result<Self, RequestError> {
        if RESERVED.contains(&name) {
            return Err(RequestError::SetReservedHeader { name });
        }
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Where the first request goes.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// Whether this client can ask for such a URL.
pub(crate) fn is_supported(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn basic_credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let [user, password] = [url.username(), url.password().unwrap_or_default()].map(percent_decoded);
    let pair = [user, password].join(&b':');
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("place", &crate::error::Place::of(&self.url))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
