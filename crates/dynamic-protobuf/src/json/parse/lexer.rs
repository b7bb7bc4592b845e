//! JSON's grammar between the values: space, punctuation, literals, and values that are passed over.

use super::Parsing;
use super::number::scan;
use crate::json::error::{JsonErrorKind, Step};

impl Parsing<'_> {
    /// The byte at the present place; zero, which JSON never has, at the end.
    #[inline(always)]
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.pos).copied().unwrap_or(0)
    }

    /// Moves past white space.
    #[inline(always)]
    pub(super) fn space(&mut self) {
        if self.peek() <= b' ' {
            self.long_space();
        }
    }

    #[inline(never)]
    fn long_space(&mut self) {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let space = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
        self.pos += space.count();
    }

    /// Moves past `byte` and the space before and behind it.
    #[inline(always)]
    pub(super) fn expect(&mut self, byte: u8, name: &'static str) -> Step {
        self.space();
        if self.peek() != byte {
            return Err(self.expected(name));
        }
        self.pos += 1;
        self.space();
        Ok(())
    }

    /// After an element: whether another follows.
    #[inline(always)]
    pub(super) fn goes_on(&mut self, closing: u8, name: &'static str) -> Step<bool> {
        self.space();
        match self.peek() {
            b',' => {
                self.pos += 1;
                self.space();
                Ok(true)
            }
            byte if byte == closing => {
                self.pos += 1;
                Ok(false)
            }
            _ => Err(self.expected(name)),
        }
    }

    #[cold]
    pub(super) fn expected(&self, name: &'static str) -> crate::json::error::Stop {
        if self.pos >= self.text.len() {
            self.fail(JsonErrorKind::Truncated)
        } else {
            self.fail(JsonErrorKind::Expected(name))
        }
    }

    /// Moves past a literal.
    #[inline]
    pub(super) fn literal(&mut self, literal: &'static str) -> Step {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.pos += literal.len();
        Ok(())
    }

    /// Moves past any value, which has to be valid.
    pub(super) fn skip(&mut self) -> Step {
        match self.peek() {
            b'"' => {
                let scanned = self.scan_string()?;
                self.unescaped(&scanned).map(drop)
            }
            b'{' => self.skip_nested(b'}'),
            b'[' => self.skip_nested(b']'),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => {
                let number = scan(self.text, self.pos).map_err(|kind| self.fail(kind))?;
                self.pos = number.end;
                Ok(())
            }
            _ => Err(self.expected("a value")),
        }
    }

    fn skip_nested(&mut self, closing: u8) -> Step {
        self.enter()?;
        self.pos += 1;
        self.space();
        if !self.take_closing(closing) {
            loop {
                if closing == b'}' {
                    let key = self.scan_string()?;
                    self.unescaped(&key)?;
                    self.expect(b':', "a colon")?;
                }
                self.skip()?;
                if !self.goes_on(closing, "a comma or the end of an object or array")? {
                    break;
                }
            }
        }
        self.depth += 1;
        Ok(())
    }

    /// Moves past `closing`, if it is next.
    #[inline(always)]
    pub(super) fn take_closing(&mut self, closing: u8) -> bool {
        let found = self.peek() == closing;
        self.pos += usize::from(found);
        found
    }
}
