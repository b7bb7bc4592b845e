//! Decodes wire bytes into the arena, in one pass over them.
//!
//! Beside values this finds out whether a message stands on the wire as the encoder would write it, but for the order of fields:
//! then encoding copies it. What makes it irregular: a singular field twice, a list in pieces or in the other packing, a zero where
//! zero means unset, a number in more bytes than it needs, a map entry that lacks something or repeats a key.

use super::arena::{Arena, At, List, pack};
use super::{Message, Source};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{Default, Entry, MessageTable, Op, Tables};
use crate::utf8;
use crate::wire::{self, WireType};

mod maps;
pub(super) mod message_set;
pub(super) mod packed;

/// Decodes the message's source into its root.
pub(super) fn decode(message: &mut Message) -> Result<(), DecodeError> {
    let Message {
        schema,
        message: index,
        limits,
        source,
        added,
        arena,
        scratch,
        root,
        ..
    } = message;
    let tables = schema.tables();
    let bytes = match source {
        Source::Owned(bytes) => bytes.as_slice(),
        Source::Shared(bytes) => bytes,
    };
    let mut decoder = Decoder {
        tables,
        arena,
        scratch,
        added,
        source_len: bytes.len(),
        elements: limits.elements,
    };
    let table = tables.message(*index);
    decoder.message(
        table,
        &mut Place {
            node: *root,
            pos: 0,
            depth: limits.depth,
        },
        bytes,
        NO_GROUP,
    )
}

/// A message that ends with its bytes, not with a tag.
const NO_GROUP: u32 = 0;

struct Decoder<'d> {
    tables: &'d Tables,
    arena: &'d mut Arena,
    /// Elements of lists that are being read, the innermost list's last.
    scratch: &'d mut Vec<u64>,
    /// Unknown fields that are not a span of the source: numbers of closed enums taken out of packed lists.
    added: &'d mut Vec<u8>,
    source_len: usize,
    /// How many more elements there may be.
    elements: usize,
}

/// Where decoding is: the node being filled and the position in the input.
struct Place {
    node: At,
    pos: usize,
    /// How many more levels there may be.
    depth: u32,
}

/// One scalar's value and whether it was written in the shortest way.
#[derive(Clone, Copy)]
struct Read {
    value: u64,
    regular: bool,
}

