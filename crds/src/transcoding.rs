//! What kinds that turn JSON into protobuf and back have in common.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What becomes of members of JSON objects that the type has no field for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum UnknownFields {
    /// They are left out.
    #[default]
    Ignore,
    /// The message is invalid.
    Refuse,
}

/// A descriptor set that an IdlRepo published.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptors {
    /// Its digest, `sha256:` and 64 hexadecimal digits.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// The source commit that it describes, by its full id.
    #[schemars(length(max = 64))]
    pub source_revision: String,
}

/// The full name of a message type.
pub(crate) fn message_name_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 512, "pattern": r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
    })
}
