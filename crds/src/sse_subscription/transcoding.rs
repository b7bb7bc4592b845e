//! From JSON to protobuf.

use crate::reference::IdlRepoReference;
use crate::transcoding::{UnknownFields, message_name_schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Turns the data of events from JSON into protobuf, by a type that an IdlRepo has published.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transcoding {
    /// The IdlRepo of this namespace whose published descriptor set has the type. When it publishes anew, events from then
    /// on go by the new types; the connection to the source stays.
    pub idl_repo_ref: IdlRepoReference,
    /// The full name of the type that the data of each event is ProtoJSON of, such as `shop.v1.OrderPlaced`.
    #[schemars(schema_with = "message_name_schema")]
    pub message: String,
    /// What becomes of members of JSON objects that the type has no field for. `Ignore`: they are left out. `Refuse`: the
    /// data does not fit.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
}
