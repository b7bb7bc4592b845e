//! From an object to a subscription that cannot be wrong, but for what is in Secrets.

use super::watcher::filter::{Filter, InvalidFilter};
use super::watcher::retry::RetryDelays;
use heddle_crds::duration::Duration as ApiDuration;
use heddle_crds::sse_subscription::{Backoff, Header, HttpSink, Reason, SseSubscriptionSpec, Tls};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use rustls::pki_types::ServerName;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Header fields that the client makes itself, and what they are for.
const OF_THE_CLIENT: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a specification cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidSpec {
    #[error("failed to read {field}")]
    Url {
        field: String,
        #[source]
        source: url::ParseError,
    },
    #[error("failed to read {0}: an https:// or http:// URL with a host, without credentials")]
    Scheme(String),
    #[error("failed to read {field}: {name} is no header field that may be set")]
    Header { field: String, name: String },
    #[error("failed to read {field}: the value of {name} is no value of a header field")]
    HeaderValue { field: String, name: String },
    #[error("failed to read spec.sinks: two are called {0}")]
    SameName(String),
    #[error("failed to read {0}: exactly one kind of sink")]
    Kind(String),
    #[error("failed to read {0}: a host name or an address")]
    ServerName(String),
    #[error("failed to read {0}: a duration that is not negative")]
    Duration(&'static str),
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
}

impl InvalidSpec {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Filter(_) => Reason::FilterInvalid,
            _ => Reason::InvalidSpec,
        }
    }
}

/// What an SseSubscription says.
#[derive(Clone)]
pub(crate) struct ValidatedSubscription {
    pub(crate) spec: Arc<SseSubscriptionSpec>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) url: Url,
    /// Of `spec.source.headers`.
    pub(crate) headers: HeaderMap,
    pub(crate) times: Times,
}

/// The durations of a specification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) reconnect: RetryDelays,
    pub(crate) sink_timeout: Duration,
    pub(crate) retry: RetryDelays,
    pub(crate) max_delay: Option<Duration>,
}

/// Reads the specification of an SseSubscription.
pub(crate) fn validate(spec: &Arc<SseSubscriptionSpec>) -> Result<ValidatedSubscription, InvalidSpec> {
    let url = url("spec.source.url", &spec.source.url)?;
    server_name("spec.source.tls", spec.source.tls.as_ref())?;
    let headers = headers("spec.source.headers", &spec.source.headers)?;
    for header in &spec.source.headers_from {
        header_name("spec.source.headersFrom", &header.name)?;
    }
    let mut names = BTreeSet::new();
    for (index, sink) in spec.sinks.iter().enumerate() {
        if !names.insert(&sink.name) {
            return Err(InvalidSpec::SameName(sink.name.clone()));
        }
        let field = format!("spec.sinks[{index}]");
        let kinds = [
            sink.http.is_some(),
            sink.idl_repo.is_some(),
            sink.ws_route.is_some(),
            sink.log.is_some(),
        ];
        check_sink(&field, &kinds, sink.http.as_ref())?;
    }
    if let Some(dead_letter) = &spec.delivery.dead_letter {
        let kinds = [dead_letter.http.is_some(), dead_letter.log.is_some()];
        check_sink("spec.delivery.deadLetter", &kinds, dead_letter.http.as_ref())?;
    }
    Ok(ValidatedSubscription {
        spec: Arc::clone(spec),
        filter: Arc::new(Filter::compile(spec.filter.as_ref())?),
        url,
        headers,
        times: times(spec)?,
    })
}

fn check_sink(field: &str, kinds: &[bool], http: Option<&HttpSink>) -> Result<(), InvalidSpec> {
    if kinds.iter().filter(|kind| **kind).count() != 1 {
        return Err(InvalidSpec::Kind(field.to_owned()));
    }
    let Some(http) = http else { return Ok(()) };
    sink_uri(&format!("{field}.http.url"), &http.url)?;
    server_name(&format!("{field}.http.tls"), http.tls.as_ref())?;
    headers(&format!("{field}.http.headers"), &http.headers)?;
    let signature = http.authentication.as_ref().and_then(|how| how.hmac.as_ref());
    if let Some(signature) = signature {
        header_name(
            &format!("{field}.http.authentication.hmac.header"),
            &signature.header,
        )?;
    }
    Ok(())
}

fn url(field: &str, text: &str) -> Result<Url, InvalidSpec> {
    let url = Url::parse(text).map_err(|source| InvalidSpec::Url {
        field: field.to_owned(),
        source,
    })?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let is_http = matches!(url.scheme(), "http" | "https");
    match is_http && url.has_host() && !has_credentials {
        true => Ok(url),
        false => Err(InvalidSpec::Scheme(field.to_owned())),
    }
}

fn server_name(field: &str, tls: Option<&Tls>) -> Result<(), InvalidSpec> {
    let Some(name) = tls.and_then(|tls| tls.server_name.as_deref()) else {
        return Ok(());
    };
    let parsed = ServerName::try_from(name).map(drop);
    parsed.map_err(|_| InvalidSpec::ServerName(format!("{field}.serverName")))
}

