//! What a scan needs to know of the field it looks for, and how single values are read from the wire.

use super::scan::At;
use crate::error::DecodeErrorKind;
use crate::schema::tables::{Entry, Op, Tables};
use crate::wire::{self, WireType};

/// A field to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Of a single value.
    pub(crate) tag: u32,
    /// Of a packed list; the same as `tag` for fields that are never packed.
    pub(crate) packed_tag: u32,
    /// Into `Tables::fields`.
    pub(crate) field: u32,
    pub(crate) entry: Entry,
    /// Its number where it belongs to a MessageSet, in which fields stand in items of their own.
    pub(crate) type_id: Option<u32>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field
    }
}

impl Target {
    /// The field at `index` of `Tables::fields`.
    #[inline]
    pub(crate) fn of(tables: &Tables, index: u32) -> Self {
        let table = tables.field(index);
        let in_set = tables.message(table.message).message_set;
        let tag = wire::tag(table.number, table.kind.wire_type());
        let packable = table.entry.is(Entry::REPEATED) && table.kind.is_packable();
        let packed_tag = wire::tag(table.number, WireType::Len);
        Self {
            tag,
            packed_tag: if packable { packed_tag } else { tag },
            field: index,
            entry: table.entry,
            type_id: in_set.then_some(table.number),
        }
    }

    /// The fields of a map's entries: key and value.
    #[inline]
    pub(crate) fn of_entry(&self, tables: &Tables) -> (Self, Self) {
        let first = tables.message(self.entry.sub).fields.start;
        (Self::of(tables, first), Self::of(tables, first + 1))
    }

    #[inline(always)]
    pub(crate) const fn number(&self) -> u32 {
        self.tag >> 3
    }

    #[inline(always)]
    pub(crate) const fn tags(&self) -> (u32, u32) {
        (self.tag, self.packed_tag)
    }

    #[inline(always)]
    pub(crate) const fn takes(&self, tag: u32) -> bool {
        tag == self.tag || tag == self.packed_tag
    }

    /// Whether a field with this tag is a packed list of it.
    #[inline(always)]
    pub(crate) const fn is_packed(&self, tag: u32) -> bool {
        tag != self.tag
    }

    pub(crate) const fn is_message(&self) -> bool {
        matches!(self.entry.op, Op::Message | Op::Group)
    }

    pub(crate) const fn is_map(&self) -> bool {
        self.entry.is(Entry::MAP)
    }

    pub(crate) const fn is_list(&self) -> bool {
        self.entry.is(Entry::REPEATED) && !self.is_map()
    }
}

/// A number as 64 bits: signed ones extended by their sign, floats as their bits.
#[inline]
pub(crate) fn bits(op: Op, bytes: &[u8], pos: &mut usize) -> Result<u64, DecodeErrorKind> {
    Ok(match op {
        Op::Varint64 => wire::varint(bytes, pos)?,
        Op::Int32 | Op::EnumOpen | Op::EnumClosed => sign_extended(wire::varint(bytes, pos)? as u32),
        Op::Uint32 => u64::from(wire::varint(bytes, pos)? as u32),
        Op::Sint32 => {
            let folded = u64::from(wire::varint(bytes, pos)? as u32);
            wire::unzigzag(folded) as u64
        }
        Op::Sint64 => wire::unzigzag(wire::varint(bytes, pos)?) as u64,
        Op::Bool => u64::from(wire::varint(bytes, pos)? != 0),
        Op::Fixed32 => u64::from(wire::read_i32(bytes, pos)?),
        Op::Sfixed32 => sign_extended(wire::read_i32(bytes, pos)?),
        Op::Fixed64 => wire::read_i64(bytes, pos)?,
        Op::Unknown | Op::String | Op::Bytes | Op::Message | Op::Group => 0,
    })
}

#[inline(always)]
const fn sign_extended(value: u32) -> u64 {
    value as i32 as i64 as u64
}

/// Whether the value at `at` is one: numbers that a closed enum does not name are unknown fields.
#[inline(always)]
pub(crate) fn is_known(tables: &Tables, entry: &Entry, at: At<'_>) -> bool {
    entry.op != Op::EnumClosed || is_named(tables, entry, at)
}

#[inline(never)]
fn is_named(tables: &Tables, entry: &Entry, At { bytes, mut pos }: At<'_>) -> bool {
    let Ok(number) = bits(Op::EnumClosed, bytes, &mut pos) else {
        return true;
    };
    tables.enumeration(entry.sub).index_of(number as i32).is_some()
}

/// How many values a packed list has whose values are all known.
#[inline]
pub(crate) fn packed_count(op: Op, run: &[u8]) -> usize {
    match fixed_width(op) {
        Some(width) => run.len().div_ceil(width),
        None => run.iter().map(|byte| usize::from(*byte < 0x80)).sum(),
    }
}

/// How many bytes each value takes, when all take the same.
#[inline]
pub(crate) const fn fixed_width(op: Op) -> Option<usize> {
    match op {
        Op::Fixed32 | Op::Sfixed32 => Some(4),
        Op::Fixed64 => Some(8),
        _ => None,
    }
}
