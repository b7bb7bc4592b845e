//! `descriptor.proto` as plain structs: what a descriptor set says, before anything is made of it.
//!
//! Unlike generated code these know editions, keep the bytes of options that they do not model, and never panic on bytes that
//! others wrote. Source: <https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto>.

mod decode;
mod options;

pub use options::{
    EnumOptions, EnumType, EnumValueOptions, FeatureSet, FieldOptions, FieldPresence, FileOptions,
    IdempotencyLevel, JsonFormat, MessageEncoding, MessageOptions, MethodOptions, OneofOptions,
    RepeatedFieldEncoding, ServiceOptions, Utf8Validation,
};

use crate::error::DecodeError;

/// A set of `.proto` files in the order in which a compiler wrote them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileDescriptorSet {
    /// The files, imports before importers when a compiler wrote the set.
    pub file: Vec<FileDescriptorProto>,
}

impl FileDescriptorSet {
    /// Reads a set from its binary encoding.
    ///
    /// # Errors
    /// When the bytes are not a descriptor set; the error names the place.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode::file_descriptor_set(bytes)
    }
}

/// The syntax a file is written in, from its first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edition {
    /// `syntax = "proto2"`, or no such line.
    #[default]
    Proto2,
    /// `syntax = "proto3"`.
    Proto3,
    /// `edition = "2023"`.
    Edition2023,
    /// `edition = "2024"`.
    Edition2024,
    /// Another edition, by its number in `descriptor.proto`.
    Unknown(i32),
}

/// One `.proto` file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileDescriptorProto {
    /// Its path below the import root.
    pub name: String,
    /// Its package; empty when it has none.
    pub package: String,
    /// The paths it imports.
    pub dependency: Vec<String>,
    /// Indexes into `dependency` of the public imports.
    pub public_dependency: Vec<i32>,
    /// Indexes into `dependency` of the weak imports.
    pub weak_dependency: Vec<i32>,
    /// Its messages, without nested ones.
    pub message_type: Vec<DescriptorProto>,
    /// Its enums, without nested ones.
    pub enum_type: Vec<EnumDescriptorProto>,
    /// Its services.
    pub service: Vec<ServiceDescriptorProto>,
    /// The extensions it declares outside of messages.
    pub extension: Vec<FieldDescriptorProto>,
    /// Its options.
    pub options: FileOptions,
    /// Where everything stands in the source, when the compiler kept that.
    pub source_code_info: Vec<Location>,
    /// The syntax or edition.
    pub edition: Edition,
}

/// Where one element of a file stands in its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The element: field numbers and indexes from `FileDescriptorProto` down.
    pub path: Vec<i32>,
    /// Start line, start column, end line (left out when it is the start's) and end column, all from zero.
    pub span: Vec<i32>,
    /// The comment before the element.
    pub leading_comments: Option<String>,
    /// The comment after the element.
    pub trailing_comments: Option<String>,
}

/// One message type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescriptorProto {
    /// Its name without package and enclosing messages.
    pub name: String,
    /// Its fields in the order of declaration.
    pub field: Vec<FieldDescriptorProto>,
    /// The extensions declared inside it (of whatever message).
    pub extension: Vec<FieldDescriptorProto>,
    /// Messages nested in it.
    pub nested_type: Vec<DescriptorProto>,
    /// Enums nested in it.
    pub enum_type: Vec<EnumDescriptorProto>,
    /// Field numbers open to extensions: start inclusive, end exclusive.
    pub extension_range: Vec<NumberRange>,
    /// Its oneofs, those made for `optional` of proto3 included.
    pub oneof_decl: Vec<OneofDescriptorProto>,
    /// Its options.
    pub options: MessageOptions,
    /// Reserved field numbers: start inclusive, end exclusive.
    pub reserved_range: Vec<NumberRange>,
    /// Reserved field names.
    pub reserved_name: Vec<String>,
}

/// A range of numbers; whether its end belongs to it is said where it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberRange {
    /// The first number.
    pub start: i32,
    /// The end.
    pub end: i32,
}

/// A field's type as `descriptor.proto` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the protobuf language")]
#[repr(u8)]
pub enum FieldType {
    Double = 1,
    Float = 2,
    Int64 = 3,
    Uint64 = 4,
    Int32 = 5,
    Fixed64 = 6,
    Fixed32 = 7,
    Bool = 8,
    String = 9,
    Group = 10,
    Message = 11,
    Bytes = 12,
    Uint32 = 13,
    Enum = 14,
    Sfixed32 = 15,
    Sfixed64 = 16,
    Sint32 = 17,
    Sint64 = 18,
}

/// How often a field may occur, as the file says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Label {
    /// At most once.
    #[default]
    Optional,
    /// Exactly once.
    Required,
    /// Any number of times.
    Repeated,
}

/// One field or extension.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldDescriptorProto {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: i32,
    /// How often it may occur.
    pub label: Label,
    /// Its type; `None` when the set leaves it to `type_name` or holds a number that is no type.
    pub r#type: Option<FieldType>,
    /// The message or enum, with a leading dot when fully qualified.
    pub type_name: Option<String>,
    /// The message it extends, for extensions.
    pub extendee: Option<String>,
    /// Its default as text, for proto2 and explicit presence.
    pub default_value: Option<String>,
    /// The oneof it belongs to, as an index into the message's.
    pub oneof_index: Option<i32>,
    /// Its name in JSON, when the compiler wrote it down.
    pub json_name: Option<String>,
    /// Its options.
    pub options: FieldOptions,
    /// Whether it is `optional` in proto3.
    pub proto3_optional: bool,
}

/// One oneof.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OneofDescriptorProto {
    /// Its name.
    pub name: String,
    /// Its options.
    pub options: OneofOptions,
}

/// One enum type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnumDescriptorProto {
    /// Its name without package and enclosing messages.
    pub name: String,
    /// Its values in the order of declaration.
    pub value: Vec<EnumValueDescriptorProto>,
    /// Its options.
    pub options: EnumOptions,
    /// Reserved numbers: both ends inclusive.
    pub reserved_range: Vec<NumberRange>,
    /// Reserved names.
    pub reserved_name: Vec<String>,
}

/// One value of an enum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnumValueDescriptorProto {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: i32,
    /// Its options.
    pub options: EnumValueOptions,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceDescriptorProto {
    /// Its name.
    pub name: String,
    /// Its methods in the order of declaration.
    pub method: Vec<MethodDescriptorProto>,
    /// Its options.
    pub options: ServiceOptions,
}

/// One method of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodDescriptorProto {
    /// Its name.
    pub name: String,
    /// The request's message type.
    pub input_type: String,
    /// The response's message type.
    pub output_type: String,
    /// Its options.
    pub options: MethodOptions,
    /// Whether the client sends a stream.
    pub client_streaming: bool,
    /// Whether the server sends a stream.
    pub server_streaming: bool,
}
