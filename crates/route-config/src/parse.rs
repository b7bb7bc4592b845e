//! From a specification to a route. The schema's rules refuse most of what is wrong before; manifests that a sidecar
//! reads alone have met no schema, so everything is checked here as well.

use crate::origin::OriginPattern;
use crate::path::RequestPath;
use crate::route::{
    Backend, BackendTls, HeaderMatch, HostPattern, Keepalive, Lifetime, Limits, MessageRate, PathMatch,
    RequestMatch, Route, RouteId, Timeouts, TlsSecrets, Transcoding,
};
use heddle_crds::ws_route::{self as spec, Encoding, PathMatchType};
use heddle_crds::{WsRoute, duration as kube_duration};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The most bytes of one message on a route that transcodes, unless it says otherwise.
const TRANSCODED_MESSAGE_BYTES: u64 = 1 << 20;

/// Everything that is wrong with a specification.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("failed to read WsRoute {id}: {}", join(.problems))]
pub struct InvalidRoute {
    /// The object.
    pub id: RouteId,
    /// What is wrong; never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a specification.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The place below `spec`, such as `backends[0].host`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "spec.{}: {}", self.field, self.message)
    }
}

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Collects problems while the rest goes on.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
        });
    }

    /// The value, or a note of what is wrong and nothing.
    fn keep<T>(&mut self, field: impl Into<String>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }
}

impl Route {
    /// Reads a WsRoute.
    ///
    /// # Errors
    /// All that is wrong with it at once.
    pub fn parse(object: &WsRoute) -> Result<Self, InvalidRoute> {
        let metadata = &object.metadata;
        let id = RouteId {
            namespace: metadata.namespace.clone().unwrap_or_else(|| "default".into()),
            name: metadata.name.clone().unwrap_or_default(),
        };
        let mut problems = Problems::default();
        if id.name.is_empty() {
            problems.add("metadata.name", "missing");
        }
        let spec = &object.spec;
        let route = Self {
            generation: metadata.generation.unwrap_or_default(),
            created_at: metadata
                .creation_timestamp
                .as_ref()
                .map_or(0, |time| time.0.as_second()),
            port: spec.listener.port,
            tls: spec.listener.tls.as_ref().map(|tls| TlsSecrets {
                certificate: tls.secret_ref.name.clone(),
                client_ca: tls
                    .client_ca_secret_ref
                    .as_ref()
                    .map(|secret| secret.name.clone()),
            }),
            hostnames: spec.hostnames.iter().map(|name| host_pattern(name)).collect(),
            matches: matches(&spec.matches, &mut problems),
            allowed_origins: spec
                .allowed_origins
                .iter()
                .map(|text| OriginPattern::parse(text))
                .collect(),
            backends: backends(&spec.backends, &mut problems),
            retries: spec.retries,
            passive_health: spec.passive_health.as_ref().map(|health| {
                (
                    health.consecutive_failures,
                    duration(health.ejection_time, "passiveHealth.ejectionTime", &mut problems),
                )
            }),
            forwarded_headers: spec.forwarding.headers,
            trusted_proxies: networks(&spec.forwarding.trusted_proxies, &mut problems),
            timeouts: timeouts(&spec.timeouts, &mut problems),
            lifetime: spec.lifetime.as_ref().map(|lifetime| Lifetime {
                max_age: duration(lifetime.max_age, "lifetime.maxAge", &mut problems),
                jitter: f64::from(lifetime.jitter_percent.min(100)) / 100.0,
            }),
            keepalive: spec.keepalive.as_ref().map(|keepalive| Keepalive {
                interval: duration(keepalive.interval, "keepalive.interval", &mut problems),
                timeout: duration(keepalive.timeout, "keepalive.timeout", &mut problems),
            }),
            limits: limits(spec, &mut problems),
            transcoding: spec.transcoding.as_ref().map(transcoding),
            id,
        };
        if spec.listener.port == 0 {
            problems.add("listener.port", "0 is no port");
        }
        match problems.0.is_empty() {
            true => Ok(route),
            false => Err(InvalidRoute {
                id: route.id,
                problems: problems.0,
            }),
        }
    }
}

fn host_pattern(name: &str) -> HostPattern {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix('*') {
        Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
        None => HostPattern::Exact(name),
    }
}

fn matches(all: &[spec::RequestMatch], problems: &mut Problems) -> Vec<RequestMatch> {
    if all.is_empty() {
        return vec![RequestMatch {
            path: PathMatch::Prefix(String::new()),
            headers: Vec::new(),
        }];
    }
    let read = |(index, each): (usize, &spec::RequestMatch)| {
        let place = format!("matches[{index}]");
        let path = problems.keep(format!("{place}.path.value"), path_match(&each.path));
        let mut headers: Vec<HeaderMatch> = each
            .headers
            .iter()
            .enumerate()
            .filter_map(|(index, header)| {
                problems.keep(format!("{place}.headers[{index}]"), header_match(header))
            })
            .collect();
        headers.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        path.map(|path| RequestMatch { path, headers })
    };
    all.iter().enumerate().filter_map(read).collect()
}