impl Decoder<'_> {
    /// Reads fields until the end of `input`, or of the group that `end_group` ends.
    fn message(
        &mut self,
        table: &MessageTable,
        place: &mut Place,
        input: &[u8],
        end_group: u32,
    ) -> Result<(), DecodeError> {
        if table.message_set {
            return self.message_set(table, place, input, end_group);
        }
        let mut regular = true;
        while place.pos < input.len() {
            let start = place.pos;
            let tag = wire::read_tag(input, &mut place.pos).map_err(|kind| DecodeError::new(kind, start))?;
            let entry = table.entry(tag >> 3);
            regular &= if entry.tag != tag {
                if tag == end_group {
                    self.mark(place.node, regular);
                    return Ok(());
                }
                self.unusual(table, &entry, place, input, (tag, start))?
            } else if entry.is(Entry::REPEATED) {
                self.repeated(table, &entry, place, input, start)?
            } else {
                self.singular(table, &entry, place, input, start)?
            };
        }
        if end_group != NO_GROUP {
            return Err(DecodeError::new(DecodeErrorKind::Truncated, place.pos));
        }
        self.mark(place.node, regular);
        Ok(())
    }

    #[inline(always)]
    fn mark(&mut self, node: At, regular: bool) {
        if !regular {
            self.arena.touch(node);
        }
    }

    /// Reads a singular field whose tag is past.
    #[inline(always)]
    fn singular(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &mut Place,
        input: &[u8],
        tag_at: usize,
    ) -> Result<bool, DecodeError> {
        if matches!(entry.op, Op::Message | Op::Group) {
            return self.singular_message(table, entry, place, input);
        }
        let start = place.pos;
        let read =
            scalar(entry, input, &mut place.pos).map_err(|kind| self.failed(table, entry, kind, start))?;
        let mut regular = read.regular;
        if entry.op == Op::EnumClosed && !self.knows(entry, read.value) {
            return self.unknown_span(place, tag_at, place.pos).map(|()| true);
        }
        let node = place.node;
        if entry.is(Entry::IMPLICIT) && is_zero(entry, read.value) {
            self.arena.clear_has(node, u32::from(entry.slot));
            return Ok(false);
        }
        if entry.oneof != 0 {
            regular &= !self.leave_oneof(table, entry, node);
        }
        regular &= !self.arena.set_has(node, u32::from(entry.slot));
        self.arena
            .set_word(node + table.slots_at + u32::from(entry.slot), read.value);
        Ok(regular)
    }

    /// Unsets the other members of the field's oneof, and returns whether one was set.
    #[inline]
    fn leave_oneof(&mut self, table: &MessageTable, entry: &Entry, node: At) -> bool {
        let own = self.arena.has(node, u32::from(entry.slot));
        let oneof = &self.tables.oneofs[table.oneofs.start as usize + usize::from(entry.oneof) - 1];
        if own {
            // The field is the one that is set, so no other is.
            return false;
        }
        self.arena.clear_masks(node, &oneof.masks)
    }

    #[inline]
    fn singular_message(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &mut Place,
        input: &[u8],
    ) -> Result<bool, DecodeError> {
        let node = place.node;
        let slot = u32::from(entry.slot);
        let mut regular = true;
        if entry.oneof != 0 {
            regular &= !self.leave_oneof(table, entry, node);
        }
        let at = node + table.slots_at + slot;
        let merged = self.arena.set_has(node, slot).then(|| self.arena.word(at) as At);
        let child = self
            .child(entry, merged, place, input)
            .map_err(|error| self.inside(error, table, entry))?;
        self.arena.set_word(at, u64::from(child));
        if merged.is_some() {
            self.arena.touch(child);
        }
        Ok(regular && self.arena.is_verbatim(child))
    }

    /// Reads a message or group whose tag is past, into a node of its own or into one that is there already.
    #[inline]
    fn child(
        &mut self,
        entry: &Entry,
        merged: Option<At>,
        place: &mut Place,
        input: &[u8],
    ) -> Result<At, DecodeError> {
        let tables = self.tables;
        let table = tables.message(entry.sub);
        let depth = place
            .depth
            .checked_sub(1)
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::TooDeep, place.pos))?;
        let group = entry.op == Op::Group;
        let (start, end) = if group {
            (place.pos, input.len())
        } else {
            let at = place.pos;
            let len = wire::read_len(input, &mut place.pos).map_err(|kind| DecodeError::new(kind, at))?;
            (place.pos, place.pos + len)
        };
        let node = match merged {
            Some(node) => node,
            None => self
                .arena
                .node(entry.sub, table, start, end - start)
                .map_err(|kind| DecodeError::new(kind, start))?,
        };
        let mut inner = Place {
            node,
            pos: start,
            depth,
        };
        let end_group = if group { entry.tag + 1 } else { NO_GROUP };
        self.message(table, &mut inner, input.get(..end).unwrap_or_default(), end_group)?;
        place.pos = inner.pos;
        if group {
            let tag_len = wire::varint_len(u64::from(end_group));
            self.arena
                .set_span(node, start, (inner.pos - start).saturating_sub(tag_len));
        }
        Ok(node)
    }

    /// Reads a list whose first tag, at `start`, is past, and the elements that follow it at once.
    #[inline(always)]
    fn repeated(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &mut Place,
        input: &[u8],
        start: usize,
    ) -> Result<bool, DecodeError> {
        if entry.is(Entry::PACKED) {
            return self.packed(table, entry, place, input);
        }
        if entry.is(Entry::MAP) {
            return self.map(table, entry, place, input, start);
        }
        let list_at = place.node + table.slots_at + u32::from(entry.slot);
        let fresh = !self.arena.has(place.node, u32::from(entry.slot));
        if fresh {
            self.arena.set_word(list_at, 0);
        }
        let tag = input.get(start..place.pos).unwrap_or_default();
        let base = self.scratch.len();
        let mut regular = fresh;
        loop {
            regular &= if matches!(entry.op, Op::Message | Op::Group) {
                self.message_element(table, entry, place, input, base)?
            } else {
                self.scalar_element(table, entry, place, input, (base, tag.len()))?
            };
            if self.scratch.len() - base > self.elements {
                return Err(self.failed(table, entry, DecodeErrorKind::TooManyElements, place.pos));
            }
            if !follows(input, place.pos, tag) {
                break;
            }
            place.pos += tag.len();
        }
        self.commit(table, entry, place, base)?;
        Ok(regular)
    }

    #[inline]
    fn message_element(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &mut Place,
        input: &[u8],
        base: usize,
    ) -> Result<bool, DecodeError> {
        match self.child(entry, None, place, input) {
            Ok(child) => {
                self.scratch.push(u64::from(child));
                Ok(self.arena.is_verbatim(child))
            }
            Err(error) => Err(self.inside(error.in_element(self.scratch.len() - base), table, entry)),
        }
    }

    #[inline(always)]
    fn scalar_element(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &mut Place,
        input: &[u8],
        (base, tag_len): (usize, usize),
    ) -> Result<bool, DecodeError> {
        let start = place.pos;
        let read = scalar(entry, input, &mut place.pos).map_err(|kind| {
            let index = self.scratch.len() - base;
            self.inside(DecodeError::new(kind, start).in_element(index), table, entry)
        })?;
        if entry.op == Op::EnumClosed && !self.knows(entry, read.value) {
            self.unknown_span(place, start - tag_len, place.pos)?;
            // The number leaves its place in the list, so the order of fields is not all that encoding would change.
            return Ok(false);
        }
        self.scratch.push(read.value);
        Ok(read.regular)
    }

    /// Moves what was read since `base` into the field's list.
    #[inline]
    fn commit(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &Place,
        base: usize,
    ) -> Result<(), DecodeError> {
        let count = self.scratch.len() - base;
        if count > 0 {
            self.elements = self.elements.saturating_sub(count);
            let list_at = place.node + table.slots_at + u32::from(entry.slot);
            let elements = self.scratch.get(base..).unwrap_or_default();
            self.arena.set_has(place.node, u32::from(entry.slot));
            self.arena
                .extend_list(list_at, elements, 1)
                .map_err(|kind| self.failed(table, entry, kind, place.pos))?;
            self.scratch.truncate(base);
        }
        Ok(())
    }

    /// Reads a field whose tag is not the one that the encoder writes: unknown, of another wire type, or in the other packing.
    #[cold]
    fn unusual(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &mut Place,
        input: &[u8],
        (tag, start): (u32, usize),
    ) -> Result<bool, DecodeError> {
        let packable = entry.is(Entry::REPEATED)
            && !matches!(
                entry.op,
                Op::String | Op::Bytes | Op::Message | Op::Group | Op::Unknown
            );
        let single = wire::tag(tag >> 3, op_wire_type(entry.op));
        if packable && tag == wire::tag(tag >> 3, WireType::Len) {
            self.packed(table, entry, place, input)?;
            return Ok(false);
        }
        if packable && tag == single {
            // The elements of a list that is packed by its schema, one by one.
            let unpacked = Entry {
                tag,
                flags: entry.flags & !Entry::PACKED,
                ..*entry
            };
            self.repeated(table, &unpacked, place, input, start)?;
            return Ok(false);
        }
        wire::skip_value(input, &mut place.pos, tag, place.depth)
            .map_err(|kind| DecodeError::new(kind, start))?;
        self.unknown_span(place, start, place.pos)?;
        Ok(true)
    }

    /// Keeps a span of the source as unknown field.
    fn unknown_span(&mut self, place: &Place, start: usize, end: usize) -> Result<(), DecodeError> {
        let list_at = Arena::unknown_at(place.node);
        let list = List::from_word(self.arena.word(list_at));
        if let Some(last) = list.len.checked_sub(1) {
            let last_at = list.at + last;
            let (offset, len) = super::arena::unpack(self.arena.word(last_at));
            if offset as usize + len as usize == start {
                self.arena
                    .set_word(last_at, pack(offset, len + (end - start) as u32));
                return Ok(());
            }
        }
        self.elements = self
            .elements
            .checked_sub(1)
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::TooManyElements, start))?;
        let span = pack(start as u32, (end - start) as u32);
        self.arena
            .extend_list(list_at, &[span], 1)
            .map_err(|kind| DecodeError::new(kind, start))
    }

    /// Keeps a number as unknown field that has no span of its own in the source.
    fn unknown_number(&mut self, place: &Place, tag: u32, number: u64) -> Result<(), DecodeError> {
        let start = self.source_len + self.added.len();
        wire::put_varint(self.added, u64::from(tag));
        wire::put_varint(self.added, number);
        let end = self.source_len + self.added.len();
        self.unknown_span(place, start, end)
    }

    #[inline]
    fn knows(&self, entry: &Entry, number: u64) -> bool {
        self.tables
            .enumeration(entry.sub)
            .index_of(number as i32)
            .is_some()
    }

    #[cold]
    fn failed(
        &self,
        table: &MessageTable,
        entry: &Entry,
        kind: DecodeErrorKind,
        offset: usize,
    ) -> DecodeError {
        self.inside(DecodeError::new(kind, offset), table, entry)
    }

    #[cold]
    fn inside(&self, error: DecodeError, table: &MessageTable, entry: &Entry) -> DecodeError {
        let field = self.tables.fields_of(table).get(usize::from(entry.slot));
        error.in_field(field.map_or("", |field| &field.name))
    }

    /// The slot of a field that is not set, where slots need one: in map entries.
    fn default_of(&self, table: &MessageTable, entry: &Entry) -> u64 {
        let field = self.tables.fields_of(table).get(usize::from(entry.slot));
        match field.map(|field| &field.default) {
            Some(Default::Bits(bits)) => *bits,
            _ => 0,
        }
    }
}

