//! Changing messages by reflection.

mod lists;
mod maps;

pub use lists::ListMut;
pub use maps::MapMut;

use super::arena::{Arena, At, pack};
use super::decode::packed::unalias;
use super::{Message, MessageRef};
use crate::error::DecodeErrorKind;
use crate::schema::tables::{Entry, FieldTable, Op};
use crate::schema::{FieldDescriptor, Kind, MessageDescriptor};
use crate::wire::MAX_MESSAGE_BYTES;

/// Why a value could not be put into a message; the message is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The field is of another message or schema.
    #[error("{field} is not a field of {message}")]
    ForeignField {
        /// The field's full name.
        field: String,
        /// The message's full name.
        message: String,
    },
    /// The value is not of the field's type.
    #[error("{field} takes {expected}")]
    WrongType {
        /// The field's full name.
        field: String,
        /// What it takes.
        expected: String,
    },
    /// A closed enum has no such number.
    #[error("{field} is of a closed enum that has no value {number}")]
    UnknownEnumValue {
        /// The field's full name.
        field: String,
        /// The number.
        number: i32,
    },
    /// There is no such element.
    #[error("{field} has no element {index}")]
    OutOfRange {
        /// The field's full name.
        field: String,
        /// The index asked for.
        index: usize,
    },
    /// The message would become too large.
    #[error("failed to grow the message: {0}")]
    TooLarge(DecodeErrorKind),
}

impl From<DecodeErrorKind> for SetError {
    fn from(kind: DecodeErrorKind) -> Self {
        Self::TooLarge(kind)
    }
}

/// A value to put into a field, of exactly the field's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'v> {
    /// For `bool`.
    Bool(bool),
    /// For `int32`, `sint32`, `sfixed32`.
    I32(i32),
    /// For `int64`, `sint64`, `sfixed64`.
    I64(i64),
    /// For `uint32`, `fixed32`.
    U32(u32),
    /// For `uint64`, `fixed64`.
    U64(u64),
    /// For `float`.
    F32(f32),
    /// For `double`.
    F64(f64),
    /// For `string`.
    String(&'v str),
    /// For `bytes`, and for strings that are not checked for UTF-8.
    Bytes(&'v [u8]),
    /// For enums, by number.
    Enum(i32),
}

macro_rules! scalar_from {
    ($($from:ty => $variant:ident),+) => {
        $(impl<'v> From<$from> for Scalar<'v> {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        })+
    };
}

scalar_from!(
    bool => Bool, i32 => I32, i64 => I64, u32 => U32, u64 => U64, f32 => F32, f64 => F64, &'v str => String, &'v [u8] => Bytes
);

/// A message for changing.
#[derive(Debug)]
pub struct MessageMut<'m> {
    message: &'m mut Message,
    node: At,
}

impl<'m> MessageMut<'m> {
    pub(super) fn new(message: &'m mut Message, node: At) -> Self {
        Self { message, node }
    }

