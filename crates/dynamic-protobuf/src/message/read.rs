//! Reading decoded messages by reflection.

use super::Message;
use super::arena::{At, List, unpack};
use super::decode::packed::{aliased_element, aliased_width};
use crate::schema::tables::{Default, Entry, FieldTable, Op};
use crate::schema::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use std::cmp::Ordering;
use std::fmt;

/// A message for reading: a decoded one, or the empty one that stands for a field that is not set.
#[derive(Clone, Copy)]
pub struct MessageRef<'m> {
    message: &'m Message,
    index: u32,
    /// Zero for the empty message.
    node: At,
}

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
            Default::Bytes(bytes) if table.kind == Kind::String => Value::String(ProtoStr { bytes }),
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

/// What a word means as a single value of the field.
#[inline]
fn single<'m>(message: &'m Message, table: &'m FieldTable, word: u64) -> Value<'m> {
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
        Kind::Message | Kind::Group => Value::Message(MessageRef {
            message,
            index: table.entry.sub,
            node: word as At,
        }),
    }
}

#[inline]
fn text(message: &Message, word: u64) -> &[u8] {
    let (offset, len) = unpack(word);
    message.bytes(offset, len)
}

/// A repeated field for reading.
#[derive(Clone, Copy)]
pub struct ListRef<'m> {
    message: &'m Message,
    field: &'m FieldTable,
    list: List,
}

impl<'m> ListRef<'m> {
    /// How many elements it has.
    #[inline]
    pub fn len(self) -> usize {
        self.list.len as usize
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.list.len == 0
    }

    /// The element at `index`, from zero.
    #[inline]
    pub fn get(self, index: usize) -> Option<Value<'m>> {
        if index >= self.len() {
            return None;
        }
        let word = if self.list.aliased {
            let width = aliased_width(self.field.entry.op) as u32;
            let bytes = self.message.bytes(self.list.at + index as u32 * width, width);
            aliased_element(self.field.entry.op, bytes)
        } else {
            self.message.arena.word(self.list.at + index as u32)
        };
        Some(single(self.message, self.field, word))
    }

    /// The elements in order.
    pub fn iter(self) -> Iter<'m> {
        Iter { list: self, next: 0 }
    }
}

impl<'m> IntoIterator for ListRef<'m> {
    type Item = Value<'m>;
    type IntoIter = Iter<'m>;

    fn into_iter(self) -> Iter<'m> {
        self.iter()
    }
}

/// The elements of a list.
pub struct Iter<'m> {
    list: ListRef<'m>,
    next: usize,
}

impl<'m> Iterator for Iter<'m> {
    type Item = Value<'m>;

    #[inline]
    fn next(&mut self) -> Option<Value<'m>> {
        let value = self.list.get(self.next)?;
        self.next += 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.list.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// A key to look up in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapKey<'k> {
    /// A key of any signed or unsigned type.
    Int(i64),
    /// A key of `uint64` or `fixed64` beyond the signed ones.
    Uint(u64),
    /// A `bool` key.
    Bool(bool),
    /// A `string` key.
    String(&'k str),
}

impl MapKey<'_> {
    /// The key as a slot holds it, for keys that are numbers; `None` when it is none of this kind.
    pub(super) fn to_word(self, kind: Kind) -> Option<u64> {
        match (self, kind) {
            (Self::Bool(key), Kind::Bool) => Some(key.into()),
            (Self::Int(key), Kind::Int32 | Kind::Sint32 | Kind::Sfixed32) => {
                i32::try_from(key).ok().map(|_| key as u64)
            }
            (Self::Int(key), Kind::Int64 | Kind::Sint64 | Kind::Sfixed64) => Some(key as u64),
            (Self::Int(key), Kind::Uint32 | Kind::Fixed32) => u32::try_from(key).ok().map(u64::from),
            (Self::Int(key), Kind::Uint64 | Kind::Fixed64) => u64::try_from(key).ok(),
            (Self::Uint(key), Kind::Uint64 | Kind::Fixed64) => Some(key),
            (Self::Uint(key), _) => Self::Int(i64::try_from(key).ok()?).to_word(kind),
            _ => None,
        }
    }
}

/// A map field for reading; entries ascend by key.
#[derive(Clone, Copy)]
pub struct MapRef<'m> {
    message: &'m Message,
    /// The entry type's index.
    entry: u32,
    list: List,
}

impl<'m> MapRef<'m> {
    /// How many entries it has.
    pub fn len(self) -> usize {
        self.list.len as usize
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.list.len == 0
    }

    fn field(self, slot: usize) -> Option<&'m FieldTable> {
        let tables = self.message.schema.tables();
        tables.fields_of(tables.message(self.entry)).get(slot)
    }

    fn pairs(self) -> &'m [[u64; 2]] {
        self.message
            .arena
            .slice(self.list.at, self.len() * 2)
            .as_chunks()
            .0
    }

    /// The value of a key; `None` when it is not there or not of the map's type.
    pub fn get(self, key: MapKey<'_>) -> Option<Value<'m>> {
        let index = self.position(key)?.ok()?;
        let value = self.pairs().get(index)?[1];
        Some(single(self.message, self.field(1)?, value))
    }

    /// Where a key is, or would be; `None` when it is not of the map's type.
    pub(super) fn position(self, key: MapKey<'_>) -> Option<Result<usize, usize>> {
        let field = self.field(0)?;
        let pairs = self.pairs();
        if let (MapKey::String(key), Op::String) = (key, field.entry.op) {
            return Some(pairs.binary_search_by(|pair| text(self.message, pair[0]).cmp(key.as_bytes())));
        }
        let key = key.to_word(field.kind)?;
        Some(pairs.binary_search_by(|pair| order(field.entry.op, pair[0], key)))
    }

    /// The entries by ascending key.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (Value<'m>, Value<'m>)> {
        let fields = self.field(0).zip(self.field(1));
        let pairs = if fields.is_some() { self.pairs() } else { &[] };
        pairs.iter().map(move |pair| match fields {
            Some((key, value)) => (
                single(self.message, key, pair[0]),
                single(self.message, value, pair[1]),
            ),
            None => (Value::Bool(false), Value::Bool(false)),
        })
    }
}

/// The order of number keys, which is that in which decoding sorts them.
fn order(op: Op, one: u64, other: u64) -> Ordering {
    match op {
        Op::Uint32 | Op::Fixed32 | Op::Bool => one.cmp(&other),
        _ => (one as i64).cmp(&(other as i64)),
    }
}
