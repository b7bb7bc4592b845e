//! Encodes messages from back to front: a length is known when what it counts has been written, so nothing is measured first.

mod chain;
mod splice;

use super::Message;
use super::arena::{At, List, unpack};
use super::decode::message_set;
use super::decode::packed::{aliased_element, aliased_width};
use crate::schema::tables::{Entry, FieldTable, MessageTable, Op, Tables};
use crate::wire::{self, WireType};

/// What becomes of messages that are as they were read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unchanged {
    /// Their bytes are copied.
    Copy,
    /// They are written anew.
    Rewrite,
}

/// Appends the encoded message to `out`.
pub(super) fn encode(message: &Message, out: &mut Vec<u8>, unchanged: Unchanged) {
    let root = message.root;
    if unchanged == Unchanged::Copy && message.arena.is_verbatim(root) {
        let (start, len) = message.arena.span(root);
        out.extend_from_slice(message.bytes(start, len));
        return;
    }
    if unchanged == Unchanged::Copy && splice::encode_around(message, out) {
        return;
    }
    let tables = message.schema.tables();
    let mut encoder = Encoder {
        tables,
        message,
        unchanged,
        back: Back::over(out, message.source.as_slice().len() + message.added.len()),
    };
    encoder.message(root);
    encoder.back.finish();
}

/// Bytes that grow to the front, behind what a vector already holds.
struct Back<'o> {
    out: &'o mut Vec<u8>,
    /// What was there before.
    kept: usize,
    /// Where the written bytes begin; they end with the vector.
    at: usize,
}

impl<'o> Back<'o> {
    fn over(out: &'o mut Vec<u8>, expected: usize) -> Self {
        let kept = out.len();
        out.resize(kept + expected + 16, 0);
        Self {
            at: out.len(),
            kept,
            out,
        }
    }

    #[inline(always)]
    fn room(&mut self, count: usize) -> &mut [u8] {
        if self.at - self.kept < count {
            self.grow(count);
        }
        self.at -= count;
        let at = self.at;
        &mut self.out[at..at + count]
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        let written = self.out.len() - self.at;
        let old_len = self.out.len();
        self.out.resize(self.kept + (written + count) * 2, 0);
        let at = self.out.len() - written;
        self.out.copy_within(self.at..old_len, at);
        self.at = at;
    }

    #[inline(always)]
    fn slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
    }

    #[inline(always)]
    fn varint(&mut self, mut value: u64) {
        let len = wire::varint_len(value);
        for byte in self.room(len) {
            *byte = value as u8 | 0x80;
            value >>= 7;
        }
        if let Some(last) = self.out.get_mut(self.at + len - 1) {
            *last &= 0x7f;
        }
    }

    /// How many bytes are written.
    #[inline(always)]
    fn written(&self) -> usize {
        self.out.len() - self.at
    }

    /// Closes the gap between what was there and what was written.
    fn finish(self) {
        let written = self.written();
        self.out.copy_within(self.at.., self.kept);
        self.out.truncate(self.kept + written);
    }
}

struct Encoder<'e, 'o> {
    tables: &'e Tables,
    message: &'e Message,
    unchanged: Unchanged,
    back: Back<'o>,
}

impl Encoder<'_, '_> {
    /// Writes a message's content.
    fn message(&mut self, node: At) {
        let arena = &self.message.arena;
        if self.unchanged == Unchanged::Copy && arena.is_verbatim(node) {
            let (start, len) = arena.span(node);
            return self.back.slice(self.message.bytes(start, len));
        }
        if self.unchanged == Unchanged::Copy && self.around_change(node) {
            return;
        }
        self.unknown(arena.unknown(node));
        let tables = self.tables;
        let table = tables.message(arena.message_of(node));
        let fields = tables.fields_of(table);
        for word in (0..fields.len().div_ceil(64) as u32).rev() {
            let mut presence = arena.presence(node, word);
            while presence != 0 {
                let bit = presence.ilog2();
                presence ^= 1 << bit;
                let slot = word * 64 + bit;
                if let Some(field) = fields.get(slot as usize) {
                    self.field(table, field, arena.word(node + table.slots_at + slot));
                }
            }
        }
    }

