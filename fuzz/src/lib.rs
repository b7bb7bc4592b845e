//! What the fuzz targets share: a schema with one of everything, a bound on memory, what has to hold of every message and
//! of every WebSocket session.

mod agree;
mod bound;
mod paths;
pub mod relay;
mod stable;

pub use agree::view_agrees;
pub use bound::{LIMITS, within_limits, within_memory};
pub use paths::{Steps, path};
pub use stable::{deterministic, round_trip};

use heddle_dynamic_protobuf::{MessageDescriptor, Schema};
use std::sync::LazyLock;

/// Encoded descriptor set of `everything2.proto`, `everything3.proto` and what they import.
pub const EVERYTHING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/everything.binpb"));

/// The same, compiled.
pub static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::from_descriptor_set(EVERYTHING).expect("the fixtures are a valid schema"));

/// The message types that inputs are taken for.
const ROOTS: [&str; 16] = [
    "heddle.everything3.Everything",
    "heddle.everything2.Everything",
    "heddle.everything2.Needy",
    "heddle.everything2.Set",
    "heddle.everything2.SetItem",
    "heddle.everything3.Everything.Leaf",
    "google.protobuf.Any",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "google.protobuf.FieldMask",
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.ListValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.StringValue",
    "google.protobuf.BytesValue",
];

/// Splits an input into the message type that its first byte chooses and the rest.
pub fn root(input: &[u8]) -> Option<(MessageDescriptor<'static>, &[u8])> {
    let (first, rest) = input.split_first()?;
    let name = ROOTS[usize::from(*first) % ROOTS.len()];
    Some((SCHEMA.message(name)?, rest))
}
