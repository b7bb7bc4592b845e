//! What Heddle reports about an SseSubscription.

use crate::condition::Condition;
use crate::transcoding::Descriptors;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What Heddle found and did.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SseSubscriptionStatus {
    /// The generation of the specification that this status was computed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state in conditions: Ready, Connected, Delivering, and while true Reconciling and Stalled.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The replica of the operator that holds the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub owner: Option<String>,
    /// The id up to which every event has been acknowledged by all sinks, filtered or put into the dead letter. After a
    /// restart the stream goes on from the one in the ConfigMap `<name>-checkpoint`, which is at most a moment older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_event_id: Option<String>,
    /// When the newest event was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_at: Option<Time>,
    /// What has become of events since the subscription was created. Written every few seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The descriptor set that the data of events is transcoded by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<Descriptors>,
    /// When the source is connected to again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
    /// The value of `heddle.dev/requestedAt` that was answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_requested_at: Option<String>,
}

/// What has become of events. A process that was killed may have counted some that are not in here.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Events that were received.
    #[schemars(range(min = 0))]
    pub received: i64,
    /// Those of them that the filter took out.
    #[schemars(range(min = 0))]
    pub filtered: i64,
    /// Those that every sink has acknowledged.
    #[schemars(range(min = 0))]
    pub delivered: i64,
    /// Deliveries that were made again.
    #[schemars(range(min = 0))]
    pub retried: i64,
    /// Events that went to the dead letter.
    #[schemars(range(min = 0))]
    pub dead_lettered: i64,
    /// How often the source was connected to, or tried to be.
    #[schemars(range(min = 0))]
    pub connection_attempts: i64,
}
