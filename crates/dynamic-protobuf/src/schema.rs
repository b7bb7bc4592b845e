//! Schemas: descriptor sets compiled into dense tables, the handles to look into them, and the cell to swap them in.

mod compile;
mod error;
pub(crate) mod features;
mod handles;
pub(crate) mod names;
pub(crate) mod tables;

pub use error::{SchemaError, SchemaErrorKind, SchemaErrors};
pub use handles::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, OneofDescriptor, ServiceDescriptor,
};

use crate::descriptor::FileDescriptorSet;
use arc_swap::ArcSwap;
use std::fmt;
use std::sync::Arc;
use tables::{Symbol, Tables};

/// A compiled schema: immutable, and cheap to clone and to share between threads.
#[derive(Clone)]
pub struct Schema {
    tables: Arc<Tables>,
}

impl Schema {
    /// Compiles an encoded `google.protobuf.FileDescriptorSet`, which may come from anybody.
    ///
    /// # Errors
    /// All that is wrong with the set at once.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, SchemaErrors> {
        let set = FileDescriptorSet::decode(bytes).map_err(|error| {
            SchemaErrors::one(SchemaError {
                file: String::new(),
                element: String::new(),
                kind: SchemaErrorKind::Decode(error),
            })
        })?;
        Self::from_files(set)
    }

    /// Compiles a descriptor set that is already read.
    ///
    /// # Errors
    /// All that is wrong with the set at once.
    pub fn from_files(set: FileDescriptorSet) -> Result<Self, SchemaErrors> {
        let tables = compile::compile(set)?;
        Ok(Self {
            tables: Arc::new(tables),
        })
    }

    /// Compiles what a pool of prost-reflect holds.
    ///
    /// # Errors
    /// All that is wrong with the pool at once; a pool accepts some sets that this engine refuses.
    pub fn from_pool(pool: &prost_reflect::DescriptorPool) -> Result<Self, SchemaErrors> {
        let mut bytes = Vec::new();
        for file in pool.files() {
            let encoded = file.encode_to_vec();
            crate::wire::put_varint(&mut bytes, u64::from(crate::wire::tag(1, crate::WireType::Len)));
            crate::wire::put_varint(&mut bytes, encoded.len() as u64);
            bytes.extend_from_slice(&encoded);
        }
        Self::from_descriptor_set(&bytes)
    }

    /// The message type with this full name, as in `google.protobuf.Any`; a leading dot is allowed.
    pub fn message(&self, full_name: &str) -> Option<MessageDescriptor<'_>> {
        match self.tables.symbol(full_name)? {
            Symbol::Message(index) => Some(MessageDescriptor::new(self, index)),
            _ => None,
        }
    }

    /// The enum type with this full name.
    pub fn enumeration(&self, full_name: &str) -> Option<EnumDescriptor<'_>> {
        match self.tables.symbol(full_name)? {
            Symbol::Enum(index) => Some(EnumDescriptor::new(self, index)),
            _ => None,
        }
    }

    /// The extension with this full name.
    pub fn extension(&self, full_name: &str) -> Option<FieldDescriptor<'_>> {
        match self.tables.symbol(full_name)? {
            Symbol::Extension(index) => Some(FieldDescriptor::new(self, index)),
            _ => None,
        }
    }

    /// The service with this full name.
    pub fn service(&self, full_name: &str) -> Option<ServiceDescriptor<'_>> {
        match self.tables.symbol(full_name)? {
            Symbol::Service(index) => Some(ServiceDescriptor::new(self, index)),
            _ => None,
        }
    }

    /// The files of the set in its order.
    pub fn files(&self) -> impl Iterator<Item = FileDescriptor<'_>> {
        (0..self.tables.files.len() as u32).map(|index| FileDescriptor::new(self, index))
    }

    /// All message types, nested ones and map entries included.
    pub fn messages(&self) -> impl Iterator<Item = MessageDescriptor<'_>> {
        (0..self.tables.messages.len() as u32).map(|index| MessageDescriptor::new(self, index))
    }

    /// All enum types, nested ones included.
    pub fn enumerations(&self) -> impl Iterator<Item = EnumDescriptor<'_>> {
        (0..self.tables.enums.len() as u32).map(|index| EnumDescriptor::new(self, index))
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = ServiceDescriptor<'_>> {
        (0..self.tables.services.len() as u32).map(|index| ServiceDescriptor::new(self, index))
    }

    #[inline]
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Whether both are the same compiled schema, not merely equal ones.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tables, &other.tables)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("files", &self.tables.files.len())
            .field("messages", &self.tables.messages.len())
            .finish_non_exhaustive()
    }
}

