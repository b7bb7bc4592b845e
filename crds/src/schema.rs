//! Schemas that several kinds share.

use schemars::{Schema, SchemaGenerator, json_schema};

/// What `duration()` of CEL and Go's `time.ParseDuration` both read; the length bounds the cost of rules.
pub(crate) fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 32, "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" })
}
