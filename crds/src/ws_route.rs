//! `WsRoute`: a WebSocket reverse proxy beside the containers of the pods that it selects.
#![expect(
    unreachable_pub,
    reason = "the KubeSchema derive repeats each type inside a function"
)]

mod backend;
mod reason;
mod status;
mod traffic;
mod transcoding;

use crate::reference::SecretReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use backend::{Backend, BackendTls, PassiveHealth, Protocol};
pub use reason::{ConditionType, Reason};
pub use status::{NAMED_PODS_LIMIT, Sidecars, WsRouteStatus};
pub use traffic::{
    ForwardedHeaders, Forwarding, Keepalive, Lifetime, Limits, MessageRate, OnExceed, Timeouts,
};
pub use transcoding::{Encoding, InvalidMessagePolicy, Transcoding};

/// The port that a sidecar listens on unless the route says otherwise.
pub const DEFAULT_PORT: u16 = 9080;

/// What a route's path is like, as requests are matched by it: characters or escapes, each perhaps with a slash behind it.
/// Escapes of NUL, slash and backslash are none of them, and no element is `.` or `..`, however it is written.
const PATH_RULE: &str = concat!(
    r"self.matches(r'^/(([^/?#%\\;]|%(0[1-9A-Fa-f]|2[0-9A-Ea-e]|5[0-9ABDEFabdef]|[13-46-9A-Fa-f][0-9A-Fa-f]))/?)*$')",
    r" && !self.matches(r'/([.]|%2[Ee]){1,2}(/|$)')"
);
const PATH_MESSAGE: &str = r"matches[].path.value: an absolute path without query and fragment that everybody reads in one way: without '//', '\', ';', elements '.' and '..', and escaped slashes, backslashes and NULs";

/// Which pods get a WebSocket proxy, which requests it takes, and what it does with them.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "heddle.dev",
    version = "v1alpha1",
    kind = "WsRoute",
    namespaced,
    status = "WsRouteStatus",
    category = "heddle",
    shortname = "wsr",
    derive = "PartialEq",
    doc = "A WebSocket reverse proxy beside the containers of the pods that it selects: it knows frames, so that it can limit, count, ping and drain sessions, and costs what a byte tunnel costs.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Programmed",
        type_ = "integer",
        json_path = ".status.sidecars.programmed",
        description = "Pods whose sidecar has acknowledged this generation"
    ),
    printcolumn(
        name = "Pods",
        type_ = "integer",
        json_path = ".status.sidecars.selected",
        description = "Pods that the route selects"
    ),
    printcolumn(
        name = "Missing",
        type_ = "integer",
        json_path = ".status.sidecars.missing",
        description = "Pods without a sidecar"
    ),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 200")
        .message("metadata.name: at most 200 characters")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WsRouteSpec {
    /// The pods of this namespace that get the proxy as a sidecar when they are created, such as
    /// `{matchLabels: {app: chat}}`. It must say something: an empty selector would take every pod.
    #[x_kube(validation = Rule::new("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)").message("selector: name at least one label; an empty selector would give every pod a sidecar"))]
    pub selector: LabelSelector,
    /// Where the sidecar takes connections: the port that Services target, and its certificate.
    #[serde(default)]
    pub listener: Listener,
    /// The hosts that requests are for, such as `chat.example.com` or `*.example.com` (one or more labels in place of
    /// the star), without a port. Any, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")), extend("x-kubernetes-list-type" = "set"))]
    pub hostnames: Vec<String>,
    /// The requests that the route takes, by path and header fields: those that satisfy any of these entries. All, if empty. Of
    /// several routes that take a request, the one with the more specific host, path and number of header fields has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub matches: Vec<RequestMatch>,
    /// The origins (RFC 6454) of pages that may connect, such as `https://example.com` or `https://*.example.com`. A
    /// request with another `Origin` gets 403; one without, which no browser makes, is let through. Any, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512), regex(pattern = r"^(null|[a-z][-+.a-z0-9]*://(\*\.)?[^/*\s]+)$")), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_origins: Vec<String>,
    /// The WebSocket servers that sessions go to, each to one of these by weight.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.exists(b, !has(b.weight) || b.weight > 0)").message("backends: at least one needs a weight above 0"))]
    pub backends: Vec<Backend>,
    /// How many other backends are asked when one cannot be reached for a handshake, or answers it with 502, 503 or 504: from
    /// 0 to 15. A session that has begun (101) is never moved.
    #[serde(default = "default_retries")]
    #[schemars(range(min = 0, max = 15), default = "default_retries")]
    pub retries: u8,
    /// When a backend that fails gets no more sessions for a while. It always gets its share, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive_health: Option<PassiveHealth>,
    /// What backends are told about the client: its address, the host that it asked for, and whether it used TLS.
    #[serde(default)]
    pub forwarding: Forwarding,
    /// How long each step may take, as durations such as `10s`, `1m30s` or `500ms`.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How old a session gets before it is closed. As old as it wants, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// Pings to peers that say nothing, by which dead ones are found. None, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// What clients may use up, counted by each sidecar on its own.
    #[serde(default)]
    pub limits: Limits,
    /// Turns JSON on one side into protobuf on the other, by types that an IdlRepo has published. Messages go through
    /// as they are, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcoding: Option<Transcoding>,
    /// While true, sidecars keep the generation that they have, and changes of the specification wait. Sessions go on.
    #[serde(default)]
    pub suspend: bool,
}

