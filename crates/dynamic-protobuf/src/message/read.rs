//! Reading decoded messages by reflection.

mod list;
mod map;
mod value;

pub use list::{Iter, ListRef};
pub use map::{MapKey, MapRef};
pub use value::{ProtoStr, Value};

use super::Message;
use super::arena::{At, List, unpack};
use crate::schema::tables::{Default, Entry, FieldTable};
use crate::schema::{FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use std::fmt;
use value::single;

/// A message for reading: a decoded one, or the empty one that stands for a field that is not set.
#[derive(Clone, Copy)]
pub struct MessageRef<'m> {
    message: &'m Message,
    index: u32,
    /// Zero for the empty message.
    node: At,
}

impl<'m> MessageRef<'m> {
    #[inline]
    pub(super) fn new(message: &'m Message, index: u32, node: At) -> Self {
        Self { message, index, node }
    }

    /// Its type.
    pub fn descriptor(self) -> MessageDescriptor<'m> {
        MessageDescriptor::new(&self.message.schema, self.index)
    }

    /// The field's table, unless the field is of another message or schema.
    #[inline]
    fn own(self, field: FieldDescriptor<'_>) -> Option<&'m FieldTable> {
        let own = field.schema().ptr_eq(&self.message.schema);
        let table = self.message.schema.tables().fields.get(field.index() as usize)?;
        (own && table.message == self.index).then_some(table)
    }

    /// Whether the field is set: for lists and maps, whether there are elements.
    #[inline]
    pub fn has(self, field: FieldDescriptor<'_>) -> bool {
        self.own(field).is_some_and(|table| self.has_slot(table))
    }

    #[inline]
    fn has_slot(self, table: &FieldTable) -> bool {
        self.node != 0 && self.message.arena.has(self.node, u32::from(table.entry.slot))
    }

    /// The field's value if it is set; never for a field of another message.
    #[inline]
    pub fn value(self, field: FieldDescriptor<'_>) -> Option<Value<'m>> {
        let table = self.own(field)?;
        self.has_slot(table).then(|| self.set_value(table))
    }

    /// The field's value, or its default: an empty list, map or message, the default of the schema, or zero.
    #[inline]
    pub fn get(self, field: FieldDescriptor<'m>) -> Value<'m> {
        match self.own(field) {
            Some(table) if self.has_slot(table) => self.set_value(table),
            _ => self.default_value(field),
        }
    }

    /// [`MessageRef::get`] by number; `None` when the type has no such field.
    #[inline]
    pub fn get_number(self, number: u32) -> Option<Value<'m>> {
        Some(self.get(self.descriptor().field(number)?))
    }

    /// [`MessageRef::get`] by name; `None` when the type has no such field.
    pub fn get_named(self, name: &str) -> Option<Value<'m>> {
        Some(self.get(self.descriptor().field_named(name)?))
    }

    /// The member of the oneof that is set.
    pub fn which(self, oneof: OneofDescriptor<'m>) -> Option<FieldDescriptor<'m>> {
        oneof.fields().find(|field| self.has(*field))
    }

    /// The fields that are set, by ascending number.
    pub fn fields(self) -> impl Iterator<Item = (FieldDescriptor<'m>, Value<'m>)> {
        let tables = self.message.schema.tables();
        let table = tables.message(self.index);
        let first = table.fields.start;
        let words = if self.node == 0 {
            0
        } else {
            table.field_count().div_ceil(64) as u32
        };
        let slots = (0..words).flat_map(move |word| {
            let mut presence = self.message.arena.presence(self.node, word);
            std::iter::from_fn(move || {
                let bit = (presence != 0).then(|| presence.trailing_zeros())?;
                presence &= presence - 1;
                Some(word * 64 + bit)
            })
        });
        slots.map(move |slot| {
            let field = FieldDescriptor::new(&self.message.schema, first + slot);
            (field, self.set_value(field.table()))
        })
    }

    /// The unknown fields in the order in which they came: runs of encoded fields, tags included.
    pub fn unknown_fields(self) -> impl Iterator<Item = &'m [u8]> {
        let arena = &self.message.arena;
        let list = if self.node == 0 {
            List::default()
        } else {
            arena.unknown(self.node)
        };
        arena.slice(list.at, list.len as usize).iter().map(move |word| {
            let (offset, len) = unpack(*word);
            self.message.bytes(offset, len)
        })
    }

    #[inline]
    fn set_value(self, table: &'m FieldTable) -> Value<'m> {
        let message_table = self.message.schema.tables().message(self.index);
        let word = self
            .message
            .arena
            .word(self.node + message_table.slots_at + u32::from(table.entry.slot));
        if table.entry.is(Entry::MAP) {
            return Value::Map(MapRef {
                message: self.message,
                entry: table.entry.sub,
                list: List::from_word(word),
            });
        }
        if table.entry.is(Entry::REPEATED) {
            return Value::List(ListRef {
                message: self.message,
                field: table,
                list: List::from_word(word),
            });
        }
        single(self.message, table, word)
    }

    fn default_value(self, field: FieldDescriptor<'m>) -> Value<'m> {
        let (message, table) = (self.message, field.table());
        if table.entry.is(Entry::MAP) {
            return Value::Map(MapRef {
                message,
                entry: table.entry.sub,
                list: List::default(),
            });
        }
        if table.entry.is(Entry::REPEATED) {
            return Value::List(ListRef {
                message,
                field: table,
                list: List::default(),
            });
        }
        match &table.default {
            Default::Bytes(bytes) if table.kind == Kind::String => Value::String(ProtoStr::new(bytes)),
            Default::Bytes(bytes) => Value::Bytes(bytes),
            Default::Bits(_) if table.kind.is_message() => Value::Message(Self {
                message,
                index: table.entry.sub,
                node: 0,
            }),
            Default::Bits(bits) => single(message, table, *bits),
        }
    }
}

/// Equal when both are of one type by name and have equal fields; unknown fields count as their bytes.
impl PartialEq for MessageRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        let unknown = || {
            self.unknown_fields()
                .flatten()
                .eq(other.unknown_fields().flatten())
        };
        let field = |(field, value): (FieldDescriptor<'_>, Value<'_>),
                     (of_other, other): (FieldDescriptor<'_>, Value<'_>)| {
            field.number() == of_other.number() && value == other
        };
        let (mut one, mut two) = (self.fields(), other.fields());
        let fields = || loop {
            match (one.next(), two.next()) {
                (None, None) => return true,
                (Some(this), Some(that)) if field(this, that) => {}
                _ => return false,
            }
        };
        self.descriptor().full_name() == other.descriptor().full_name() && { fields }() && unknown()
    }
}

impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct(self.descriptor().name());
        for (field, value) in self.fields() {
            debug.field(field.name(), &value);
        }
        debug.finish()
    }
}
