//! Strings: copied as they stand while nothing in them needs an escape.

use super::Printing;
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::json::out::Out;
use crate::json::words;

impl Printing<'_> {
    /// Writes the string that stands between two places on the wire.
    #[inline(always)]
    pub(super) fn string(&mut self, start: usize, end: usize) -> Step {
        if self.copy(start, end) != 0 {
            return self.special_string(start, end);
        }
        self.out.advance(end - start + 2);
        Ok(())
    }

    /// Copies the string in words, with its quotes, but does not count it as written; not zero when it may not be plain
    /// ASCII.
    #[inline(always)]
    fn copy(&mut self, start: usize, end: usize) -> u64 {
        let text = self.wire.get(start..end).unwrap_or_default();
        let room = self.out.room(text.len().max(8) + 2);
        let Some((quote, to)) = room.split_first_mut() else {
            return 1;
        };
        *quote = b'"';
        let (words, rest) = text.as_chunks::<8>();
        let mut special = 0;
        for (from, to) in words.iter().zip(to.as_chunks_mut::<8>().0) {
            *to = *from;
            special |= words::special(u64::from_le_bytes(*from));
        }
        if !rest.is_empty() {
            // The last word overlaps the one before it; a string that is shorter is masked.
            let (last, place) = match text.last_chunk::<8>() {
                Some(last) => (*last, to.get_mut(text.len() - 8..)),
                None => {
                    let word = words::first(words::load(self.wire, start), text.len());
                    (word.to_le_bytes(), Some(&mut *to))
                }
            };
            if let Some(place) = place.and_then(<[u8]>::first_chunk_mut::<8>) {
                *place = last;
            }
            special |= words::special(u64::from_le_bytes(last));
        }
        to[text.len()] = b'"';
        special
    }

    /// Writes a copied string that is not plain ASCII: what comes before the first escape stays where it is.
    #[inline(never)]
    fn special_string(&mut self, start: usize, end: usize) -> Step {
        let bytes = self.wire.get(start..end).unwrap_or_default();
        if !crate::utf8::is_valid(bytes) {
            return Err(stop(JsonErrorKind::InvalidUtf8, start));
        }
        let (plain, rest) = bytes.split_at(plain_prefix(bytes));
        self.out.advance(plain.len() + 1);
        escape_all(&mut self.out, rest);
        self.out.byte(b'"');
        Ok(())
    }
}

/// Writes text that begins with a byte which needs an escape, or is empty.
fn escape_all(out: &mut Out, mut text: &[u8]) {
    while let Some((first, others)) = text.split_first() {
        escape(out, *first);
        let (plain, rest) = others.split_at(plain_prefix(others));
        out.put(plain);
        text = rest;
    }
}

/// How many bytes at the beginning need no escape.
fn plain_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let found = words::escaped(words::load(bytes, at));
        if found != 0 {
            return at + words::before(found);
        }
        at += 8;
    }
    bytes.len()
}

fn escape(out: &mut Out, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.put(b"\\\""),
        b'\\' => out.put(b"\\\\"),
        b'\n' => out.put(b"\\n"),
        b'\r' => out.put(b"\\r"),
        b'\t' => out.put(b"\\t"),
        8 => out.put(b"\\b"),
        12 => out.put(b"\\f"),
        _ => {
            out.put(b"\\u00");
            out.byte(HEX[usize::from(byte >> 4)]);
            out.byte(HEX[usize::from(byte & 15)]);
        }
    }
}
