//! Values of every kind, and what a word of the arena means as one.

use super::super::Message;
use super::super::arena::{At, unpack};
use super::{ListRef, MapRef, MessageRef};
use crate::schema::tables::FieldTable;
use crate::schema::{EnumDescriptor, Kind};
use std::fmt;

/// A value of a field, an element of a list, or a key or value of a map.
#[derive(Clone, Copy)]
pub enum Value<'m> {
    /// `bool`.
    Bool(bool),
    /// `int32`, `sint32`, `sfixed32`.
    I32(i32),
    /// `int64`, `sint64`, `sfixed64`.
    I64(i64),
    /// `uint32`, `fixed32`.
    U32(u32),
    /// `uint64`, `fixed64`.
    U64(u64),
    /// `float`.
    F32(f32),
    /// `double`.
    F64(f64),
    /// `string`.
    String(ProtoStr<'m>),
    /// `bytes`.
    Bytes(&'m [u8]),
    /// An enum's number.
    Enum(EnumDescriptor<'m>, i32),
    /// A message or group.
    Message(MessageRef<'m>),
    /// A repeated field.
    List(ListRef<'m>),
    /// A map field.
    Map(MapRef<'m>),
}

/// A string of a message. Its bytes are UTF-8 when the schema asks for validation; proto2 does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtoStr<'m> {
    bytes: &'m [u8],
}

impl<'m> ProtoStr<'m> {
    pub(super) fn new(bytes: &'m [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes as they stand on the wire.
    pub fn as_bytes(self) -> &'m [u8] {
        self.bytes
    }

    /// The string, if it is one.
    ///
    /// # Errors
    /// When the bytes are not UTF-8, which only fields without validation can hold.
    pub fn to_str(self) -> Result<&'m str, std::str::Utf8Error> {
        std::str::from_utf8(self.bytes)
    }
}

impl fmt::Display for ProtoStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes))
    }
}

impl fmt::Debug for ProtoStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.bytes), f)
    }
}

impl PartialEq<str> for ProtoStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl<'m> Value<'m> {
    /// The bool, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is an integer or an enum's that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I32(value) | Self::Enum(_, value) => Some(value.into()),
            Self::I64(value) => Some(value),
            Self::U32(value) => Some(value.into()),
            Self::U64(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The number, if it is an integer that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U64(value) => Some(value),
            _ => self.as_i64().and_then(|value| u64::try_from(value).ok()),
        }
    }

    /// The number, if it is a `float` or `double`.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => None,
        }
    }

    /// The string, if it is one and UTF-8.
    pub fn as_str(&self) -> Option<&'m str> {
        match self {
            Self::String(value) => value.to_str().ok(),
            _ => None,
        }
    }

    /// The bytes of a string or of bytes.
    pub fn as_bytes(&self) -> Option<&'m [u8]> {
        match self {
            Self::String(value) => Some(value.as_bytes()),
            Self::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// The message, if it is one.
    pub fn as_message(&self) -> Option<MessageRef<'m>> {
        match self {
            Self::Message(value) => Some(*value),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<ListRef<'m>> {
        match self {
            Self::List(value) => Some(*value),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<MapRef<'m>> {
        match self {
            Self::Map(value) => Some(*value),
            _ => None,
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I32(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U32(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::F32(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
            Self::Bytes(value) => f.debug_tuple("Bytes").field(&value.len()).finish(),
            Self::Enum(descriptor, number) => match descriptor.value(*number) {
                Some(value) => f.write_str(value.name()),
                None => number.fmt(f),
            },
            Self::Message(value) => value.fmt(f),
            Self::List(value) => f.debug_list().entries(value.iter()).finish(),
            Self::Map(value) => f.debug_map().entries(value.iter()).finish(),
        }
    }
}

/// Equal by content; maps whatever the order of their entries, NaN never.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::I32(one), Self::I32(other)) => one == other,
            (Self::I64(one), Self::I64(other)) => one == other,
            (Self::U32(one), Self::U32(other)) => one == other,
            (Self::U64(one), Self::U64(other)) => one == other,
            (Self::F32(one), Self::F32(other)) => one == other,
            (Self::F64(one), Self::F64(other)) => one == other,
            (Self::String(one), Self::String(other)) => one == other,
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            (Self::Enum(_, one), Self::Enum(_, other)) => one == other,
            (Self::Message(one), Self::Message(other)) => one == other,
            (Self::List(one), Self::List(other)) => one.len() == other.len() && one.iter().eq(other.iter()),
            (Self::Map(one), Self::Map(other)) => one.len() == other.len() && one.iter().eq(other.iter()),
            _ => false,
        }
    }
}

/// What a word means as a single value of the field.
#[inline]
pub(super) fn single<'m>(message: &'m Message, table: &'m FieldTable, word: u64) -> Value<'m> {
    match table.kind {
        Kind::Bool => Value::Bool(word != 0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(word as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(word as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(word as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(word),
        Kind::Float => Value::F32(f32::from_bits(word as u32)),
        Kind::Double => Value::F64(f64::from_bits(word)),
        Kind::Enum => Value::Enum(EnumDescriptor::new(&message.schema, table.entry.sub), word as i32),
        Kind::String => Value::String(ProtoStr {
            bytes: text(message, word),
        }),
        Kind::Bytes => Value::Bytes(text(message, word)),
        Kind::Message | Kind::Group => Value::Message(MessageRef::new(message, table.entry.sub, word as At)),
    }
}

#[inline]
pub(super) fn text(message: &Message, word: u64) -> &[u8] {
    let (offset, len) = unpack(word);
    message.bytes(offset, len)
}
