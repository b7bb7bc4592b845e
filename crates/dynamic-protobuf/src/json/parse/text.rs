//! Strings: found eight bytes at a time, and copied as they stand while they hold no escape.

use super::Parsing;
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::json::words;

/// A string in the text, without its quotes. Its bytes are UTF-8; its escapes are not looked at yet.
#[derive(Clone, Copy)]
pub(super) struct Scanned {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) escapes: bool,
}

impl<'a> Parsing<'a> {
    /// Moves past the string that begins here.
    #[inline]
    pub(super) fn scan_string(&mut self) -> Step<Scanned> {
        if self.peek() != b'"' {
            return Err(self.expected("a string"));
        }
        let start = self.pos + 1;
        let mut at = start;
        let mut others = 0;
        let mut escapes = false;
        loop {
            let word = words::load(self.text, at);
            let found = words::escaped(word);
            if found == 0 {
                others |= words::not_ascii(word);
                at += 8;
                if at >= self.text.len() {
                    self.pos = self.text.len();
                    return Err(self.fail(JsonErrorKind::Truncated));
                }
                continue;
            }
            let plain = words::before(found);
            others |= words::not_ascii(words::first(word, plain));
            at += plain;
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    at += 2;
                }
                Some(_) => return Err(stop(JsonErrorKind::ControlCharacter, at)),
                None => return Err(stop(JsonErrorKind::Truncated, self.text.len())),
            }
        }
        self.pos = at + 1;
        if others != 0 {
            self.check_utf8(start, at)?;
        }
        Ok(Scanned {
            start,
            end: at,
            escapes,
        })
    }

    #[inline(never)]
    fn check_utf8(&self, start: usize, end: usize) -> Step {
        let bytes = self.text.get(start..end).unwrap_or_default();
        match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(stop(JsonErrorKind::InvalidUtf8, start + error.valid_up_to())),
        }
    }

    /// What stands between the quotes, as it stands.
    #[inline(always)]
    pub(super) fn raw(&self, scanned: &Scanned) -> &'a [u8] {
        self.text.get(scanned.start..scanned.end).unwrap_or_default()
    }

    /// The string's value; with escapes it is in the scratch, until the next one.
    #[inline(always)]
    pub(super) fn unescaped(&mut self, scanned: &Scanned) -> Step<&[u8]> {
        if !scanned.escapes {
            return Ok(self.raw(scanned));
        }
        self.unescape_to_scratch(scanned)?;
        Ok(&self.scratch.text)
    }

    #[cold]
    fn unescape_to_scratch(&mut self, scanned: &Scanned) -> Step {
        let text = &mut self.scratch.text;
        text.clear();
        let raw = self.text.get(scanned.start..scanned.end).unwrap_or_default();
        unescape(raw, scanned.start, |part| text.extend_from_slice(part))
    }

    /// Appends the string with its length.
    #[inline(always)]
    pub(super) fn put_string(&mut self, scanned: &Scanned) -> Step {
        if scanned.escapes {
            return self.put_escaped(scanned);
        }
        let bytes = self.raw(scanned);
        self.out.varint(bytes.len() as u64);
        self.out.put(bytes);
        Ok(())
    }

    #[inline(never)]
    fn put_escaped(&mut self, scanned: &Scanned) -> Step {
        let raw = self.raw(scanned);
        let gap = self.open(crate::wire::varint_len(raw.len() as u64));
        let out = &mut self.out;
        unescape(raw, scanned.start, |part| out.put(part))?;
        self.close(gap);
        Ok(())
    }
}

/// Resolves escapes. `start` is where `raw` stands in the text.
fn unescape(raw: &[u8], start: usize, mut put: impl FnMut(&[u8])) -> Step {
    let mut at = 0;
    loop {
        let rest = raw.get(at..).unwrap_or_default();
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        let (copied, rest) = rest.split_at(plain);
        put(copied);
        at += plain;
        let simple = match rest {
            [] => return Ok(()),
            [_, b'"', ..] => b'"',
            [_, b'\\', ..] => b'\\',
            [_, b'/', ..] => b'/',
            [_, b'b', ..] => 8,
            [_, b'f', ..] => 12,
            [_, b'n', ..] => b'\n',
            [_, b'r', ..] => b'\r',
            [_, b't', ..] => b'\t',
            [_, b'u', digits @ ..] => {
                let (char, used) = unicode(digits).map_err(|kind| stop(kind, start + at))?;
                put(char.encode_utf8(&mut [0; 4]).as_bytes());
                at += 2 + used;
                continue;
            }
            _ => return Err(stop(JsonErrorKind::InvalidEscape, start + at)),
        };
        put(&[simple]);
        at += 2;
    }
}

/// The character that `\u` and these digits mean, and how many bytes they take; a pair of surrogates is one character.
fn unicode(digits: &[u8]) -> Result<(char, usize), JsonErrorKind> {
    let first = hex(digits)?;
    if let Some(char) = char::from_u32(first) {
        return Ok((char, 4));
    }
    let second = match digits.get(4..) {
        Some([b'\\', b'u', rest @ ..]) if first < 0xdc00 => hex(rest)?,
        _ => return Err(JsonErrorKind::LoneSurrogate),
    };
    if !(0xdc00..0xe000).contains(&second) {
        return Err(JsonErrorKind::LoneSurrogate);
    }
    let char = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
    char.map(|char| (char, 10)).ok_or(JsonErrorKind::LoneSurrogate)
}

fn hex(digits: &[u8]) -> Result<u32, JsonErrorKind> {
    let digits = digits.first_chunk::<4>().ok_or(JsonErrorKind::InvalidEscape)?;
    digits.iter().try_fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(16);
        Ok(value << 4 | digit.ok_or(JsonErrorKind::InvalidEscape)?)
    })
}
