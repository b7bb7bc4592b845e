//! Reading maps.

use super::super::Message;
use super::super::arena::List;
use super::Value;
use super::value::{single, text};
use crate::schema::Kind;
use crate::schema::tables::{FieldTable, Op};
use std::cmp::Ordering;

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
    pub(in crate::message) fn to_word(self, kind: Kind) -> Option<u64> {
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
    pub(super) message: &'m Message,
    /// The entry type's index.
    pub(super) entry: u32,
    pub(super) list: List,
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
    pub(in crate::message) fn position(self, key: MapKey<'_>) -> Option<Result<usize, usize>> {
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
