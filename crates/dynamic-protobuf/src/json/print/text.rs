//! Strings: copied as they stand while nothing in them needs an escape.

use super::Printing;
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::json::out::Out;
use crate::json::words;

impl Printing<'_> {
    /// Writes the string that stands between two places on the wire.
    #[inline(always)]
    pub(super) fn string(&mut self, start: usize, end: usize) -> Step {
        if !self.plain(start, end) {
            let bytes = self.wire.get(start..end).unwrap_or_default();
            escaped_string(&mut self.out, bytes).ok_or_else(|| stop(JsonErrorKind::InvalidUtf8, start))?;
        }
        Ok(())
    }

    /// Copies the string in words, past its end where the wire goes on; `false` when it needs the slow way.
    #[inline(always)]
    fn plain(&mut self, start: usize, end: usize) -> bool {
        let length = end - start;
        let words = length.div_ceil(8);
        let Some(from) = self.wire.get(start..start + words * 8) else {
            return false;
        };
        let room = self.out.room(words * 8 + 2);
        let (from, _) = from.as_chunks::<8>();
        let mut special = 0;
        if let Some((to, _)) = room.split_first_mut().map(|(quote, rest)| {
            *quote = b'"';
            rest.as_chunks_mut::<8>()
        }) {
            let last = words.saturating_sub(1);
            for (index, (from, to)) in from.iter().zip(to).enumerate() {
                *to = *from;
                let word = u64::from_le_bytes(*from);
                let word = if index == last {
                    words::first(word, length - last * 8)
                } else {
                    word
                };
                special |= words::special(word);
            }
        }
        if special != 0 {
            return false;
        }
        room[length + 1] = b'"';
        self.out.advance(length + 2);
        true
    }
}

/// Writes any string; `None` when it is not UTF-8.
#[inline(never)]
pub(in crate::json) fn escaped_string(out: &mut Out, bytes: &[u8]) -> Option<()> {
    simdutf8::basic::from_utf8(bytes).ok()?;
    out.byte(b'"');
    let mut rest = bytes;
    loop {
        let plain = plain_prefix(rest);
        let (copied, others) = rest.split_at(plain);
        out.put(copied);
        let Some((first, others)) = others.split_first() else {
            break;
        };
        escape(out, *first);
        rest = others;
    }
    out.byte(b'"');
    Some(())
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
