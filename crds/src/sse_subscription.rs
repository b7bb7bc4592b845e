//! `SseSubscription`: a connection to a source of server-sent events that is kept open, and sinks that each event is
//! delivered to at least once.
#![expect(
    unreachable_pub,
    reason = "the KubeSchema derive repeats each type inside a function"
)]

mod delivery;
mod reason;
mod sink;
mod source;
mod status;
mod transcoding;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use delivery::{Backoff, Batch, DeadLetter, Delivery};
pub use reason::{ConditionType, Reason};
pub use sink::{
    BasicAuthentication, BearerAuthentication, ContentMode, HmacSignature, HttpSink, IdlRepoSink, LogSink,
    MessageFormat, Sink, SinkAuthentication, WsRouteSink,
};
pub use source::{Header, HeaderFromSecret, Method, Source, Tls};
pub use status::{Counts, SseSubscriptionStatus};
pub use transcoding::Transcoding;

/// A source of server-sent events, and where they go.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "heddle.dev",
    version = "v1alpha1",
    kind = "SseSubscription",
    namespaced,
    status = "SseSubscriptionStatus",
    category = "heddle",
    shortname = "sse",
    derive = "PartialEq",
    doc = "A connection to a source of server-sent events that is kept open for ever. Each event is delivered to every sink at least once, and after a restart the stream goes on where sinks have acknowledged it.",
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
        name = "Connected",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Connected")].status"#
    ),
    printcolumn(
        name = "Delivered",
        type_ = "integer",
        json_path = ".status.counts.delivered",
        description = "Events that every sink has acknowledged"
    ),
    printcolumn(
        name = "Last Event",
        type_ = "date",
        json_path = ".status.lastEventAt",
        description = "When the newest event was received"
    ),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(
        name = "Owner",
        type_ = "string",
        json_path = ".status.owner",
        description = "The replica of the operator that holds the connection",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 200")
        .message("metadata.name: at most 200 characters"),
    validation = Rule::new("!has(self.spec.transcoding) || self.spec.sinks.exists(s, has(s.http))")
        .message("transcoding: only http sinks get the data of events; name one")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SseSubscriptionSpec {
    /// Where events come from.
    pub source: Source,
    /// Which events are delivered. All, if absent. The others count as filtered, and the stream's place moves past them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Where events go: each to all of these. The stream's place moves when all have acknowledged.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sinks: Vec<Sink>,
    /// How events are delivered.
    #[serde(default)]
    pub delivery: Delivery,
    /// Turns the data of events from JSON into protobuf for `http` sinks, by a type that an IdlRepo has published. Filters see
    /// it, and the dead letter gets it, as it came. It stays as it is for everybody, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcoding: Option<Transcoding>,
    /// Closes the connection while true. The stream's place is kept.
    #[serde(default)]
    pub suspend: bool,
}

/// Which events are delivered: those that satisfy all that is said here.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.eventTypes) || has(self.cel)").message("filter: name eventTypes, cel or both"))]
pub struct Filter {
    /// The types of events, as in the stream's `event` field; an event without one is a `message`. Every type, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub event_types: Vec<String>,
    /// An expression in CEL that is true for events to deliver. It sees `event.id`, `event.type` and `event.data` as
    /// strings, and `data`, which is `event.data` read as JSON, or null where it is none. An expression that fails for
    /// an event, for example because a member is missing, lets it through, so that no event is lost by mistake; `has()`
    /// asks first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub cel: Option<String>,
}
