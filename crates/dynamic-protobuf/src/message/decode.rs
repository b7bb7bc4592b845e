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
use scalar::{is_zero, op_wire_type, scalar};

pub(super) use nested::Around;

mod lists;
mod maps;
pub(crate) mod message_set;
mod nested;
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
        stack,
        root,
        ..
    } = message;
    let tables = schema.tables();
    let bytes = match source {
        Source::Owned(bytes) => bytes.as_slice(),
        Source::Shared(bytes) => bytes,
    };
    let frame = Frame {
        node: *root,
        depth: limits.depth.min(Limits::MAX_DEPTH),
        end_group: NO_GROUP,
    };
    let mut decoder = Decoder {
        tables,
        table: tables.message(*index),
        frame,
        arena,
        scratch,
        stack,
        added,
        source_len: bytes.len(),
        elements: limits.elements,
        most_scratch: limits.allocation / size_of::<u64>(),
        child: NO_NODE,
    };
    decoder.message(tables.message(*index), frame, bytes, 0).map(drop)
}

/// A message that ends with its bytes, not with a tag.
const NO_GROUP: u32 = 0;
/// No node: the first word of an arena is never one.
const NO_NODE: At = 0;
/// Where the slots begin in a message of at most 64 fields.
const ONE_WORD_OF_PRESENCE: At = super::slots_at(1);

struct Decoder<'d> {
    tables: &'d Tables,
    arena: &'d mut Arena,
    /// Elements of lists that are being read, the innermost list's last.
    scratch: &'d mut Vec<u64>,
    /// The messages around the one that is being read, the outermost first.
    stack: &'d mut Vec<Around>,
    /// Unknown fields that are not a span of the source: numbers of closed enums taken out of packed lists.
    added: &'d mut Vec<u8>,
    source_len: usize,
    /// How many more elements there may be.
    elements: usize,
    /// How many words the scratch may have.
    most_scratch: usize,
    /// The node that was read last.
    child: At,
    /// The message that is being read. It is here and not in variables to leave the registers to what every field changes.
    table: &'d MessageTable,
    frame: Frame,
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

impl<'d> Decoder<'d> {
    /// Reads fields from `pos` to the end of `input`, or of the group that the frame's tag ends.
    fn message(&mut self, table: &'d MessageTable, frame: Frame, input: &[u8], pos: usize) -> Next {
        if table.message_set {
            return self.message_set(table, frame, input, pos);
        }
        let around = (self.table, self.frame);
        (self.table, self.frame) = (table, frame);
        let base = self.stack.len();
        let read = self.fields(input, pos, base);
        (self.table, self.frame) = around;
        read.map_err(|error| self.unwind(error, base))
    }

    /// Reads the fields of the message that is being read; errors know nothing of the messages on the stack, the first `base` of
    /// which are not this call's.
    ///
    /// Messages inside are read by the same loop: most are tiny, and a call for each would cost more than their fields. `end` is
    /// where the one that is being read ends; a number may reach beyond it, which is noticed there.
    fn fields(&mut self, source: &[u8], mut pos: usize, base: usize) -> Next {
        let mut end = source.len();
        let end_group = self.frame.end_group;
        loop {
            while pos < end {
                let start = pos;
                let tag;
                (tag, pos) = match source.get(pos) {
                    Some(&byte) if byte < 0x80 => (u32::from(byte), pos + 1),
                    _ => tag_before(source, end, pos)?,
                };
                let table = self.table;
                let entry = table.entry_ref(tag >> 3);
                if entry.tag != tag {
                    if tag == self.frame.end_group {
                        self.end_group(start);
                        return Ok(pos);
                    }
                    pos = self.unusual(entry, upto(source, end), (tag, start, pos))?;
                } else if entry.is(Entry::REPEATED) {
                    pos = self.repeated(entry, source, &mut end, (start, pos))?;
                } else {
                    pos = self.single(entry, source, &mut end, (start, pos))?;
                }
            }
            if pos > end {
                return Err(DecodeError::new(DecodeErrorKind::Truncated, end));
            }
            if self.stack.len() == base {
                break;
            }
            pos = self.leave(source, &mut end, pos)?;
            if self.stack.len() == base {
                self.frame.end_group = end_group;
            }
        }
        if end_group != NO_GROUP {
            return Err(DecodeError::new(DecodeErrorKind::Truncated, pos));
        }
        Ok(pos)
    }

    /// Now it is known where a group ends; here and not where it began, for the end may be written in more bytes than it needs.
    fn end_group(&mut self, end: usize) {
        let node = self.frame.node;
        let (begin, _) = self.arena.span(node);
        self.arena
            .set_span(node, begin as usize, end.saturating_sub(begin as usize));
    }

