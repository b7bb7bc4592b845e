//! What Heddle reports about a WsRoute.

use crate::condition::Condition;
use crate::transcoding::Descriptors;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most pods that are named in [`Sidecars::missing_on`] and [`Sidecars::excluded_on`].
pub const NAMED_PODS_LIMIT: usize = 32;

/// What Heddle found and did.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WsRouteStatus {
    /// The generation of the specification that this status was computed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state in conditions: Ready, Accepted, ResolvedRefs, Programmed, and while true Reconciling and Stalled.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The pods that the route selects, and how far their sidecars are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<Sidecars>,
    /// The descriptor set that a transcoding route goes by: the newest one that every connected sidecar has acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<Descriptors>,
    /// The trace of the change that was programmed last: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub trace_id: Option<String>,
    /// The value of `heddle.dev/requestedAt` that was answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_requested_at: Option<String>,
}

/// Pods that a route selects, counted. Pods that have ended or are being deleted do not count.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sidecars {
    /// All that it selects.
    #[schemars(range(min = 0))]
    pub selected: i32,
    /// Those of them that are ready.
    #[schemars(range(min = 0))]
    pub ready: i32,
    /// Those whose sidecar is connected to the operator.
    #[schemars(range(min = 0))]
    pub connected: i32,
    /// Those whose sidecar has acknowledged this generation.
    #[schemars(range(min = 0))]
    pub programmed: i32,
    /// Those without a sidecar that get one when they are made anew.
    #[schemars(range(min = 0))]
    pub missing: i32,
    /// The names of those that are missing one, in alphabetical order, at most 32 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub missing_on: Vec<String>,
    /// Those without a sidecar that get none, because the webhook's selectors leave them or their namespace out.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub excluded: i32,
    /// The names of those that are left out, in alphabetical order, at most 32 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub excluded_on: Vec<String>,
}
