//! Redirects: where to, and what of the request goes there. Source: the Fetch standard, "HTTP-redirect fetch".

use crate::request::{self, LAST_EVENT_ID};
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

/// Headers that describe a body, and go with it.
const OF_BODY: [&str; 4] = [
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
];
/// Headers that speak for the caller, and stay with the origin that they were meant for.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirects {
    /// How many in a row.
    pub limit: u32,
    /// From `https` to `http` as well.
    pub allow_downgrade: bool,
}

impl Redirects {
    /// What the Fetch standard says.
    pub const DEFAULT_LIMIT: u32 = 20;
}

impl Default for Redirects {
    fn default() -> Self {
        Self {
            limit: Self::DEFAULT_LIMIT,
            allow_downgrade: false,
        }
    }
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were too many in a row, most often in a loop.
    #[error(
        "it is the {limit}th redirect in a row, which is the limit; check that the server does not redirect in a loop"
    )]
    TooMany {
        /// [`Redirects::limit`].
        limit: u32,
    },
    /// The server does not say where to.
    #[error("it has no Location that is a URL; check the server")]
    NoLocation,
    /// The other end is not reached by HTTP.
    #[error("it leads to a URL of scheme {scheme}, and only http and https are followed")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// From `https` to `http`.
    #[error(
        "it leads from https to http, where anybody may read along; use the https URL, or allow the downgrade"
    )]
    Downgrade,
}

/// What is sent next: the request itself first, and what redirects make of it.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// No redirect has led to another origin, so that credentials may be shown.
    pub(crate) is_home: bool,
    followed: u32,
}

impl Hop {
    pub(crate) fn first(request: &request::Request) -> Self {
        Self {
            url: request.url.clone(),
            method: request.method.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            is_home: true,
            followed: 0,
        }
    }

    /// What a response of this status makes of the request.
    pub(crate) fn follow(
        mut self,
        status: StatusCode,
        headers: &HeaderMap,
        redirects: Redirects,
    ) -> Result<Self, RedirectError> {
        let url = self.destination(headers)?;
        if self.followed >= redirects.limit {
            return Err(RedirectError::TooMany {
                limit: redirects.limit,
            });
        }
        if self.url.scheme() == "https" && url.scheme() == "http" && !redirects.allow_downgrade {
            return Err(RedirectError::Downgrade);
        }
        if becomes_get(status, &self.method) {
            self.drop_body();
        }
        if url.origin() != self.url.origin() {
            self.drop_credentials();
        }
        self.url = url;
        self.followed += 1;
        Ok(self)
    }

    fn destination(&self, headers: &HeaderMap) -> Result<Url, RedirectError> {
        let location = headers
            .get(LOCATION)
            .and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let url = location.and_then(|location| self.url.join(location).ok());
        let mut url = url.ok_or(RedirectError::NoLocation)?;
        if !request::is_supported(&url) {
            return Err(RedirectError::Scheme {
                scheme: url.scheme().to_owned(),
            });
        }
        // What a server puts there is not the caller's to show. Neither fails where there is a host.
        let _ = url.set_username("").and(url.set_password(None));
        url.set_fragment(None);
        Ok(url)
    }

    fn drop_body(&mut self) {
        self.method = Method::GET;
        self.body = Bytes::new();
        for name in OF_BODY {
            self.headers.remove(name);
        }
    }

    fn drop_credentials(&mut self) {
        self.is_home = false;
        let secrets: Vec<HeaderName> = self
            .headers
            .iter()
            .filter(|(name, value)| value.is_sensitive() || CREDENTIALS.contains(name))
            .map(|(name, _)| name.clone())
            .filter(|name| *name != LAST_EVENT_ID)
            .collect();
        for name in secrets {
            self.headers.remove(name);
        }
    }
}

/// Whether a status asks for another URL.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => method == Method::POST,
        303 => method != Method::GET && method != Method::HEAD,
        _ => false,
    }
}
