//! Work with protobuf messages whose schema is known only at run time: no generated code, no I/O, no unsafe code.
//!
//! A [`Schema`] is a descriptor set compiled into dense tables. With it there are three ways to a message, each for what it is
//! best at:
//!
//! | to | use | cost |
//! | --- | --- | --- |
//! | read or change one thing in encoded bytes | [`path`], [`edit`], [`view`] | a walk over tags, one copy for a change |
//! | read or change many things | [`Message`] | one pass over the bytes into storage that is reused |
//! | pass a message on as JSON or text | [`json`], [`text`] | one pass, no tree in between |
//!
//! ```
//! use heddle_dynamic_protobuf::{Message, Schema, json, path::Path};
//! # let set = protox::compile(["doc.proto"], ["tests/proto"])?;
//! # let descriptor_set = prost_reflect::prost::Message::encode_to_vec(&set);
//! let schema = Schema::from_descriptor_set(&descriptor_set)?;
//! let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
//!
//! // From JSON to wire bytes.
//! let mut wire = Vec::new();
//! json::from_json(order, br#"{"lines": [{"labels": {"color": "blue"}}]}"#, &mut wire)?;
//!
//! // One value out of the bytes, by path.
//! let color = Path::compile(order, r#"lines[0].labels["color"]"#)?;
//! assert_eq!(color.get(&wire)?.and_then(|value| value.as_str()), Some("blue"));
//!
//! // All of them, by reflection.
//! let mut message = Message::new(order);
//! message.decode(&wire)?;
//! let lines = message.as_ref().get_named("lines").and_then(|lines| lines.as_list());
//! assert_eq!(lines.map(|lines| lines.len()), Some(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Input may come from anybody: [`Limits`] bound depth, size, elements and memory of everything that reads bytes, and errors
//! name the place in the message and the offset, never a value. [`breaking`] compares two descriptor sets by the rules of
//! `buf breaking`. What conforms to which standard, and what it costs beside its peers, is in `docs/protobuf-engine.md`.

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
    Iter, ListMut, ListRef, MapKey, MapMut, MapRef, Message, MessageMut, MessageRef, MissingRequired,
    ProtoStr, Scalar, SetError, Value,
};
pub use schema::{
    Cardinality, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, MethodDescriptor, OneofDescriptor, Schema, SchemaCell, SchemaError, SchemaErrorKind,
    SchemaErrors, ServiceDescriptor, WellKnown,
};
pub use wire::{MAX_FIELD_NUMBER, MAX_MESSAGE_BYTES, WireType};
