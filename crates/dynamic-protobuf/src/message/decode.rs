//! Decodes wire bytes into the arena, in one pass over them.
//!
//! Beside values this finds out whether a message stands on the wire as the encoder would write it, but for the order of fields:
//! then encoding copies it. What makes it irregular: a singular field twice, a list in pieces or in the other packing, a zero where
//! zero means unset, a number in more bytes than it needs, a map entry that lacks something or repeats a key.
//!
//! Positions are passed and returned by value: the next field waits for nothing but the one before it, so where it begins has to
//! stay in a register.

use super::arena::{Arena, At};
use super::{Message, Source};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::schema::tables::{Default, Entry, MessageTable, Op, Tables};
use crate::wire::{self, WireType};
use scalar::{Read, is_zero, op_wire_type, scalar};

mod maps;
pub(crate) mod message_set;
pub(super) mod packed;
mod scalar;
mod unknown;

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
        most_scratch: limits.allocation / size_of::<u64>(),
        child: NO_NODE,
    };
    let frame = Frame {
        node: *root,
        depth: limits.depth.min(Limits::MAX_DEPTH),
        end_group: NO_GROUP,
    };
    decoder.message(tables.message(*index), frame, bytes, 0).map(drop)
}

/// A message that ends with its bytes, not with a tag.
const NO_GROUP: u32 = 0;
/// No node: the first word of an arena is never one.
const NO_NODE: At = 0;

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
    /// How many words the scratch may have.
    most_scratch: usize,
    /// The node that was read last.
    child: At,
}

/// The message being filled.
#[derive(Clone, Copy)]
struct Frame {
    node: At,
    /// How many more levels there may be.
    depth: u32,
    /// The tag that ends it, for groups.
    end_group: u32,
}

/// What every step returns: the position after what it has read.
type Next = Result<usize, DecodeError>;