    /// Reads the value of a field that is not repeated. `at` is where its tag begins and ends.
    #[inline(always)]
    fn single(&mut self, entry: &Entry, source: &[u8], end: &mut usize, at: (usize, usize)) -> Next {
        match entry.op {
            Op::Message => self.enter(entry, source, end, at.1),
            Op::Group => self.singular_message(self.table, entry, self.frame, upto(source, *end), at.1),
            Op::String | Op::Bytes => self.singular(entry, Op::String, source, *end, at),
            Op::Varint64 => self.singular(entry, Op::Varint64, source, *end, at),
            Op::Int32 | Op::EnumOpen => self.singular(entry, Op::Int32, source, *end, at),
            Op::Uint32 => self.singular(entry, Op::Uint32, source, *end, at),
            Op::Bool => self.singular(entry, Op::Bool, source, *end, at),
            Op::Sint32 => self.singular(entry, Op::Sint32, source, *end, at),
            Op::Sint64 => self.singular(entry, Op::Sint64, source, *end, at),
            Op::Fixed32 => self.singular(entry, Op::Fixed32, source, *end, at),
            Op::Sfixed32 => self.singular(entry, Op::Sfixed32, source, *end, at),
            Op::Fixed64 => self.singular(entry, Op::Fixed64, source, *end, at),
            Op::EnumClosed => self.singular(entry, Op::EnumClosed, source, *end, at),
            // Tags that are no tags find this.
            Op::Unknown => self.unusual(entry, upto(source, *end), (entry.tag, at.0, at.1)),
        }
    }

    /// Reads a singular scalar field, whose tag stands at these positions.
    #[inline(always)]
    fn singular(&mut self, entry: &Entry, op: Op, source: &[u8], end: usize, at: (usize, usize)) -> Next {
        let mut pos = at.1;
        let read = scalar(op, entry, source, end, &mut pos)
            .map_err(|kind| self.failed(self.table, entry, kind, at.0))?;
        let (table, node, slot) = (self.table, self.frame.node, u32::from(entry.slot));
        if op == Op::EnumClosed && !self.knows(entry, read.value) {
            self.unknown_span(self.frame, at.0, pos)?;
            return Ok(pos);
        }
        if is_zero(op, read.value) && entry.is(Entry::IMPLICIT) {
            self.arena.clear_has(node, slot);
            self.arena.touch(node);
            return Ok(pos);
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
        Ok(pos)
    }

    /// Unsets the other members of the field's oneof, and returns whether one was set.
    #[inline(always)]
    fn leave_oneof(&mut self, table: &MessageTable, entry: &Entry, node: At) -> bool {
        // Most often the oneof is all that there is.
        if table.slots_at == ONE_WORD_OF_PRESENCE && self.arena.presence(node, 0) == 0 {
            return false;
        }
        self.leave_others(table, entry, node)
    }

    #[inline(never)]
    fn leave_others(&mut self, table: &MessageTable, entry: &Entry, node: At) -> bool {
        // When the field itself is the one that is set, no other is.
        let own = self.arena.has(node, u32::from(entry.slot));
        let oneof = &self.tables.oneofs[table.oneofs.start as usize + usize::from(entry.oneof) - 1];
        !own && self.arena.clear_masks(node, &oneof.masks)
    }

    /// Reads a message or group of which there is one already, or in a format that is not read by the loop of the message around.
    #[cold]
    #[inline(never)]
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

    /// Reads a field whose tag is not the one that the encoder writes: unknown, of another wire type, or in the other packing.
    #[cold]
    fn unusual(&mut self, entry: &Entry, input: &[u8], (tag, start, after): (u32, usize, usize)) -> Next {
        let (table, frame) = (self.table, self.frame);
        wire::check_tag(tag).map_err(|kind| DecodeError::new(kind, start))?;
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
            return self.elements(table, &unpacked, frame, input, (start, after));
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

/// The source up to the end of a message.
#[inline(always)]
fn upto(source: &[u8], end: usize) -> &[u8] {
    source.get(..end).unwrap_or_default()
}

/// Reads a tag of more than one byte that has to end at `end` or before.
#[inline(always)]
fn tag_before(source: &[u8], end: usize, pos: usize) -> Result<(u32, usize), DecodeError> {
    match wire::long_tag(source, pos) {
        Ok((tag, after)) if after <= end => Ok((tag, after)),
        Ok(_) => Err(DecodeError::new(DecodeErrorKind::Truncated, pos)),
        Err(kind) => Err(DecodeError::new(kind, pos)),
    }
}

/// The position after this tag, if it is what comes next, in as few bytes as it needs.
#[inline(always)]
fn past_tag(source: &[u8], end: usize, pos: usize, tag: u32) -> Option<usize> {
    let first = u32::from(*source.get(pos)?);
    let after = if tag < 0x80 {
        (first == tag).then_some(pos + 1)?
    } else if tag < 0x4000 {
        let second = u32::from(*source.get(pos + 1)?);
        (first == tag & 0x7f | 0x80 && second == tag >> 7).then_some(pos + 2)?
    } else {
        let mut after = pos;
        (wire::read_tag(source, &mut after) == Ok(tag)).then_some(after)?
    };
    (after <= end).then_some(after)
}