fn path_match(path: &spec::PathMatch) -> Result<PathMatch, String> {
    if path.value.contains(['?', '#']) {
        return Err("not a path without query and fragment".into());
    }
    let read = RequestPath::parse(&path.value).map_err(|error| error.to_string())?;
    if read.folded().is_some() {
        // No request that a backend could read differently gets to a route.
        return Err(r"a path that can be read in two ways: it has '//', '\', ';' or an escaped slash".into());
    }
    let value = read.normal();
    Ok(match path.type_ {
        PathMatchType::Exact => PathMatch::Exact(value.to_owned()),
        PathMatchType::PathPrefix => PathMatch::Prefix(value.trim_end_matches('/').to_owned()),
    })
}

fn header_match(header: &spec::HeaderMatch) -> Result<HeaderMatch, String> {
    let name = HeaderName::try_from(&header.name).map_err(|_| "not a name of a header field".to_owned())?;
    let value =
        HeaderValue::try_from(&header.value).map_err(|_| "not a value of a header field".to_owned())?;
    Ok(HeaderMatch { name, value })
}

fn backends(all: &[spec::Backend], problems: &mut Problems) -> Vec<Backend> {
    if all.iter().all(|backend| backend.weight == 0) {
        problems.add("backends", "at least one needs a weight above 0");
    }
    let mut names = BTreeSet::new();
    all.iter()
        .enumerate()
        .map(|(index, backend)| {
            if !names.insert(&backend.name) {
                problems.add(format!("backends[{index}].name"), "another backend has this name");
            }
            if backend.port == 0 {
                problems.add(format!("backends[{index}].port"), "0 is no port");
            }
            Backend {
                name: backend.name.clone(),
                host: backend.host.as_deref().map(bare_host),
                port: backend.port,
                weight: backend.weight,
                protocol: backend.protocol,
                tls: backend.tls.as_ref().map(|tls| BackendTls {
                    server_name: tls.server_name.clone(),
                    ca: tls.ca_secret_ref.as_ref().map(|secret| secret.name.clone()),
                    client_certificate: tls
                        .client_certificate_secret_ref
                        .as_ref()
                        .map(|secret| secret.name.clone()),
                }),
            }
        })
        .collect()
}

/// An IPv6 address may be written with brackets, as in URLs.
fn bare_host(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(_) => bare.to_owned(),
        Err(_) => host.to_owned(),
    }
}

fn networks(all: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let parse = |text: &str| -> Result<IpNet, String> {
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| "not a network such as 10.0.0.0/8".into())
    };
    all.iter()
        .enumerate()
        .filter_map(|(index, text)| problems.keep(format!("forwarding.trustedProxies[{index}]"), parse(text)))
        .collect()
}

fn timeouts(timeouts: &spec::Timeouts, problems: &mut Problems) -> Timeouts {
    Timeouts {
        connect: duration(timeouts.connect, "timeouts.connect", problems),
        handshake: duration(timeouts.handshake, "timeouts.handshake", problems),
        idle: timeouts
            .idle
            .map(|idle| duration(idle, "timeouts.idle", problems)),
        drain: non_negative(timeouts.drain, "timeouts.drain", problems),
        close: duration(timeouts.close, "timeouts.close", problems),
    }
}

fn non_negative(value: kube_duration::Duration, field: &str, problems: &mut Problems) -> Duration {
    if value.is_negative() {
        problems.add(field, "negative");
    }
    value.into()
}

fn duration(value: kube_duration::Duration, field: &str, problems: &mut Problems) -> Duration {
    let duration = non_negative(value, field, problems);
    if duration.is_zero() {
        problems.add(field, "0 would never let anything pass");
    }
    duration
}

fn limits(spec: &spec::WsRouteSpec, problems: &mut Problems) -> Limits {
    let limits = &spec.limits;
    if limits.max_message_bytes == Some(0) {
        problems.add("limits.maxMessageBytes", "0 would never let anything pass");
    }
    let default = spec.transcoding.as_ref().map(|_| TRANSCODED_MESSAGE_BYTES);
    Limits {
        max_message_bytes: limits.max_message_bytes.or(default),
        message_rate: limits.message_rate.as_ref().map(|rate| {
            if rate.per_second == 0 {
                problems.add("limits.messageRate.perSecond", "0 would never let anything pass");
            }
            MessageRate {
                per_second: rate.per_second,
                burst: rate.burst.unwrap_or(rate.per_second).max(1),
                on_exceed: rate.on_exceed,
            }
        }),
        max_connections: limits.max_connections,
        max_connections_per_client: limits.max_connections_per_client,
    }
}

fn transcoding(transcoding: &spec::Transcoding) -> Transcoding {
    Transcoding {
        idl_repo: transcoding.idl_repo_ref.name.clone(),
        client_encoding: transcoding.client_encoding,
        client_message: transcoding.client_message.clone(),
        backend_message: transcoding.backend_message.clone(),
        on_invalid_message: transcoding.on_invalid_message,
        unknown_fields: transcoding.unknown_fields,
    }
}

impl Transcoding {
    /// What backends speak.
    pub fn backend_encoding(&self) -> Encoding {
        match self.client_encoding {
            Encoding::Json => Encoding::Protobuf,
            Encoding::Protobuf => Encoding::Json,
        }
    }
}
