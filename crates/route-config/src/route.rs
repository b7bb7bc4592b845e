//! Routes that cannot be wrong: durations, networks, patterns are parsed.

use crate::OriginPattern;
use heddle_crds::transcoding::UnknownFields;
use heddle_crds::ws_route::{Encoding, ForwardedHeaders, InvalidMessagePolicy, OnExceed, Protocol};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Which WsRoute a route comes from.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RouteId {
    /// The namespace of the object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for RouteId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// What a WsRoute says, parsed. Made by [`Route::parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The object.
    pub id: RouteId,
    /// Its generation; 0 for one that no API server has seen.
    pub generation: i64,
    /// When it was created, in seconds since 1970; 0 for one that no API server has seen. Of routes that contest a
    /// request, the oldest takes it.
    pub created_at: i64,
    /// The port that requests arrive at.
    pub port: u16,
    /// The certificates of that port; plain connections, if absent.
    pub tls: Option<TlsSecrets>,
    /// Any host, if empty.
    pub hostnames: Vec<HostPattern>,
    /// Never empty: a specification without matches takes every path.
    pub matches: Vec<RequestMatch>,
    /// Any origin, if empty.
    pub allowed_origins: Vec<OriginPattern>,
    /// Never empty, and the weights' sum is above 0.
    pub backends: Vec<Backend>,
    /// On how many other backends a handshake may be tried.
    pub retries: u8,
    /// After how many failures in a row a backend is passed over, and for how long.
    pub passive_health: Option<(u32, Duration)>,
    /// Which header fields tell backends about the client.
    pub forwarded_headers: ForwardedHeaders,
    /// The networks of proxies that are believed about the client.
    pub trusted_proxies: Vec<IpNet>,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// How old a session gets.
    pub lifetime: Option<Lifetime>,
    /// Pings to silent peers.
    pub keepalive: Option<Keepalive>,
    /// What clients may use up.
    pub limits: Limits,
    /// JSON on one side, protobuf on the other.
    pub transcoding: Option<Transcoding>,
}

/// The names of the Secrets that a listener's certificates come from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TlsSecrets {
    /// With `tls.crt` and `tls.key`.
    pub certificate: String,
    /// With `ca.crt`, by which certificates of clients are checked.
    pub client_ca: Option<String>,
}

/// A pattern of hosts, in lower case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host that ends in this, which begins with a dot.
    Suffix(String),
}

/// What a request must be like.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RequestMatch {
    /// Its path.
    pub path: PathMatch,
    /// Header fields that it must have, in the order of their names.
    pub headers: Vec<HeaderMatch>,
}

/// What a path must be like.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PathMatch {
    /// This path.
    Exact(String),
    /// A path that begins with these elements. Without a slash at its end; empty for every path.
    Prefix(String),
}

/// A header field with this value.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HeaderMatch {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// One place that sessions go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its name, unique in the route.
    pub name: String,
    /// A name or an address without brackets; the pod itself, if absent.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// Its share of sessions.
    pub weight: u32,
    /// How the handshake is made.
    pub protocol: Protocol,
    /// Plain connections, if absent.
    pub tls: Option<BackendTls>,
}

impl Backend {
    /// The host to connect to.
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("127.0.0.1")
    }
}

/// How a backend proves who it is, and the sidecar to it. Names of Secrets.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct BackendTls {
    /// The name that the certificate must be for; the host, if absent.
    pub server_name: Option<String>,
    /// With `ca.crt`.
    pub ca: Option<String>,
    /// With `tls.crt` and `tls.key`.
    pub client_certificate: Option<String>,
}

/// How long each step may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// To connect to one backend.
    pub connect: Duration,
    /// From the request to the answer.
    pub handshake: Duration,
    /// Without data frames.
    pub idle: Option<Duration>,
    /// Over how long sessions are closed.
    pub drain: Duration,
    /// For the answer to a Close frame.
    pub close: Duration,
}

/// How old a session gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifetime {
    /// The age at which it ends.
    pub max_age: Duration,
    /// The share of it that is taken away at random, from 0 to 1.
    pub jitter: f64,
}

/// Pings to silent peers.
#[derive(Clone, Debug, PartialEq)]
pub struct Keepalive {
    /// After so much silence a peer is pinged.
    pub interval: Duration,
    /// After so much more it is dead.
    pub timeout: Duration,
}

/// What clients may use up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Bytes of one message on the wire.
    pub max_message_bytes: Option<u64>,
    /// Messages of one session.
    pub message_rate: Option<MessageRate>,
    /// Sessions of the route.
    pub max_connections: Option<u32>,
    /// Sessions of one client address.
    pub max_connections_per_client: Option<u32>,
}

/// Messages that a client may send in one session.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
    /// What becomes of more.
    pub on_exceed: OnExceed,
}

/// JSON on one side, protobuf on the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcoding {
    /// The IdlRepo, in the route's namespace, whose published types count.
    pub idl_repo: String,
    /// What clients speak.
    pub client_encoding: Encoding,
    /// The full name of the type that clients send.
    pub client_message: String,
    /// The full name of the type that backends send.
    pub backend_message: String,
    /// What becomes of messages that cannot be turned.
    pub on_invalid_message: InvalidMessagePolicy,
    /// What becomes of unknown members of JSON objects.
    pub unknown_fields: UnknownFields,
}
