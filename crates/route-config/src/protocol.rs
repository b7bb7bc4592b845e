//! The configuration stream: one long-lived HTTP/2 `POST` of [`PATH`] over TLS, with one JSON object a line in both
//! directions.
//!
//! The sidecar authenticates itself by a service-account token for [`TOKEN_AUDIENCE`] that is bound to its pod, in
//! `Authorization: Bearer`. It begins with [`Hello`]. Whenever the sidecar should have something else, the operator sends the
//! descriptor sets that it lacks, part by part, and then a [`Configuration`], which is always the whole of it. The sidecar
//! answers each with an [`Acknowledgement`]. Versions are digests of what they name, so a configuration that comes twice
//! changes nothing.
//!
//! To a sidecar that says so in its hello, the operator also sends each [`Broadcast`] for sessions of its routes, which it
//! answers with a [`BroadcastResult`], in any order.

mod broadcast;
mod configuration;
mod descriptors;
mod lines;

use serde::{Deserialize, Serialize};

pub use broadcast::{
    Broadcast, BroadcastError, BroadcastMessage, BroadcastResult, MESSAGES_LIMIT, TEXT_BYTES_LIMIT,
    TEXTS_BYTES_LIMIT,
};
pub use configuration::{Configuration, DescriptorsReference, Held, SentRoute};
pub use descriptors::{Assembly, AssemblyError, DescriptorsPart, PART_BYTES, parts};
pub use lines::{Lines, LinesError, line};

/// Where the stream is served.
pub const PATH: &str = "/v1/configuration";

/// The audience of tokens that sidecars show.
pub const TOKEN_AUDIENCE: &str = "heddle-configuration";

/// The media type of both directions.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// The most bytes of a line from the operator.
pub const LINE_BYTES_LIMIT: usize = 32 << 20;

/// The most bytes of a line from a sidecar.
pub const ANSWER_BYTES_LIMIT: usize = 2 << 20;

/// The most bytes of a message about one route in an acknowledgement. A longer one is cut.
pub const MESSAGE_BYTES_LIMIT: usize = 1024;

/// What the operator sends.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToSidecar {
    /// What the sidecar should do from now on.
    Configuration(Configuration),
    /// A part of a descriptor set that a configuration to come refers to.
    DescriptorsPart(DescriptorsPart),
    /// Messages for all sessions of a route. Only to sidecars whose hello says that they take them.
    Broadcast(Broadcast),
}

/// What a sidecar sends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToOperator {
    /// The first line.
    Hello(Hello),
    /// What became of a configuration.
    Acknowledged(Acknowledgement),
    /// What became of a broadcast.
    Broadcast(BroadcastResult),
}

/// Who is there, and what it has from before.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The version of the sidecar's program.
    pub sidecar_version: String,
    /// What became of the configuration that it works by. Absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Acknowledgement>,
    /// The digests of the descriptor sets that it keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<String>,
    /// Whether it takes broadcasts. Those of a version that knows of none do not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_broadcasts: bool,
}

/// What became of a configuration.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// See [`Configuration::version`].
    pub version: String,
    /// Of every route of the configuration.
    #[serde(default)]
    pub routes: Vec<RouteResult>,
}

/// What became of one route.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteResult {
    /// The route, in the pod's namespace.
    pub name: String,
    /// The uid that it came with: another object may have had the name before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The generation that is served. Of a route that is held, or whose newest generation was refused, an older one;
    /// absent if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Why the generation of the configuration is not served, or not by the descriptor set of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RouteError>,
}

/// Why a sidecar does not serve a route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteError {
    /// The generation that is not served.
    pub generation: i64,
    /// What kind of trouble it is.
    pub kind: RouteErrorKind,
    /// What it is, for people: at most [`MESSAGE_BYTES_LIMIT`] bytes, without secrets.
    pub message: String,
}

/// Why a sidecar does not serve a route, for programs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum RouteErrorKind {
    /// The specification cannot be read; the sidecar may be older than the operator.
    Invalid,
    /// A Secret is not mounted, or what is in it cannot be used.
    Secret,
    /// The descriptor set cannot be read.
    Descriptors,
    /// The descriptor set has no message type of that name.
    MessageType,
    /// Something else, such as a port that is taken.
    #[serde(other)]
    Other,
}

impl Acknowledgement {
    /// Whether something is served of every route, and nothing was refused.
    pub fn is_whole(&self) -> bool {
        let mut routes = self.routes.iter();
        routes.all(|route| route.error.is_none() && route.generation.is_some())
    }
}

impl RouteError {
    /// With a message that is cut where it is too long.
    pub fn new(generation: i64, kind: RouteErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        heddle_crds::condition::truncate(&mut message, MESSAGE_BYTES_LIMIT);
        Self {
            generation,
            kind,
            message,
        }
    }
}

#[cfg(test)]
mod tests;