/// Holds the schema in use and lets it be replaced while others read: readers never wait, and keep what they loaded.
#[derive(Debug)]
pub struct SchemaCell {
    current: ArcSwap<Schema>,
}

impl SchemaCell {
    /// A cell with its first schema.
    pub fn new(schema: Schema) -> Self {
        Self {
            current: ArcSwap::from_pointee(schema),
        }
    }

    /// The schema in use now.
    pub fn load(&self) -> Schema {
        self.current.load().as_ref().clone()
    }

    /// Puts a new schema into use, and returns the one before.
    pub fn swap(&self, schema: Schema) -> Schema {
        self.current.swap(Arc::new(schema)).as_ref().clone()
    }
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the protobuf language")]
pub enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    /// A message with a length before it.
    Message,
    /// A message between a start tag and an end tag: groups of proto2, `DELIMITED` of editions.
    Group,
    Bytes,
    Uint32,
    Enum,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

impl Kind {
    /// Whether lists of it can be packed: numbers, bools and enums.
    pub const fn is_packable(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Message | Self::Group)
    }

    /// Whether its values are messages.
    pub const fn is_message(self) -> bool {
        matches!(self, Self::Message | Self::Group)
    }

    /// How a single value is laid out on the wire.
    pub const fn wire_type(self) -> crate::WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => crate::WireType::I64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => crate::WireType::I32,
            Self::String | Self::Bytes | Self::Message => crate::WireType::Len,
            Self::Group => crate::WireType::StartGroup,
            _ => crate::WireType::Varint,
        }
    }
}

/// How often a field may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// At most once.
    Optional,
    /// Exactly once.
    Required,
    /// Any number of times: lists and maps.
    Repeated,
}

/// The types that ProtoJSON writes in a way of their own.
///
/// Source: <https://protobuf.dev/programming-guides/json/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the names are those of the messages in google.protobuf"
)]
pub enum WellKnown {
    Any,
    Timestamp,
    Duration,
    Struct,
    Value,
    ListValue,
    FieldMask,
    Empty,
    BoolValue,
    Int32Value,
    Int64Value,
    Uint32Value,
    Uint64Value,
    FloatValue,
    DoubleValue,
    StringValue,
    BytesValue,
}

impl WellKnown {
    /// The well-known type with this full name.
    pub fn from_full_name(full_name: &str) -> Option<Self> {
        Some(match full_name.strip_prefix("google.protobuf.")? {
            "Any" => Self::Any,
            "Timestamp" => Self::Timestamp,
            "Duration" => Self::Duration,
            "Struct" => Self::Struct,
            "Value" => Self::Value,
            "ListValue" => Self::ListValue,
            "FieldMask" => Self::FieldMask,
            "Empty" => Self::Empty,
            "BoolValue" => Self::BoolValue,
            "Int32Value" => Self::Int32Value,
            "Int64Value" => Self::Int64Value,
            "UInt32Value" => Self::Uint32Value,
            "UInt64Value" => Self::Uint64Value,
            "FloatValue" => Self::FloatValue,
            "DoubleValue" => Self::DoubleValue,
            "StringValue" => Self::StringValue,
            "BytesValue" => Self::BytesValue,
            _ => return None,
        })
    }

    /// Whether it is one of the nine that wrap a scalar.
    pub const fn is_wrapper(self) -> bool {
        matches!(
            self,
            Self::BoolValue
                | Self::Int32Value
                | Self::Int64Value
                | Self::Uint32Value
                | Self::Uint64Value
                | Self::FloatValue
                | Self::DoubleValue
                | Self::StringValue
                | Self::BytesValue
        )
    }
}

#[cfg(test)]
mod tests;
