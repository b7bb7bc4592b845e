//! What becomes of sessions: headers, times and limits.

use crate::schema::duration_schema;
use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What backends are told about the client.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Forwarding {
    /// Which header fields tell it. `XForwarded`: `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`. `Forwarded`:
    /// that of RFC 7239. `Both`: all of them. `None`: none, and those that arrive are dropped.
    #[serde(default)]
    pub headers: ForwardedHeaders,
    /// The networks of proxies that are believed, as CIDRs such as `10.0.0.0/8`: what they say about the client is kept, and
    /// this hop is added. What anybody else says is dropped. Nobody is believed, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 43)), extend("x-kubernetes-list-type" = "set"))]
    pub trusted_proxies: Vec<String>,
}

/// Which header fields tell backends about the client.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// All of them.
    Both,
    /// None of them: those that arrive are dropped.
    None,
}

/// How long each step may take. They are kept apart so that no timeout of a handshake ends a session.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// How long it may take to connect to one backend, TLS included: from 10 milliseconds to 5 minutes.
    #[serde(default = "default_connect")]
    #[schemars(schema_with = "duration_schema", default = "default_connect")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('5m')").message("timeouts.connect: between 10ms and 5m"))]
    pub connect: Duration,
    /// How long it may take from the client's request to the answer that it gets, retries included: from 10 milliseconds to
    /// 5 minutes. It never ends a session.
    #[serde(default = "default_handshake")]
    #[schemars(schema_with = "duration_schema", default = "default_handshake")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('5m')").message("timeouts.handshake: between 10ms and 5m"))]
    pub handshake: Duration,
    /// After how long without a data frame from either side the session is closed (pings and pongs do not count): from 1
    /// second to 7 days, such as `1h`. Never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')").message("timeouts.idle: between 1s and 168h"))]
    pub idle: Option<Duration>,
    /// Over how long the sessions are closed (1001) when the pod ends or the route goes away, each at a random moment
    /// of it: up to 1 hour.
    #[serde(default = "default_drain")]
    #[schemars(schema_with = "duration_schema", default = "default_drain")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("timeouts.drain: at most 1h"))]
    pub drain: Duration,
    /// How long the other side may take to answer a Close frame: from 10 milliseconds to 1 minute.
    #[serde(default = "default_close")]
    #[schemars(schema_with = "duration_schema", default = "default_close")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('1m')").message("timeouts.close: between 10ms and 1m"))]
    pub close: Duration,
}

/// How old a session gets.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lifetime {
    /// The age at which it is closed with 1001, so that clients spread over new pods: from 1 second to 30 days (`720h`),
    /// such as `4h`.
    #[schemars(schema_with = "duration_schema")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('720h')").message("lifetime.maxAge: between 1s and 720h"))]
    pub max_age: Duration,
    /// How much of it is taken away at random, in percent from 0 to 100, so that those that began together do not end
    /// together: with `4h` and 20, sessions end after 3.2 to 4 hours.
    #[serde(default = "default_jitter")]
    #[schemars(range(min = 0, max = 100), default = "default_jitter")]
    pub jitter_percent: u8,
}

/// Pings to peers that say nothing.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keepalive {
    /// A peer, client or backend, that has sent nothing for so long is pinged: from 100 milliseconds to 24 hours.
    #[serde(default = "default_ping_interval")]
    #[schemars(schema_with = "duration_schema", default = "default_ping_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('24h')").message("keepalive.interval: between 100ms and 24h"))]
    pub interval: Duration,
    /// A peer that then sends nothing for so long is dead, and its session ends: from 100 milliseconds to 1 hour.
    #[serde(default = "default_ping_timeout")]
    #[schemars(schema_with = "duration_schema", default = "default_ping_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')").message("keepalive.timeout: between 100ms and 1h"))]
    pub timeout: Duration,
}

/// What clients may use up, for each sidecar.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// The most bytes of one message as it is on the wire, over all of its frames, in either direction: from 1 to
    /// 4294967296. A longer one ends the session with 1009. Any, if absent; on a route that transcodes, 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_296_u64))]
    pub max_message_bytes: Option<u64>,
    /// How many messages a client may send in a session. Any, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_rate: Option<MessageRate>,
    /// The most sessions at the same time in each sidecar; another request gets 503. Any, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_connections: Option<u32>,
    /// The most sessions of one client address at the same time in each sidecar; another request gets 429. Any, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_connections_per_client: Option<u32>,
}

/// How many messages one client may send in a session.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageRate {
    /// So many messages a second in the long run.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub per_second: u32,
    /// So many messages at once after a pause. As many as `perSecond`, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub burst: Option<u32>,
    /// What becomes of more. `Wait`: they wait, and with them the client, whose connection is not read meanwhile. `Close`: the
    /// session ends with 1008.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// What becomes of messages that exceed the rate.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum OnExceed {
    /// They wait, and with them the client: its connection is not read meanwhile.
    #[default]
    Wait,
    /// The session ends with 1008.
    Close,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: default_connect(),
            handshake: default_handshake(),
            idle: None,
            drain: default_drain(),
            close: default_close(),
        }
    }
}

fn default_connect() -> Duration {
    std::time::Duration::from_secs(5).into()
}

fn default_handshake() -> Duration {
    std::time::Duration::from_secs(10).into()
}

fn default_drain() -> Duration {
    std::time::Duration::from_secs(20).into()
}

fn default_close() -> Duration {
    std::time::Duration::from_secs(5).into()
}

fn default_jitter() -> u8 {
    20
}

fn default_ping_interval() -> Duration {
    std::time::Duration::from_secs(30).into()
}

fn default_ping_timeout() -> Duration {
    std::time::Duration::from_secs(10).into()
}
