//! ProtoJSON both ways, straight between wire bytes and text: no tree of values in between.
//!
//! [`JsonPrinter`] and [`JsonParser`] take a whole message at a time and own the scratch they need, so that a steady
//! stream of messages is transcoded without allocating. [`ChunkedJsonPrinter`] and [`ChunkedJsonParser`] take messages
//! that are larger than memory, piece by piece.
//!
//! Source: <https://protobuf.dev/programming-guides/json/>.

mod calendar;
mod error;
mod field_mask;
mod out;
mod parse;
mod print;
mod seen;
mod words;

pub use error::{JsonError, JsonErrorKind};
pub use parse::{ChunkedJsonParser, JsonParser, ParseOptions, UnknownFields, from_json};
pub use print::{ChunkedJsonPrinter, EnumForm, FieldNames, JsonPrinter, PrintOptions, ZeroFields, to_json};

use crate::schema::WellKnown;

/// The one field of a wrapper: what its value is.
pub(crate) const fn wrapped(well_known: WellKnown) -> Option<crate::Kind> {
    Some(match well_known {
        WellKnown::BoolValue => crate::Kind::Bool,
        WellKnown::Int32Value => crate::Kind::Int32,
        WellKnown::Int64Value => crate::Kind::Int64,
        WellKnown::Uint32Value => crate::Kind::Uint32,
        WellKnown::Uint64Value => crate::Kind::Uint64,
        WellKnown::FloatValue => crate::Kind::Float,
        WellKnown::DoubleValue => crate::Kind::Double,
        WellKnown::StringValue => crate::Kind::String,
        WellKnown::BytesValue => crate::Kind::Bytes,
        _ => return None,
    })
}

/// How deep messages may nest whatever [`Limits::depth`](crate::Limits::depth) says: nesting takes stack, of which threads
/// have 2 MiB. Without optimisation a level takes several times as much.
const MAX_DEPTH: u32 = if cfg!(debug_assertions) {
    crate::Limits::MAX_DEPTH / 2
} else {
    crate::Limits::MAX_DEPTH
};

#[cfg(test)]
mod tests;