    /// The message as it is now.
    pub fn as_ref(&self) -> MessageRef<'_> {
        MessageRef::new(self.message, self.index(), self.node)
    }

    /// Its type.
    pub fn descriptor(&self) -> MessageDescriptor<'_> {
        MessageDescriptor::new(&self.message.schema, self.index())
    }

    fn index(&self) -> u32 {
        self.message.arena.message_of(self.node)
    }

    /// The field's index among all, if it is one of this message.
    #[inline(always)]
    fn own(&self, field: FieldDescriptor<'_>) -> Result<u32, SetError> {
        if !field.schema().ptr_eq(&self.message.schema) || field.table().message != self.index() {
            return Err(self.foreign(field));
        }
        Ok(field.index())
    }

    #[cold]
    fn foreign(&self, field: FieldDescriptor<'_>) -> SetError {
        SetError::ForeignField {
            field: field.full_name().to_owned(),
            message: self.descriptor().full_name().to_owned(),
        }
    }

    fn slot_at(&self, entry: &Entry) -> At {
        let table = self.message.schema.tables().message(self.index());
        self.node + table.slots_at + u32::from(entry.slot)
    }

    /// Sets a singular field that is not a message; the other members of its oneof are unset.
    ///
    /// # Errors
    /// When the value is not of the field's type.
    pub fn set<'v>(
        &mut self,
        field: FieldDescriptor<'_>,
        value: impl Into<Scalar<'v>>,
    ) -> Result<(), SetError> {
        let index = self.own(field)?;
        let entry = self.message.schema.tables().field(index).entry;
        if entry.is(Entry::REPEATED) {
            return Err(wrong_type(self.message.schema.tables().field(index)));
        }
        let word = self.message.word_of(index, value.into())?;
        self.message.arena.touch_field(self.node, entry.slot);
        self.occupy(&entry);
        let implied = entry.is(Entry::IMPLICIT)
            && match entry.op {
                Op::String | Op::Bytes => word >> 32 == 0,
                _ => word == 0,
            };
        if implied {
            self.message.arena.clear_has(self.node, u32::from(entry.slot));
        }
        let at = self.slot_at(&entry);
        self.message.arena.set_word(at, word);
        Ok(())
    }

    /// Marks the field as set and the rest of its oneof as unset; returns whether it was set before.
    #[inline]
    fn occupy(&mut self, entry: &Entry) -> bool {
        let had = self.message.arena.has(self.node, u32::from(entry.slot));
        if entry.oneof != 0 && !had {
            let tables = self.message.schema.tables();
            let table = tables.message(self.message.arena.message_of(self.node));
            let oneof = &tables.oneofs[table.oneofs.start as usize + usize::from(entry.oneof) - 1];
            if self.message.arena.clear_masks(self.node, &oneof.masks) {
                self.message.arena.touch(self.node);
            }
        }
        self.message.arena.set_has(self.node, u32::from(entry.slot))
    }

    /// Unsets a field.
    ///
    /// # Errors
    /// When the field is of another message.
    pub fn clear(&mut self, field: FieldDescriptor<'_>) -> Result<(), SetError> {
        let entry = self.message.schema.tables().field(self.own(field)?).entry;
        self.message.arena.touch_field(self.node, entry.slot);
        self.message.arena.clear_has(self.node, u32::from(entry.slot));
        Ok(())
    }

    /// Drops the unknown fields of this message, not those of the messages in it.
    pub fn clear_unknown_fields(&mut self) {
        self.message.arena.touch(self.node);
        self.message.arena.set_word(Arena::unknown_at(self.node), 0);
    }

    /// A message field for changing; an empty message is put there if there was none.
    ///
    /// # Errors
    /// When the field is not a singular message.
    pub fn message(&mut self, field: FieldDescriptor<'_>) -> Result<MessageMut<'_>, SetError> {
        let index = self.own(field)?;
        let table = self.message.schema.tables().field(index);
        let entry = table.entry;
        if entry.is(Entry::REPEATED) || !table.kind.is_message() {
            return Err(no_single_message(table));
        }
        let at = self.slot_at(&entry);
        let node = if self.message.arena.has(self.node, u32::from(entry.slot)) {
            self.message.arena.word(at) as At
        } else {
            let node = self.message.new_node(entry.sub)?;
            self.occupy(&entry);
            self.message.arena.set_word(at, u64::from(node));
            node
        };
        self.message.arena.touch_field(self.node, entry.slot);
        Ok(MessageMut::new(self.message, node))
    }

    /// A list field for changing.
    ///
    /// # Errors
    /// When the field is not a list.
    pub fn list(&mut self, field: FieldDescriptor<'_>) -> Result<ListMut<'_>, SetError> {
        let index = self.own(field)?;
        let table = self.message.schema.tables().field(index);
        let entry = table.entry;
        if !entry.is(Entry::REPEATED) || entry.is(Entry::MAP) {
            return Err(SetError::WrongType {
                field: table.full_name.to_string(),
                expected: "no list".to_owned(),
            });
        }
        let list_at = self.open_list(&entry);
        let message = &mut *self.message;
        unalias(&mut message.arena, entry.op, list_at, message.source.as_slice())?;
        Ok(ListMut {
            message: self.message,
            node: self.node,
            field: index,
            list_at,
        })
    }

    /// A map field for changing.
    ///
    /// # Errors
    /// When the field is not a map.
    pub fn map(&mut self, field: FieldDescriptor<'_>) -> Result<MapMut<'_>, SetError> {
        let index = self.own(field)?;
        let table = self.message.schema.tables().field(index);
        let entry = table.entry;
        if !entry.is(Entry::MAP) {
            return Err(SetError::WrongType {
                field: table.full_name.to_string(),
                expected: "no map".to_owned(),
            });
        }
        let list_at = self.open_list(&entry);
        Ok(MapMut {
            message: self.message,
            node: self.node,
            field: index,
            list_at,
        })
    }

    /// The word of a list that is about to change.
    fn open_list(&mut self, entry: &Entry) -> At {
        self.message.arena.touch_field(self.node, entry.slot);
        let list_at = self.slot_at(entry);
        if !self.message.arena.has(self.node, u32::from(entry.slot)) {
            self.message.arena.set_word(list_at, 0);
        }
        list_at
    }
}

#[cold]
fn no_single_message(field: &FieldTable) -> SetError {
    SetError::WrongType {
        field: field.full_name.to_string(),
        expected: "no single message".to_owned(),
    }
}

#[cold]
fn wrong_type(field: &FieldTable) -> SetError {
    let expected = match (field.entry.is(Entry::MAP), field.entry.is(Entry::REPEATED)) {
        (true, _) => "a map".to_owned(),
        (_, true) => "a list".to_owned(),
        _ => format!("a value of type {:?}", field.kind).to_lowercase(),
    };
    SetError::WrongType {
        field: field.full_name.to_string(),
        expected,
    }
}

/// What a list of other elements takes.
fn wrong_element(field: &FieldTable) -> SetError {
    SetError::WrongType {
        field: field.full_name.to_string(),
        expected: format!("elements of type {:?}", field.kind).to_lowercase(),
    }
}

impl Message {
    /// A message without fields that is not in the source.
    fn new_node(&mut self, index: u32) -> Result<At, DecodeErrorKind> {
        let table = self.schema.tables().message(index);
        let node = self.arena.node(index, table, 0, 0)?;
        Ok(node)
    }

    /// The word for a value, if it is one of the field's type.
    #[inline]
    fn word_of(&mut self, field: u32, value: Scalar<'_>) -> Result<u64, SetError> {
        let tables = self.schema.tables();
        let table = tables.field(field);
        Ok(match (value, table.kind) {
            (Scalar::Bool(value), Kind::Bool) => value.into(),
            (Scalar::I32(value), Kind::Int32 | Kind::Sint32 | Kind::Sfixed32) => i64::from(value) as u64,
            (Scalar::I64(value), Kind::Int64 | Kind::Sint64 | Kind::Sfixed64) => value as u64,
            (Scalar::U32(value), Kind::Uint32 | Kind::Fixed32) => value.into(),
            (Scalar::U64(value), Kind::Uint64 | Kind::Fixed64) => value,
            (Scalar::F32(value), Kind::Float) => value.to_bits().into(),
            (Scalar::F64(value), Kind::Double) => value.to_bits(),
            (Scalar::Enum(number), Kind::Enum) => {
                let enumeration = tables.enumeration(table.entry.sub);
                if enumeration.closed && enumeration.index_of(number).is_none() {
                    return Err(SetError::UnknownEnumValue {
                        field: table.full_name.to_string(),
                        number,
                    });
                }
                i64::from(number) as u64
            }
            (Scalar::String(value), Kind::String) => self.add_bytes(value.as_bytes())?,
            (Scalar::Bytes(value), Kind::Bytes) => self.add_bytes(value)?,
            (Scalar::Bytes(value), Kind::String)
                if !table.entry.is(Entry::UTF8) || crate::utf8::is_valid(value) =>
            {
                self.add_bytes(value)?
            }
            _ => return Err(wrong_type(table)),
        })
    }

    /// Keeps bytes, and returns the word that points to them.
    fn add_bytes(&mut self, bytes: &[u8]) -> Result<u64, DecodeErrorKind> {
        let offset = self.source.as_slice().len() + self.added.len();
        if offset + bytes.len() > MAX_MESSAGE_BYTES {
            return Err(DecodeErrorKind::TooLarge);
        }
        self.added.extend_from_slice(bytes);
        Ok(pack(offset as u32, bytes.len() as u32))
    }
}
