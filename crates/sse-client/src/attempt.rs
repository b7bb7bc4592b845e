//! One attempt to open a stream: connect, ask, follow redirects, judge the answer.

use crate::connect::{Connection, Connector, Form};
use crate::error::Place;
use crate::exchange::Driver;
use crate::redirect::{Hop, is_redirect};
use crate::request::LAST_EVENT_ID;
use crate::response::{Verdict, judge};
use crate::{Error, Opened, Request, Settings, Text};
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use std::sync::Arc;
use url::Url;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("heddle-sse-client/", env!("CARGO_PKG_VERSION")));

/// How an attempt went well.
pub(crate) enum Outcome {
    Open(Box<Stream>),
    /// The server answered 204.
    NoContent,
}

/// A response that is an event stream, and what keeps it coming.
pub(crate) struct Stream {
    pub(crate) opened: Opened,
    pub(crate) body: Incoming,
    pub(crate) driver: Driver,
}

/// Tries once.
pub(crate) async fn attempt(
    connector: Arc<Connector>,
    request: Arc<Request>,
    settings: Arc<Settings>,
    last_event_id: Text,
) -> Result<Outcome, Error> {
    let mut hop = Hop::first(&request);
    add_defaults(&mut hop, &last_event_id)?;
    drop((request, last_event_id));
    loop {
        let connection = connector.connect(&hop, settings.connect_timeout).await?;
        let (opened, response, driver) = ask(connection, &hop, &settings).await?;
        if !is_redirect(response.status()) {
            return match judge(&hop.url, response.status(), response.headers())? {
                Verdict::NoContent => Ok(Outcome::NoContent),
                Verdict::EventStream => Ok(Outcome::Open(Box::new(Stream {
                    opened,
                    body: response.into_body(),
                    driver,
                }))),
            };
        }
        let place = Place::of(&hop.url);
        let next = hop.follow(response.status(), response.headers(), settings.redirects);
        hop = next.map_err(|source| Error::Redirect { place, source })?;
    }
}

async fn ask(
    connection: Connection,
    hop: &Hop,
    settings: &Settings,
) -> Result<(Opened, http::Response<Incoming>, Driver), Error> {
    let request = message(&connection, hop);
    let address = connection.address;
    let limit = settings.response_timeout;
    let exchange = tokio::time::timeout(limit, connection.exchange(request)).await;
    let place = || Place::of(&hop.url);
    let exchange = exchange.map_err(|_| Error::ResponseTimeout {
        place: place(),
        limit,
    })?;
    let (response, driver) = exchange.map_err(|source| Error::Exchange {
        place: place(),
        source,
    })?;
    let opened = Opened {
        url: hop.url.clone(),
        version: response.version(),
        address,
    };
    Ok((opened, response, driver))
}

/// Headers that are sent unless the caller has set them, and the id to go on from.
fn add_defaults(hop: &mut Hop, last_event_id: &str) -> Result<(), Error> {
    let defaults = [
        (ACCEPT, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (USER_AGENT, AGENT),
    ];
    for (name, value) in defaults {
        hop.headers.entry(name).or_insert(value);
    }
    if !last_event_id.is_empty() {
        let value = HeaderValue::from_bytes(last_event_id.as_bytes());
        let place = || Place::of(&hop.url);
        let value = value.map_err(|_| Error::LastEventId { place: place() })?;
        hop.headers.insert(LAST_EVENT_ID, value);
    }
    Ok(())
}

fn message(connection: &Connection, hop: &Hop) -> http::Request<Full<Bytes>> {
    let mut headers = hop.headers.clone();
    if !connection.is_http2 {
        headers.extend(host(&hop.url));
    }
    if let Form::Absolute(Some(authorization)) = &connection.form {
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    let mut request = http::Request::new(Full::new(hop.body.clone()));
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = uri(connection, &hop.url);
    *request.headers_mut() = headers;
    request
}

fn host(url: &Url) -> HeaderMap {
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, None) => HeaderValue::from_str(host),
        (host, Some(port)) => HeaderValue::from_str(&format!("{host}:{port}")),
    };
    HeaderMap::from_iter(host.map(|host| (HOST, host)))
}

/// HTTP/2 and proxies are told the whole URL, servers that speak HTTP/1.1 the path.
fn uri(connection: &Connection, url: &Url) -> Uri {
    let is_whole = connection.is_http2 || matches!(connection.form, Form::Absolute(_));
    let start = if is_whole {
        url::Position::BeforeScheme
    } else {
        url::Position::BeforePath
    };
    url[start..url::Position::AfterQuery].parse().unwrap_or_default()
}