impl Decoder<'_> {
    /// Reads fields from `pos` to the end of `input`, or of the group that the frame's tag ends.
    fn message(&mut self, table: &MessageTable, frame: Frame, input: &[u8], mut pos: usize) -> Next {
        if table.message_set {
            return self.message_set(table, frame, input, pos);
        }
        while pos < input.len() {
            let start = pos;
            let tag = wire::read_tag(input, &mut pos).map_err(|kind| DecodeError::new(kind, start))?;
            let entry = table.entry_ref(tag >> 3);
            if entry.tag != tag {
                if tag == frame.end_group {
                    // Here and not where the group began: the end may be written in more bytes than it needs.
                    let (begin, _) = self.arena.span(frame.node);
                    self.arena
                        .set_span(frame.node, begin as usize, start.saturating_sub(begin as usize));
                    return Ok(pos);
                }
                pos = self.unusual(table, entry, frame, input, (tag, start, pos))?;
            } else if entry.is(Entry::REPEATED) {
                pos = self.repeated(table, entry, frame, input, (start, pos))?;
            } else if matches!(entry.op, Op::Message | Op::Group) {
                pos = self.singular_message(table, entry, frame, input, pos)?;
            } else {
                let read =
                    scalar(entry, input, &mut pos).map_err(|kind| self.failed(table, entry, kind, start))?;
                self.singular(table, entry, frame, read, (start, pos))?;
            }
        }
        if frame.end_group != NO_GROUP {
            return Err(DecodeError::new(DecodeErrorKind::Truncated, pos));
        }
        Ok(pos)
    }

    /// Sets a singular scalar field, which stands at these positions.
    #[inline(always)]
    fn singular(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        read: Read,
        at: (usize, usize),
    ) -> Result<(), DecodeError> {
        if entry.op == Op::EnumClosed && !self.knows(entry, read.value) {
            return self.unknown_span(frame, at.0, at.1);
        }
        let (node, slot) = (frame.node, u32::from(entry.slot));
        if entry.is(Entry::IMPLICIT) && is_zero(entry, read.value) {
            self.arena.clear_has(node, slot);
            self.arena.touch(node);
            return Ok(());
        }
        let mut irregular = !read.regular;
        if entry.oneof != 0 {
            irregular |= self.leave_oneof(table, entry, node);
        }
        irregular |= self.arena.set_has(node, slot);
        if irregular {
            self.arena.touch(node);
        }
        self.arena.set_word(node + table.slots_at + slot, read.value);
        Ok(())
    }

    /// Unsets the other members of the field's oneof, and returns whether one was set.
    #[inline]
    fn leave_oneof(&mut self, table: &MessageTable, entry: &Entry, node: At) -> bool {
        // When the field itself is the one that is set, no other is.
        let own = self.arena.has(node, u32::from(entry.slot));
        let oneof = &self.tables.oneofs[table.oneofs.start as usize + usize::from(entry.oneof) - 1];
        !own && self.arena.clear_masks(node, &oneof.masks)
    }

    #[inline]
    fn singular_message(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        pos: usize,
    ) -> Next {
        let (node, slot) = (frame.node, u32::from(entry.slot));
        let mut irregular = entry.oneof != 0 && self.leave_oneof(table, entry, node);
        let at = node + table.slots_at + slot;
        let merged = if self.arena.set_has(node, slot) {
            self.arena.word(at) as At
        } else {
            NO_NODE
        };
        let next = self
            .child(entry, merged, frame, input, pos)
            .map_err(|error| self.inside(error, table, entry))?;
        let child = self.child;
        self.arena.set_word(at, u64::from(child));
        if merged != NO_NODE {
            self.arena.touch(child);
        }
        irregular |= !self.arena.is_verbatim(child);
        if irregular {
            self.arena.touch(node);
        }
        Ok(next)
    }

    /// Reads a message or group whose tag is past, into the node `merged` or a new one, and leaves the node in `self.child`.
    #[inline]
    fn child(&mut self, entry: &Entry, merged: At, frame: Frame, input: &[u8], mut pos: usize) -> Next {
        let tables = self.tables;
        let table = tables.message(entry.sub);
        let at = pos;
        let depth = frame
            .depth
            .checked_sub(1)
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::TooDeep, at))?;
        let group = entry.op == Op::Group;
        let len = if group {
            input.len() - pos
        } else {
            wire::read_len(input, &mut pos).map_err(|kind| DecodeError::new(kind, at))?
        };
        let node = match merged {
            NO_NODE => self
                .arena
                .node(entry.sub, table, pos, len)
                .map_err(|kind| DecodeError::new(kind, at))?,
            node => node,
        };
        let inner = Frame {
            node,
            depth,
            end_group: if group { entry.tag + 1 } else { NO_GROUP },
        };
        let next = self.message(table, inner, input.get(..pos + len).unwrap_or_default(), pos)?;
        self.child = node;
        Ok(next)
    }

    /// Reads a list and the elements that follow its first at once. `at` is where its first tag begins and ends.
    #[inline]
    fn repeated(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        at: (usize, usize),
    ) -> Next {
        if entry.is(Entry::PACKED) {
            return self.packed(table, entry, frame, input, at.1);
        }
        if entry.is(Entry::MAP) {
            return self.map(table, entry, frame, input, at);
        }
        let tag = input.get(at.0..at.1).unwrap_or_default();
        let base = self.scratch.len();
        let mut pos = at.1;
        loop {
            pos = if matches!(entry.op, Op::Message | Op::Group) {
                self.message_element(table, entry, frame, input, (base, pos))?
            } else {
                self.scalar_element(table, entry, frame, input, (base, pos, tag.len()))?
            };
            self.check_room(self.scratch.len() - base)
                .map_err(|kind| self.failed(table, entry, kind, pos))?;
            if !follows(input, pos, tag) {
                break;
            }
            pos += tag.len();
        }
        self.commit(table, entry, frame, input, base)
            .map_err(|kind| self.failed(table, entry, kind, pos))?;
        Ok(pos)
    }

    #[inline(always)]
    fn message_element(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        (base, pos): (usize, usize),
    ) -> Next {
        match self.child(entry, NO_NODE, frame, input, pos) {
            Ok(next) => {
                self.scratch.push(u64::from(self.child));
                if !self.arena.is_verbatim(self.child) {
                    self.arena.touch(frame.node);
                }
                Ok(next)
            }
            Err(error) => Err(self.inside(error.in_element(self.scratch.len() - base), table, entry)),
        }
    }

    #[inline(always)]
    fn scalar_element(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        (base, start, tag_len): (usize, usize, usize),
    ) -> Next {
        let mut pos = start;
        let read = scalar(entry, input, &mut pos).map_err(|kind| {
            let index = self.scratch.len() - base;
            self.inside(DecodeError::new(kind, start).in_element(index), table, entry)
        })?;
        if entry.op == Op::EnumClosed && !self.knows(entry, read.value) {
            // The number leaves its place in the list, so the order of fields is not all that encoding would change.
            self.arena.touch(frame.node);
            self.unknown_span(frame, start - tag_len, pos)?;
            return Ok(pos);
        }
        if !read.regular {
            self.arena.touch(frame.node);
        }
        self.scratch.push(read.value);
        Ok(pos)
    }

    /// Checks that a list may have so many elements, and that what is being read has room.
    #[inline(always)]
    fn check_room(&self, count: usize) -> Result<(), DecodeErrorKind> {
        if count > self.elements {
            return Err(DecodeErrorKind::TooManyElements);
        }
        if self.scratch.len() > self.most_scratch {
            return Err(DecodeErrorKind::AllocationLimit);
        }
        Ok(())
    }

    /// Moves what was read since `base` into the field's list.
    #[inline]
    fn commit(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        base: usize,
    ) -> Result<(), DecodeErrorKind> {
        let count = self.scratch.len() - base;
        if count == 0 {
            return Ok(());
        }
        self.elements = self.elements.saturating_sub(count);
        let list_at = frame.node + table.slots_at + u32::from(entry.slot);
        if self.arena.set_has(frame.node, u32::from(entry.slot)) {
            self.arena.touch(frame.node);
            packed::unalias(self.arena, entry.op, list_at, input)?;
            let elements = self.scratch.get(base..).unwrap_or_default();
            self.arena.extend_list(list_at, elements, 1)?;
        } else {
            let list = self.arena.new_list(count)?;
            let elements = self.scratch.get(base..).unwrap_or_default();
            self.arena.slice_mut(list.at, count).copy_from_slice(elements);
            self.arena.set_word(list_at, list.to_word());
        }
        self.scratch.truncate(base);
        Ok(())
    }

    /// Reads a field whose tag is not the one that the encoder writes: unknown, of another wire type, or in the other packing.
    #[cold]
    fn unusual(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        (tag, start, after): (u32, usize, usize),
    ) -> Next {
        let packable = entry.is(Entry::REPEATED)
            && !matches!(
                entry.op,
                Op::String | Op::Bytes | Op::Message | Op::Group | Op::Unknown
            );
        if packable && tag == wire::tag(tag >> 3, WireType::Len) {
            self.arena.touch(frame.node);
            return self.packed(table, entry, frame, input, after);
        }
        if packable && tag == wire::tag(tag >> 3, op_wire_type(entry.op)) {
            // The elements of a list that is packed by its schema, one by one.
            self.arena.touch(frame.node);
            let unpacked = Entry {
                tag,
                flags: entry.flags & !Entry::PACKED,
                ..*entry
            };
            return self.repeated(table, &unpacked, frame, input, (start, after));
        }
        let mut pos = after;
        wire::skip_value(input, &mut pos, tag, frame.depth).map_err(|kind| DecodeError::new(kind, start))?;
        self.unknown_span(frame, start, pos)?;
        Ok(pos)
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