    fn unknown(&mut self, list: List) {
        let message = self.message;
        for word in message.arena.slice(list.at, list.len as usize).iter().rev() {
            let (offset, len) = unpack(*word);
            self.back.slice(message.bytes(offset, len));
        }
    }

    fn field(&mut self, table: &MessageTable, field: &FieldTable, word: u64) {
        let entry = &field.entry;
        if entry.is(Entry::MAP) {
            self.map(entry, List::from_word(word));
        } else if entry.is(Entry::REPEATED) {
            self.list(entry, List::from_word(word));
        } else if table.message_set && entry.op == Op::Message {
            self.item(field, word as At);
        } else {
            self.single(entry, word);
        }
    }

    /// Writes one value with its tag.
    #[inline]
    fn single(&mut self, entry: &Entry, word: u64) {
        match entry.op {
            Op::Message => {
                let end = self.back.written();
                self.message(word as At);
                let len = self.back.written() - end;
                self.back.varint(len as u64);
                self.back.varint(u64::from(entry.tag));
            }
            Op::Group => {
                self.back.varint(u64::from(entry.tag + 1));
                self.message(word as At);
                self.back.varint(u64::from(entry.tag));
            }
            _ => {
                self.scalar(entry.op, word);
                self.back.varint(u64::from(entry.tag));
            }
        }
    }

    /// Writes a scalar without a tag.
    #[inline]
    fn scalar(&mut self, op: Op, word: u64) {
        match op {
            Op::String | Op::Bytes => {
                let (offset, len) = unpack(word);
                let bytes = self.message.bytes(offset, len);
                self.back.slice(bytes);
                self.back.varint(u64::from(len));
            }
            Op::Fixed32 | Op::Sfixed32 => self.back.slice(&(word as u32).to_le_bytes()),
            Op::Fixed64 => self.back.slice(&word.to_le_bytes()),
            Op::Sint32 | Op::Sint64 => self.back.varint(wire::zigzag(word as i64)),
            _ => self.back.varint(word),
        }
    }

    fn list(&mut self, entry: &Entry, list: List) {
        if entry.is(Entry::PACKED) {
            let end = self.back.written();
            if list.aliased && self.unchanged == Unchanged::Copy {
                let len = list.len * aliased_width(entry.op) as u32;
                self.back.slice(self.message.bytes(list.at, len));
            } else {
                self.elements(entry, list, |encoder, word| encoder.scalar(entry.op, word));
            }
            let len = self.back.written() - end;
            self.back.varint(len as u64);
            self.back.varint(u64::from(entry.tag));
        } else {
            self.elements(entry, list, |encoder, word| encoder.single(entry, word));
        }
    }

    /// Calls `each` with the elements of a list, the last first.
    fn elements(&mut self, entry: &Entry, list: List, mut each: impl FnMut(&mut Self, u64)) {
        let message = self.message;
        if list.aliased {
            let width = aliased_width(entry.op);
            for bytes in message
                .bytes(list.at, list.len * width as u32)
                .chunks_exact(width)
                .rev()
            {
                each(self, aliased_element(entry.op, bytes));
            }
        } else {
            for word in message.arena.slice(list.at, list.len as usize).iter().rev() {
                each(self, *word);
            }
        }
    }

    fn map(&mut self, entry: &Entry, list: List) {
        let message = self.message;
        let table = self.tables.message(entry.sub);
        let (key, value) = (table.entry(1), table.entry(2));
        for pair in message
            .arena
            .slice(list.at, list.len as usize * 2)
            .as_chunks::<2>()
            .0
            .iter()
            .rev()
        {
            let end = self.back.written();
            self.single(&value, pair[1]);
            self.single(&key, pair[0]);
            let len = self.back.written() - end;
            self.back.varint(len as u64);
            self.back.varint(u64::from(entry.tag));
        }
    }

    /// Writes an extension of a MessageSet.
    fn item(&mut self, field: &FieldTable, node: At) {
        self.back.varint(u64::from(message_set::ITEM_END));
        let message = Entry {
            tag: wire::tag(3, WireType::Len),
            ..field.entry
        };
        self.single(&message, u64::from(node));
        self.back.varint(u64::from(field.number));
        self.back.varint(u64::from(message_set::TYPE_ID));
        self.back.varint(u64::from(message_set::ITEM_START));
    }
}
