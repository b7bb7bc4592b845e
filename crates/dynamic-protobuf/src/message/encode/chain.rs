//! A number that was changed some singular messages deep: lengths are few enough to be known ahead, so that everything is
//! written once, from front to back.

use super::splice::Change;
use crate::message::Message;
use crate::schema::tables::{Entry, Op};
use crate::wire::{self, MAX_VARINT_LEN};

/// How many messages deep the number may be; deeper ones are written from back to front.
const MOST_LEVELS: usize = 8;

/// A message on the way to the number.
#[derive(Clone, Copy, Default)]
struct Level<'e> {
    before: &'e [u8],
    behind: &'e [u8],
    /// Of the field that leads on.
    tag: u32,
    /// Of the message's content.
    length: usize,
}

/// Appends the message to `out`; `false` when something else than one number was changed, and nothing is written then.
pub(super) fn encode_number(message: &Message, root: &Change<'_>, out: &mut Vec<u8>) -> bool {
    let mut levels = [Level::default(); MOST_LEVELS];
    let mut number = Number::default();
    let Some(depth) = gather(message, root, &mut levels, &mut number) else {
        return false;
    };
    let levels = levels.get_mut(..depth).unwrap_or_default();
    measure(levels, number.as_slice().len());
    for (level, next) in levels.iter().zip(levels.iter().skip(1)) {
        out.extend_from_slice(level.before);
        wire::put_varint(out, level.tag.into());
        wire::put_varint(out, next.length as u64);
    }
    if let Some(last) = levels.last() {
        out.extend_from_slice(last.before);
        wire::put_varint(out, last.tag.into());
        out.extend_from_slice(number.as_slice());
    }
    for level in levels.iter().rev() {
        out.extend_from_slice(level.behind);
    }
    true
}

/// Notes the messages from the root on; how many they are, when they end at a number.
#[inline]
fn gather<'e>(
    message: &'e Message,
    root: &Change<'e>,
    levels: &mut [Level<'e>; MOST_LEVELS],
    number: &mut Number,
) -> Option<usize> {
    let mut inner;
    let mut change = root;
    for (index, level) in levels.iter_mut().enumerate() {
        let entry = &change.field.entry;
        *level = Level {
            before: change.before(),
            behind: change.behind(),
            tag: entry.tag,
            length: 0,
        };
        let word = change.word.filter(|_| !entry.is(Entry::REPEATED))?;
        if entry.op != Op::Message {
            return number.set(entry.op, word).then_some(index + 1);
        }
        inner = Change::of(message, word as u32)?;
        change = &inner;
    }
    None
}

/// Works out the length of each message from the inside to the outside.
#[inline]
fn measure(levels: &mut [Level<'_>], mut value: usize) {
    for level in levels.iter_mut().rev() {
        level.length = level.before.len() + wire::varint_len(level.tag.into()) + value + level.behind.len();
        value = wire::varint_len(level.length as u64) + level.length;
    }
}

/// The bytes of a number.
#[derive(Default)]
struct Number {
    bytes: [u8; MAX_VARINT_LEN],
    len: usize,
}

impl Number {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// `false` when values of this kind are no numbers.
    #[inline]
    fn set(&mut self, op: Op, word: u64) -> bool {
        match op {
            Op::Unknown | Op::String | Op::Bytes | Op::Message | Op::Group => return false,
            Op::Fixed32 | Op::Sfixed32 => self.fixed(&(word as u32).to_le_bytes()),
            Op::Fixed64 => self.fixed(&word.to_le_bytes()),
            Op::Sint32 | Op::Sint64 => self.varint(wire::zigzag(word as i64)),
            _ => self.varint(word),
        }
        true
    }

    fn fixed<const N: usize>(&mut self, value: &[u8; N]) {
        if let Some(bytes) = self.bytes.first_chunk_mut() {
            *bytes = *value;
            self.len = N;
        }
    }

    fn varint(&mut self, mut value: u64) {
        self.len = wire::varint_len(value);
        for (index, byte) in self.bytes.iter_mut().take(self.len).enumerate() {
            let more = index + 1 < self.len;
            *byte = value as u8 & 0x7f | u8::from(more) << 7;
            value >>= 7;
        }
    }
}
