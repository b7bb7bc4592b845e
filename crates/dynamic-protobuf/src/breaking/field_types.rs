//! What a field's type, label and features make of it on the wire and in JSON.

use super::element::{Enum, Field, Message};
use super::index::Index;
use super::names::undotted;
use crate::descriptor::{FieldPresence, FieldType, Label, MessageEncoding};
use std::collections::HashMap;
use std::fmt;

/// A field with what its version of the schema says of its type.
pub(super) struct Typed<'a> {
    pub(super) field: Field<'a>,
    /// How it is encoded: `Group` for messages that `features.message_encoding` makes groups. `None` when the set has no such type.
    pub(super) encoding: Option<FieldType>,
    pub(super) cardinality: Cardinality,
    /// Its type, when that is an enum.
    pub(super) enumeration: Option<&'a Enum<'a>>,
}

impl<'a> Typed<'a> {
    pub(super) fn new(field: Field<'a>, index: &'a Index<'a>) -> Self {
        let name = field.proto.type_name.as_deref();
        let message = name.and_then(|name| index.message(name));
        let enumeration = name.and_then(|name| index.enumeration(name));
        let written = field.proto.r#type.or(match (message, enumeration) {
            (Some(_), _) => Some(FieldType::Message),
            (None, Some(_)) => Some(FieldType::Enum),
            (None, None) => None,
        });
        let is_map = message.is_some_and(|message| message.proto.options.map_entry);
        Self {
            encoding: encoding(&field, written, is_map),
            cardinality: Cardinality::of(&field, message, is_map),
            enumeration,
            field,
        }
    }

    /// Whether its type is written by name.
    pub(super) fn is_named(&self) -> bool {
        use FieldType::{Enum, Group, Message};
        matches!(self.encoding, Some(Enum | Group | Message))
    }

    /// The type as people write it.
    pub(super) fn type_name(&self) -> String {
        match (&self.field.proto.type_name, self.encoding) {
            (Some(name), Some(FieldType::Group)) => format!("group {}", undotted(name)),
            (Some(name), _) => undotted(name).to_owned(),
            (None, Some(scalar)) => format!("{scalar:?}").to_lowercase(),
            (None, None) => "no type".to_owned(),
        }
    }
}

/// Maps are never groups, nor are the messages in them.
fn encoding(field: &Field<'_>, written: Option<FieldType>, is_map: bool) -> Option<FieldType> {
    let is_delimited = field.features.message_encoding == MessageEncoding::Delimited;
    match written {
        Some(FieldType::Message) if is_delimited && !is_map && !field.is_in_map_entry() => {
            Some(FieldType::Group)
        }
        other => other,
    }
}

/// How often a field occurs, and whether it knows that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cardinality {
    Explicit,
    Implicit,
    Required,
    Repeated,
    Map,
}

impl Cardinality {
    fn of(field: &Field<'_>, message: Option<&Message<'_>>, is_map: bool) -> Self {
        let presence = field.features.presence;
        let is_explicit = field.is_extension() || message.is_some() || field.proto.oneof_index.is_some();
        match field.proto.label {
            Label::Repeated if is_map => Self::Map,
            Label::Repeated => Self::Repeated,
            Label::Required => Self::Required,
            Label::Optional => match presence {
                FieldPresence::LegacyRequired if !field.is_extension() => Self::Required,
                FieldPresence::Implicit if !is_explicit => Self::Implicit,
                _ => Self::Explicit,
            },
        }
    }

    /// The same number for those that read the same bytes.
    pub(super) const fn wire_group(self) -> u8 {
        match self {
            Self::Explicit | Self::Implicit => 1,
            Self::Required => 2,
            Self::Repeated | Self::Map => 3,
        }
    }

    /// The same number for those that read the same bytes and the same JSON.
    pub(super) const fn wire_json_group(self) -> u8 {
        match self {
            Self::Map => 4,
            other => other.wire_group(),
        }
    }
}

impl fmt::Display for Cardinality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "singular with presence",
            Self::Implicit => "singular without presence",
            Self::Required => "required",
            Self::Repeated => "repeated",
            Self::Map => "a map",
        })
    }
}

/// The same number for types that read the same bytes.
pub(super) const fn wire_group(encoding: Option<FieldType>) -> u8 {
    use FieldType::{
        Bool, Bytes, Double, Enum, Fixed32, Fixed64, Float, Group, Int32, Int64, Message, Sfixed32, Sfixed64,
        Sint32, Sint64, String, Uint32, Uint64,
    };
    match encoding {
        None => 0,
        Some(Int32 | Int64 | Uint32 | Uint64 | Bool) => 1,
        Some(Sint32 | Sint64) => 2,
        Some(String) => 3,
        Some(Bytes) => 4,
        Some(Fixed32 | Sfixed32) => 5,
        Some(Fixed64 | Sfixed64) => 6,
        Some(Double) => 7,
        Some(Float) => 8,
        Some(Group) => 9,
        Some(Message) => 10,
        Some(Enum) => 11,
    }
}

/// The same number for types that read the same bytes and the same JSON.
pub(super) const fn wire_json_group(encoding: Option<FieldType>) -> u8 {
    use FieldType::{Bool, Int64, Sint64, Uint64};
    match encoding {
        // 64-bit integers are strings in JSON.
        Some(Int64 | Uint64) => 12,
        Some(Sint64) => 13,
        Some(Bool) => 14,
        other => wire_group(other),
    }
}

/// Whether every value of `before` has its name and number in `after` as well.
pub(super) fn is_extended(before: &Enum<'_>, after: &Enum<'_>) -> bool {
    let values = after.proto.value.iter();
    let kept: HashMap<&str, i32> = values.map(|value| (value.name.as_str(), value.number)).collect();
    let mut old = before.proto.value.iter();
    old.all(|value| kept.get(value.name.as_str()) == Some(&value.number))
}
