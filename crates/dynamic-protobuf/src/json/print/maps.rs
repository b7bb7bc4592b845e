//! Maps: entries as members of an object, each key once.

use super::fields::{next_tag, span_of};
use super::scalar::read_bits;
use super::{Printing, Span};
use crate::json::error::{JsonErrorKind, Step, Stop, stop};
use crate::schema::Kind;
use crate::schema::tables::{FieldTable, Op};
use crate::wire;

/// Up to so many keys are compared each with each; more are sorted.
const FEW_KEYS: usize = 12;

/// The key of an entry on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Bits(u64),
    Text(&'a [u8]),
}

impl<'a> Printing<'a> {
    /// Writes entries, each with a comma before it, as long as the field's records follow each other.
    pub(super) fn map(&mut self, field: &'a FieldTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        let entry = self.message_of(field);
        let [key, value] = self.tables.fields_of(entry) else {
            return Err(stop(crate::DecodeErrorKind::InvalidTag, pos));
        };
        let keys = self.scratch.keys.len();
        let mut pos = pos;
        let mut index = 0;
        loop {
            let (span, end) = span_of(Kind::Message, field.number, bytes, pos, self.depth)?;
            self.check_length(pos)?;
            self.entry(key, value, span)
                .map_err(|stop| stop.in_element(index))?;
            index += 1;
            pos = end;
            match next_tag(bytes, pos) {
                Some((tag, after)) if tag == field.entry.tag => pos = after,
                _ => break,
            }
        }
        self.end_keys(keys)?;
        Ok(pos)
    }

    /// Refuses keys that may not be unique, among those noted since there were `base`.
    pub(super) fn end_keys(&mut self, base: usize) -> Step {
        let keys = self.scratch.keys.get_mut(base..).unwrap_or_default();
        let repeats = if keys.len() <= FEW_KEYS {
            (1..keys.len()).any(|at| keys[..at].contains(&keys[at]))
        } else {
            keys.sort_unstable();
            keys.windows(2).any(|pair| pair[0] == pair[1])
        };
        self.scratch.keys.truncate(base);
        if repeats { Err(Stop::Irregular) } else { Ok(()) }
    }

    /// Notes a key, to be compared with the others at the map's end.
    #[inline(always)]
    pub(super) fn note_key(&mut self, key: Key<'_>, offset: usize) -> Step {
        let keys = &mut self.scratch.keys;
        if keys.len() == keys.capacity() && keys.len() * 16 > self.options.limits.allocation {
            return Err(stop(JsonErrorKind::AllocationLimit, offset));
        }
        keys.push(match key {
            Key::Bits(bits) => bits,
            Key::Text(text) => hash(text),
        });
        Ok(())
    }

    /// Writes one entry that has its key before its value, each at most once.
    pub(super) fn entry(&mut self, key: &'a FieldTable, value: &'a FieldTable, span: Span) -> Step {
        self.element(span.start)?;
        let bytes = self.upto(span.end);
        let mut pos = span.start;
        self.out.byte(b',');
        match next_tag(bytes, pos) {
            Some((tag, after)) if tag == key.entry.tag => {
                pos = self.key_at(key, bytes, after)?;
            }
            _ => self.absent_key(key, pos)?,
        }
        self.out.byte(b':');
        match next_tag(bytes, pos) {
            Some((tag, after)) if tag == value.entry.tag => {
                pos = self.entry_value(value, bytes, after)?;
            }
            _ if pos == span.end => self.absent_value(value)?,
            _ => return Err(Stop::Irregular),
        }
        if pos == span.end {
            Ok(())
        } else {
            Err(Stop::Irregular)
        }
    }

    fn key_at(&mut self, key: &FieldTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        let mut end = pos;
        if key.kind == Kind::String {
            let text = wire::read_bytes(bytes, &mut end).map_err(|kind| stop(kind, pos))?;
            self.note_key(Key::Text(text), pos)?;
            self.string(end - text.len(), end)?;
        } else {
            let bits = read_bits(key.kind, bytes, &mut end).map_err(|kind| stop(kind, pos))?;
            self.note_key(Key::Bits(bits), pos)?;
            self.number_key(key.kind, bits);
        }
        Ok(end)
    }

    /// Writes a key that was read; its value's text ends at `end`.
    pub(super) fn write_key(&mut self, key: &FieldTable, found: Key<'a>, end: usize) -> Step {
        match found {
            Key::Bits(bits) => {
                self.number_key(key.kind, bits);
                Ok(())
            }
            Key::Text(text) => self.string(end - text.len(), end),
        }
    }

    pub(super) fn absent_key(&mut self, key: &FieldTable, pos: usize) -> Step {
        if key.kind == Kind::String {
            self.note_key(Key::Text(b""), pos)?;
            self.out.put(b"\"\"");
        } else {
            self.note_key(Key::Bits(0), pos)?;
            self.number_key(key.kind, 0);
        }
        Ok(())
    }

    pub(super) fn entry_value(&mut self, value: &'a FieldTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        let mut end = pos;
        match value.kind {
            Kind::Message | Kind::Group => {
                let (span, end) = span_of(value.kind, value.number, bytes, pos, self.depth)?;
                self.message(self.message_of(value), &[span])?;
                return Ok(end);
            }
            Kind::String | Kind::Bytes => {
                let text = wire::read_bytes(bytes, &mut end).map_err(|kind| stop(kind, pos))?;
                self.blob(value.kind, end - text.len(), end)?;
            }
            kind => {
                let bits = read_bits(kind, bytes, &mut end).map_err(|kind| stop(kind, pos))?;
                // An entry with such a value is an unknown field as a whole.
                if value.entry.op == Op::EnumClosed && !self.names(value, bits) {
                    return Err(Stop::Irregular);
                }
                self.number(kind, value.entry.sub, bits);
            }
        }
        Ok(end)
    }

    /// Writes the value of an entry that has none.
    pub(super) fn absent_value(&mut self, value: &'a FieldTable) -> Step {
        match value.kind {
            Kind::Message | Kind::Group => {
                self.message(self.message_of(value), &[Span { start: 0, end: 0 }])?
            }
            Kind::String | Kind::Bytes => self.out.put(b"\"\""),
            kind => {
                let bits = match value.default {
                    crate::schema::tables::Default::Bits(bits) => bits,
                    crate::schema::tables::Default::Bytes(_) => 0,
                };
                self.number(kind, value.entry.sub, bits);
            }
        }
        Ok(())
    }
}

/// Two keys with the same hash only lead to the careful way, which compares the keys themselves; so the hash need not
/// withstand an attacker.
#[inline]
pub(in crate::json) fn hash(text: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let (chunks, rest) = text.as_chunks::<8>();
    let mut hash = text.len() as u64;
    for chunk in chunks {
        hash = mix(hash ^ u64::from_le_bytes(*chunk), MULTIPLIER);
    }
    let last = match (text.last_chunk::<8>(), rest.is_empty()) {
        (_, true) => return hash,
        (Some(last), _) => u64::from_le_bytes(*last),
        (None, _) => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    mix(hash ^ last, MULTIPLIER)
}

#[inline(always)]
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ 0x2545_f491_4f6c_dd1d) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}