/// Whether the next bytes are this tag again.
#[inline(always)]
fn follows(input: &[u8], pos: usize, tag: &[u8]) -> bool {
    match tag {
        [one] => input.get(pos) == Some(one),
        _ => input.get(pos..).is_some_and(|rest| rest.starts_with(tag)),
    }
}

/// How one value of this op is laid out when not packed.
fn op_wire_type(op: Op) -> WireType {
    match op {
        Op::Fixed32 | Op::Sfixed32 => WireType::I32,
        Op::Fixed64 => WireType::I64,
        Op::String | Op::Bytes | Op::Message => WireType::Len,
        Op::Group => WireType::StartGroup,
        _ => WireType::Varint,
    }
}

/// Whether a slot's value is its type's zero.
#[inline(always)]
fn is_zero(entry: &Entry, value: u64) -> bool {
    match entry.op {
        Op::String | Op::Bytes => value >> 32 == 0,
        _ => value == 0,
    }
}

/// Reads one scalar, not a message, into the form of a slot.
#[inline(always)]
fn scalar(entry: &Entry, input: &[u8], pos: &mut usize) -> Result<Read, DecodeErrorKind> {
    let value = match entry.op {
        Op::String | Op::Bytes => {
            let len = wire::read_len(input, pos)?;
            let start = *pos;
            *pos += len;
            if entry.is(Entry::UTF8) && !utf8::is_valid(input.get(start..*pos).unwrap_or_default()) {
                return Err(DecodeErrorKind::InvalidUtf8);
            }
            pack(start as u32, len as u32)
        }
        Op::Fixed32 => u64::from(wire::read_i32(input, pos)?),
        Op::Sfixed32 => i64::from(wire::read_i32(input, pos)? as i32) as u64,
        Op::Fixed64 => wire::read_i64(input, pos)?,
        _ => {
            let start = *pos;
            let raw = wire::varint(input, pos)?;
            let (value, written) = from_varint(entry.op, raw);
            let shortest = *pos - start == 1 || *pos - start == wire::varint_len(raw);
            return Ok(Read {
                value,
                regular: shortest && raw == written,
            });
        }
    };
    Ok(Read { value, regular: true })
}

/// What a varint means to this op, and the varint that would be written for it.
#[inline(always)]
fn from_varint(op: Op, raw: u64) -> (u64, u64) {
    let (value, written) = match op {
        Op::Int32 | Op::EnumOpen | Op::EnumClosed => {
            let value = i64::from(raw as i32) as u64;
            (value, value)
        }
        Op::Uint32 => (u64::from(raw as u32), u64::from(raw as u32)),
        Op::Sint32 => {
            let low = u64::from(raw as u32);
            (wire::unzigzag(low) as u64, low)
        }
        Op::Sint64 => (wire::unzigzag(raw) as u64, raw),
        Op::Bool => (u64::from(raw != 0), u64::from(raw != 0)),
        _ => (raw, raw),
    };
    (value, written)
}
