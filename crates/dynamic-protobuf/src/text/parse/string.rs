//! String literals.

use super::super::error::{ParseError, ParseErrorKind};
use super::{Parser, Step};

impl Parser<'_> {
    /// Reads a string, or several one after the other that make one, and writes what they say.
    pub(super) fn strings(&mut self) -> Step {
        let Some(quote @ (b'"' | b'\'')) = self.cursor.peek() else {
            return self.expected("a string");
        };
        self.string(quote)?;
        while let Some(quote @ (b'"' | b'\'')) = self.cursor.peek() {
            self.string(quote)?;
        }
        Ok(())
    }

    fn string(&mut self, quote: u8) -> Step {
        let start = self.cursor.at();
        self.cursor.advance();
        loop {
            let rest = self.cursor.rest();
            let end = memchr::memchr3(quote, b'\\', b'\n', rest).unwrap_or(rest.len());
            let plain = rest.get(..end).unwrap_or_default();
            if let Some(nul) = memchr::memchr(0, plain) {
                return Err(ParseError::new(
                    ParseErrorKind::NulInString,
                    self.cursor.at() + nul,
                ));
            }
            self.out.put(plain);
            self.cursor.advance_by(end);
            match self.cursor.here() {
                Some(b'\\') => self.escape()?,
                Some(byte) if byte == quote => {
                    self.cursor.advance();
                    return Ok(());
                }
                _ => return Err(ParseError::new(ParseErrorKind::UnterminatedString, start)),
            }
        }
    }

    /// Reads an escape, and writes what it stands for.
    fn escape(&mut self) -> Step {
        let start = self.cursor.at();
        self.cursor.advance();
        let kind = self.cursor.here();
        if let Some(b'0'..=b'7') = kind {
            return self.octal_escape(start);
        }
        self.cursor.advance();
        let byte = match kind {
            Some(b'a') => 0x07,
            Some(b'b') => 0x08,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'v') => 0x0b,
            Some(b'f') => 0x0c,
            Some(b'r') => b'\r',
            Some(byte @ (b'?' | b'\\' | b'\'' | b'"')) => byte,
            Some(b'x' | b'X') => self.digits::<1, 2>(16, start)? as u8,
            Some(b'u') => return self.unicode_escape::<4>(start),
            Some(b'U') => return self.unicode_escape::<8>(start),
            _ => return Err(ParseError::new(ParseErrorKind::InvalidEscape, start)),
        };
        self.out.put(&[byte]);
        Ok(())
    }

    /// Reads at least `LEAST` and at most `MOST` digits.
    fn digits<const LEAST: usize, const MOST: usize>(&mut self, base: u32, start: usize) -> Step<u32> {
        let rest = self.cursor.rest();
        let count = rest
            .iter()
            .take(MOST)
            .take_while(|byte| char::from(**byte).is_digit(base))
            .count();
        let digits = str::from_utf8(rest.get(..count).unwrap_or_default()).ok();
        let value = digits
            .filter(|_| count >= LEAST)
            .and_then(|digits| u32::from_str_radix(digits, base).ok());
        self.cursor.advance_by(count);
        value.ok_or_else(|| ParseError::new(ParseErrorKind::InvalidEscape, start))
    }

    fn octal_escape(&mut self, start: usize) -> Step {
        let value = self.digits::<1, 3>(8, start)?;
        let byte = u8::try_from(value).map_err(|_| ParseError::new(ParseErrorKind::InvalidEscape, start))?;
        self.out.put(&[byte]);
        Ok(())
    }

    /// Reads the digits of a code point. Surrogates are none, not even in pairs: the longer escape is there for what they
    /// would stand for.
    fn unicode_escape<const WIDTH: usize>(&mut self, start: usize) -> Step {
        let kind = match self.digits::<WIDTH, WIDTH>(16, start)? {
            0xd800..=0xdfff => ParseErrorKind::Surrogate,
            code_point => match char::from_u32(code_point) {
                Some(character) => {
                    self.out.put(character.encode_utf8(&mut [0; 4]).as_bytes());
                    return Ok(());
                }
                None => ParseErrorKind::InvalidEscape,
            },
        };
        Err(ParseError::new(kind, start))
    }
}