/// A sink's address, in the form that requests need.
pub(crate) fn sink_uri(field: &str, text: &str) -> Result<Uri, InvalidSpec> {
    let mut url = url(field, text)?;
    url.set_fragment(None);
    Uri::try_from(url.as_str()).map_err(|_| InvalidSpec::Scheme(field.to_owned()))
}

pub(crate) fn headers(field: &str, headers: &[Header]) -> Result<HeaderMap, InvalidSpec> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for Header { name, value } in headers {
        let value = HeaderValue::try_from(value).map_err(|_| InvalidSpec::HeaderValue {
            field: field.to_owned(),
            name: name.clone(),
        })?;
        map.insert(header_name(field, name)?, value);
    }
    Ok(map)
}

fn header_name(field: &str, name: &str) -> Result<HeaderName, InvalidSpec> {
    let parsed = HeaderName::try_from(name).ok();
    let settable = parsed.filter(|parsed| !OF_THE_CLIENT.contains(&parsed.as_str()));
    settable.ok_or_else(|| InvalidSpec::Header {
        field: field.to_owned(),
        name: name.to_owned(),
    })
}

fn times(spec: &SseSubscriptionSpec) -> Result<Times, InvalidSpec> {
    Ok(Times {
        connect_timeout: duration("spec.source.connectTimeout", &spec.source.connect_timeout)?,
        read_timeout: match &spec.source.read_timeout {
            Some(timeout) => Some(duration("spec.source.readTimeout", timeout)?),
            None => None,
        },
        reconnect: delays("spec.source.reconnect", &spec.source.reconnect)?,
        sink_timeout: duration("spec.delivery.timeout", &spec.delivery.timeout)?,
        retry: delays("spec.delivery.backoff", &spec.delivery.backoff)?,
        max_delay: match &spec.delivery.batch.max_delay {
            Some(delay) => Some(duration("spec.delivery.batch.maxDelay", delay)?),
            None => None,
        },
    })
}

fn delays(field: &'static str, backoff: &Backoff) -> Result<RetryDelays, InvalidSpec> {
    Ok(RetryDelays {
        initial: duration(field, &backoff.initial)?,
        max: duration(field, &backoff.max)?,
    })
}

fn duration(field: &'static str, duration: &ApiDuration) -> Result<Duration, InvalidSpec> {
    match duration.is_negative() {
        true => Err(InvalidSpec::Duration(field)),
        false => Ok((*duration).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(changes: &[(&str, Value)]) -> Result<ValidatedSubscription, InvalidSpec> {
        let mut spec = json!({
            "source": { "url": "https://forge.example/events?token=1" },
            "sinks": [{ "name": "orders", "http": { "url": "http://orders.shop.svc" } }],
        });
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        let spec: SseSubscriptionSpec = serde_json::from_value(spec).unwrap();
        validate(&spec.into())
    }

    #[test]
    fn a_plain_subscription_has_the_documented_defaults() {
        let read = read(&[]).unwrap();
        assert_eq!(read.times.sink_timeout, Duration::from_secs(30));
        assert_eq!(read.times.reconnect.max, Duration::from_secs(60));
        assert_eq!(read.times.read_timeout, None);
        assert!(read.spec.delivery.ordered);
    }

    #[test]
    fn what_cannot_work_is_named_by_its_field() {
        let sink = |url: &str| json!([{ "name": "a", "http": { "url": url } }]);
        for (pointer, value, expected) in [
            ("/source/url", json!("https://"), "spec.source.url"),
            ("/source/url", json!("ftp://a.example"), "spec.source.url"),
            (
                "/source/url",
                json!("https://u:p@a.example"),
                "without credentials",
            ),
            (
                "/source/headers",
                json!([{ "name": "Host", "value": "x" }]),
                "Host is no header field",
            ),
            (
                "/source/headers",
                json!([{ "name": "A", "value": "\n" }]),
                "no value",
            ),
            (
                "/source/tls",
                json!({ "serverName": "no name" }),
                "spec.source.tls.serverName",
            ),
            (
                "/sinks/0/http/tls",
                json!({ "serverName": "-" }),
                "spec.sinks[0].http.tls.serverName",
            ),
            ("/sinks", sink("nonsense"), "spec.sinks[0].http.url"),
            ("/sinks", json!([{ "name": "a" }]), "exactly one kind"),
            (
                "/sinks",
                json!([{ "name": "a", "log": {} }, { "name": "a", "log": {} }]),
                "two are called a",
            ),
            ("/filter", json!({ "cel": "data." }), "spec.filter.cel"),
        ] {
            let error = read(&[(pointer, value)])
                .err()
                .unwrap_or_else(|| panic!("{pointer} is fine"));
            let text = heddle_telemetry::ErrorChain(&error).to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}
