//! Work with protobuf messages whose schema is known only at run time: no generated code.

pub mod breaking;
pub mod descriptor;
pub mod edit;
mod error;
pub mod json;
mod limits;
mod message;
pub mod path;
mod schema;
pub mod text;
mod utf8;
pub mod view;
mod wire;

pub use error::{DecodeError, DecodeErrorKind};
pub use limits::Limits;
pub use message::{
    Iter, ListMut, ListRef, MapKey, MapMut, MapRef, Message, MessageMut, MessageRef, MissingRequired, ProtoStr, Scalar, SetError,
    Value,
};
pub use schema::{
    Cardinality, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, MethodDescriptor, OneofDescriptor, Schema, SchemaCell, SchemaError, SchemaErrorKind,
    SchemaErrors, ServiceDescriptor, WellKnown,
};
pub use wire::{MAX_FIELD_NUMBER, MAX_MESSAGE_BYTES, WireType};
