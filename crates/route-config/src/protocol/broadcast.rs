//! Messages for all sessions of a route, through the sidecars that serve it.

use serde::{Deserialize, Serialize};

/// The most bytes of one message's text.
pub const TEXT_BYTES_LIMIT: usize = 256 << 10;

/// The most bytes of all texts of a broadcast: as JSON, at most six times as long, they fit a line.
pub const TEXTS_BYTES_LIMIT: usize = 1 << 20;

/// The most messages of a broadcast.
pub const MESSAGES_LIMIT: usize = 256;

/// Messages for the clients of all sessions that a route has in a pod, in their order.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broadcast {
    /// By which the answer is known; no two of an operator have the same.
    pub number: u64,
    /// The route's namespace, which is the pod's.
    pub namespace: String,
    /// The route.
    pub route: String,
    /// Who has these messages. Two of one source that have the same id and text, or digest, are one and the same.
    pub source: String,
    /// At most [`MESSAGES_LIMIT`].
    pub messages: Vec<BroadcastMessage>,
}

/// A message for all sessions.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastMessage {
    /// The same when it is sent again.
    pub id: String,
    /// What clients get, in a text frame: at most [`TEXT_BYTES_LIMIT`] bytes.
    pub text: String,
    /// Tells it from others of the same id in place of the text, where that says when it was made, or of which trace it is,
    /// and so is another when it is made again. Any string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The trace that it is part of, as W3C writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// What became of a broadcast in one pod. Without an error, all messages are queued for every session that was open, or
/// had been before.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastResult {
    /// See [`Broadcast::number`].
    pub number: u64,
    /// How many sessions that were.
    #[serde(default)]
    pub sessions: u64,
    /// Why nothing was queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<BroadcastError>,
}

/// Why a sidecar has queued nothing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum BroadcastError {
    /// It does not serve the route.
    RouteUnknown,
    /// A message is longer than messages of the route may be.
    MessageTooLong,
    /// It has too many to queue already.
    Busy,
    /// Something else.
    #[serde(other)]
    Other,
}
