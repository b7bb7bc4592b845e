//! Work with protobuf messages whose schema is known only at run time: no generated code.

pub mod breaking;
pub mod descriptor;
mod error;
mod limits;
mod schema;
mod wire;

pub use error::{DecodeError, DecodeErrorKind};
pub use limits::Limits;
pub use schema::{
    Cardinality, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, MethodDescriptor, OneofDescriptor, Schema, SchemaCell, SchemaError, SchemaErrorKind,
    SchemaErrors, ServiceDescriptor, WellKnown,
};
pub use wire::{MAX_FIELD_NUMBER, MAX_MESSAGE_BYTES, WireType};