/// Where the sidecar takes connections.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// The port of the pod, from 1024 to 65535. Routes may share it when they share `tls`.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024, max = 65535), default = "default_port")]
    pub port: u16,
    /// Takes TLS connections only. Plain ones, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

/// The certificate that a sidecar shows to clients.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    /// A Secret of type `kubernetes.io/tls` in this namespace, with `tls.crt` and `tls.key`. It is mounted into the
    /// pod when that is made; a renewed certificate is used within a minute or two, without a restart.
    pub secret_ref: SecretReference,
    /// Clients must show a certificate signed by an authority in `ca.crt` of this Secret. None is asked for, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_secret_ref: Option<SecretReference>,
}

/// What a request must be like: all that is said here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMatch {
    /// The path, without the query. Every path, if absent.
    #[serde(default)]
    pub path: PathMatch,
    /// Header fields that it must have, all of them. Any, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers: Vec<HeaderMatch>,
}

/// What a path must be like.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathMatch {
    /// How `value` is compared. `Exact`: the path is the same. `PathPrefix`: the path begins with these elements, so that `/chat`
    /// takes `/chat` and `/chat/a`, and not `/chatter`.
    #[serde(rename = "type", default)]
    pub type_: PathMatchType,
    /// An absolute path, such as `/chat`, that everybody reads in one way: without `//`, `\`, `;`, elements `.` and `..`, and
    /// escaped slashes, backslashes and NULs. `%` begins an escape.
    #[serde(default = "default_path")]
    #[schemars(length(min = 1, max = 1024), default = "default_path")]
    #[x_kube(validation = Rule::new(PATH_RULE).message(PATH_MESSAGE))]
    pub value: String,
}

/// How paths are compared, as in the Gateway API.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PathMatchType {
    /// The path is the same.
    Exact,
    /// The path begins with these elements: `/chat` takes `/chat` and `/chat/a`, and not `/chatter`.
    #[default]
    PathPrefix,
}

/// A header field that a request must have.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMatch {
    /// Its name, such as `X-Tenant`, in upper or lower case.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$")
    )]
    pub name: String,
    /// Its whole value, compared byte by byte.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            port: default_port(),
            tls: None,
        }
    }
}

impl Default for PathMatch {
    fn default() -> Self {
        Self {
            type_: PathMatchType::default(),
            value: default_path(),
        }
    }
}

fn default_port() -> u16 {
    DEFAULT_PORT
}

fn default_path() -> String {
    "/".into()
}

fn default_retries() -> u8 {
    1
}
