//! JSON on one side, protobuf on the other.

use crate::reference::IdlRepoReference;
use crate::transcoding::{UnknownFields, message_name_schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Turns messages from one encoding into the other, by types that an IdlRepo has published.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transcoding {
    /// The IdlRepo of this namespace whose published descriptor set has the types. When it publishes anew, messages
    /// from then on go by the new types, in sessions that are open too.
    pub idl_repo_ref: IdlRepoReference,
    /// What clients speak; backends speak the other. `JSON`: ProtoJSON in text messages. `Protobuf`: the binary format in binary
    /// messages.
    #[serde(default)]
    pub client_encoding: Encoding,
    /// The full name of the type of messages that clients send, such as `chat.v1.ClientMessage`.
    #[schemars(schema_with = "message_name_schema")]
    pub client_message: String,
    /// The full name of the type of messages that backends send, such as `chat.v1.ServerMessage`.
    #[schemars(schema_with = "message_name_schema")]
    pub backend_message: String,
    /// What becomes of a message that cannot be turned. `Close`: the session ends with 1007 and a reason that names the place.
    /// `Reply`: whoever sent it gets a text message `{"error":{"code":"INVALID_MESSAGE","message":…}}`, and the session goes on.
    #[serde(default)]
    pub on_invalid_message: InvalidMessagePolicy,
    /// What becomes of members of JSON objects that the type has no field for. `Ignore`: they are left out. `Refuse`: the
    /// message is invalid.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
}

/// How messages are encoded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Encoding {
    /// ProtoJSON in text messages.
    #[default]
    #[serde(rename = "JSON")]
    Json,
    /// The binary format in binary messages.
    Protobuf,
}

/// What becomes of a message that cannot be turned into the other encoding.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum InvalidMessagePolicy {
    /// The session ends with 1007 and a reason that names the place.
    #[default]
    Close,
    /// Whoever sent it gets a text message `{"error":{"code":"INVALID_MESSAGE","message":…}}`, and the session goes on.
    Reply,
}
