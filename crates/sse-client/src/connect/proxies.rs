//! Which proxy stands before a URL.

use super::Target;
use crate::Error;
use crate::error::Place;
use http::{HeaderValue, StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use std::fmt;
use std::io;
use std::sync::Arc;
use url::Url;

/// Which proxies are used for which URLs.
#[derive(Clone)]
pub struct Proxies(Option<Arc<Matcher>>);

/// Why a proxy does not let through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// There is no connection to it.
    #[error("failed to reach the proxy")]
    Reach(#[source] Box<Error>),
    /// Its URL is of a scheme that this client does not speak.
    #[error("failed to use a proxy of scheme {scheme}; give one that speaks http or https")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// It refuses to open a tunnel.
    #[error("failed to open a tunnel: the proxy answers {status}; check its rules and credentials")]
    Refused {
        /// Its answer to CONNECT.
        status: StatusCode,
    },
    /// What it answers to CONNECT is not HTTP, or too long.
    #[error("failed to read the proxy's answer; check that it speaks HTTP")]
    Answer,
    /// The connection broke.
    #[error("failed to talk to the proxy")]
    Talk(#[source] io::Error),
}

/// One proxy.
pub(super) struct Proxy {
    uri: Uri,
    pub(super) is_https: bool,
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxies {
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in capitals or not, at the time of this call.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }

    /// No proxy for anything.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// One proxy for each scheme of URLs, given as URLs and empty for none, and the hosts that are reached without one, as
    /// `NO_PROXY` lists them.
    #[must_use]
    pub fn new(http: &str, https: &str, except: &str) -> Self {
        let matcher = Matcher::builder()
            .http(http.to_owned())
            .https(https.to_owned())
            .no(except.to_owned())
            .build();
        Self(Some(Arc::new(matcher)))
    }

    pub(super) fn before(&self, url: &Url) -> Option<Proxy> {
        let matcher = self.0.as_ref()?;
        let uri: Uri = url.origin().ascii_serialization().parse().ok()?;
        let intercept = matcher.intercept(&uri)?;
        Some(Proxy {
            is_https: intercept.uri().scheme_str() == Some("https"),
            authorization: intercept.basic_auth().cloned().map(sensitive),
            uri: intercept.uri().clone(),
        })
    }
}

impl Default for Proxies {
    fn default() -> Self {
        Self::from_environment()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() {
            "Proxies(..)"
        } else {
            "Proxies(none)"
        })
    }
}

impl Proxy {
    /// Host and port, without credentials.
    pub(super) fn name(&self) -> String {
        let port = self.uri.port_u16();
        let host = self.uri.host().unwrap_or_default();
        port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Where the proxy is.
    pub(super) fn target(&self) -> Result<Target, ProxyError> {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            scheme => {
                return Err(ProxyError::Scheme {
                    scheme: scheme.to_owned(),
                });
            }
        };
        Ok(Target {
            host: self.uri.host().unwrap_or_default().to_owned(),
            port: self.uri.port_u16().unwrap_or(default_port),
            place: Place::named(format!("{scheme}://{}", self.name())),
        })
    }
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
