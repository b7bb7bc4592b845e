//! A number that was changed some singular messages deep: where these messages stand is known from decoding, and lengths are few
//! enough to be known ahead, so that everything is written once, from front to back.

use super::splice::{run_of, stands_together};
use crate::message::Message;
use crate::message::arena::At;
use crate::schema::tables::{Entry, Op};
use crate::view::pass;
use crate::wire;
use std::ops::Range;

/// How many messages deep the number may be; deeper ones are written from back to front.
const MOST_LEVELS: usize = 8;

/// A message on the way to the number.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Where its content begins in the source.
    start: usize,
    /// How long its content was.
    was: usize,
    /// How long its content is now.
    length: usize,
}

impl Level {
    /// Where its length begins in the source.
    fn header(&self) -> usize {
        self.start - wire::varint_len(self.was as u64)
    }

    fn keeps_header(&self) -> bool {
        wire::varint_len(self.was as u64) == wire::varint_len(self.length as u64)
    }
}

/// The number and where it stood.
struct Number {
    tag: u32,
    op: Op,
    word: u64,
    /// Where in the source its field stood.
    run: Range<usize>,
}

/// Appends the message to `out`; `false` when something else than one number was changed, and nothing is written then.
pub(super) fn encode_number(message: &Message, out: &mut Vec<u8>) -> bool {
    let mut levels = [Level::default(); MOST_LEVELS];
    let Some((depth, number)) = gather(message, &mut levels) else {
        return false;
    };
    let Some((root, inner)) = levels.get_mut(..=depth).and_then(<[_]>::split_first_mut) else {
        return false;
    };
    let grown = measure(inner, &number);
    let source = message.source.as_slice();
    let (Some(before), Some(behind)) = (
        source.get(root.start..number.run.start),
        source.get(number.run.end..root.start + root.was),
    ) else {
        return false;
    };
    out.reserve(root.was.wrapping_add(grown));
    if inner.iter().all(Level::keeps_header) {
        let base = out.len();
        out.extend_from_slice(before);
        if grown != 0 {
            patch(inner, out.get_mut(base..).unwrap_or_default(), root.start);
        }
    } else {
        in_pieces(inner, before, root.start, out);
    }
    number.put(out);
    out.extend_from_slice(behind);
    true
}

/// Notes the messages from the root on, and the number that they end at; how many they are below the root.
#[inline]
fn gather(message: &Message, levels: &mut [Level; MOST_LEVELS]) -> Option<(usize, Number)> {
    let (arena, tables) = (&message.arena, message.schema.tables());
    let source = message.source.as_slice();
    let mut node = message.root;
    for (index, level) in levels.iter_mut().enumerate() {
        let slot = arena.changed_field(node)?;
        let table = tables.message(arena.message_of(node));
        let entry = &tables.fields_of(table).get(usize::from(slot))?.entry;
        let slot = u32::from(slot);
        if entry.is(Entry::REPEATED) || !stands_together(table, entry) || !arena.has(node, slot) {
            return None;
        }
        let (start, was) = arena.span(node);
        let (start, was) = (start as usize, was as usize);
        *level = Level {
            start,
            was,
            length: was,
        };
        let word = arena.word(node + table.slots_at + slot);
        if entry.op != Op::Message {
            if matches!(entry.op, Op::Unknown | Op::String | Op::Bytes | Op::Group) {
                return None;
            }
            let run = run_of(source.get(start..start + was)?, entry.tag)?;
            let number = Number {
                tag: entry.tag,
                op: entry.op,
                word,
                run: start + run.start..start + run.end,
            };
            return Some((index, number));
        }
        node = word as At;
        if !stands_behind(source, start, entry.tag, arena.span(node)) {
            return None;
        }
    }
    None
}

/// Whether the span is that of a message in the source, behind this tag and its length, in a message that begins at `outer`.
/// Messages that were not read have none.
#[inline]
fn stands_behind(source: &[u8], outer: usize, tag: u32, (start, len): (u32, u32)) -> bool {
    let (start, len) = (start as usize, len as usize);
    let header = wire::varint_len(tag.into()) + wire::varint_len(len as u64);
    let Some(mut pos) = start.checked_sub(header).filter(|pos| *pos >= outer) else {
        return false;
    };
    pass::tag(source, &mut pos) == Some(tag) && pass::length(source, &mut pos) == Some(len) && pos == start
}

/// Works out the length of each message from the inside to the outside; by how much, wrapping, the whole grows.
#[inline]
fn measure(inner: &mut [Level], number: &Number) -> usize {
    let mut grown = number.len().wrapping_sub(number.run.len());
    for level in inner.iter_mut().rev() {
        level.length = level.was.wrapping_add(grown);
        let (now, was) = (
            wire::varint_len(level.length as u64),
            wire::varint_len(level.was as u64),
        );
        grown = grown.wrapping_add(now.wrapping_sub(was));
    }
    grown
}

/// Puts new lengths where the old ones stand, in as many bytes. `written` begins with what stood at `base`.
#[inline]
fn patch(inner: &[Level], written: &mut [u8], base: usize) {
    for level in inner {
        let Some(header) = written.get_mut(level.header() - base..level.start - base) else {
            continue;
        };
        let mut value = level.length;
        for byte in header {
            *byte = value as u8 & 0x7f | *byte & 0x80;
            value >>= 7;
        }
    }
}

/// Writes what stood at `base`, with new lengths.
#[cold]
fn in_pieces(inner: &[Level], before: &[u8], base: usize, out: &mut Vec<u8>) {
    let mut from = 0;
    for level in inner {
        out.extend_from_slice(before.get(from..level.header() - base).unwrap_or_default());
        wire::put_varint(out, level.length as u64);
        from = level.start - base;
    }
    out.extend_from_slice(before.get(from..).unwrap_or_default());
}

impl Number {
    /// How many bytes it takes with its tag.
    #[inline]
    fn len(&self) -> usize {
        let value = match self.op {
            Op::Fixed32 | Op::Sfixed32 => 4,
            Op::Fixed64 => 8,
            Op::Sint32 | Op::Sint64 => wire::varint_len(wire::zigzag(self.word as i64)),
            _ => wire::varint_len(self.word),
        };
        wire::varint_len(self.tag.into()) + value
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        wire::put_varint(out, self.tag.into());
        match self.op {
            Op::Fixed32 | Op::Sfixed32 => out.extend_from_slice(&(self.word as u32).to_le_bytes()),
            Op::Fixed64 => out.extend_from_slice(&self.word.to_le_bytes()),
            Op::Sint32 | Op::Sint64 => wire::put_varint(out, wire::zigzag(self.word as i64)),
            _ => wire::put_varint(out, self.word),
        }
    }
}
