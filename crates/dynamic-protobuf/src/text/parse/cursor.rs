//! The position in the text, and the tokens that need no context.

use super::super::names;

pub(super) struct Cursor<'p> {
    text: &'p [u8],
    pos: usize,
}

impl<'p> Cursor<'p> {
    pub(super) fn new(text: &'p [u8]) -> Self {
        Self { text, pos: 0 }
    }

    /// Where the cursor is, in bytes from the start.
    pub(super) fn at(&self) -> usize {
        self.pos
    }

    /// Where the next token begins.
    pub(super) fn token_at(&mut self) -> usize {
        self.peek();
        self.pos
    }

    /// The next token's first byte; moves past what stands before it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.here() {
                Some(b' ' | b'\t'..=b'\r') => self.pos += 1,
                Some(b'#') => {
                    let rest = self.rest();
                    self.pos += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                byte => return byte,
            }
        }
    }

    /// The byte at the cursor, blank or not.
    pub(super) fn here(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    pub(super) fn rest(&self) -> &'p [u8] {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(super) fn advance(&mut self) {
        self.pos += 1;
    }

    pub(super) fn advance_by(&mut self, count: usize) {
        self.pos += count;
    }

    /// Moves past the next token if it is this one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    /// Moves past the next token if it is an identifier.
    pub(super) fn identifier(&mut self) -> Option<&'p str> {
        if !self.peek().is_some_and(names::starts_identifier) {
            return None;
        }
        let bytes = self.while_here(names::continues_identifier);
        std::str::from_utf8(bytes).ok()
    }

    /// Moves past the bytes from here on that are `wanted`.
    pub(super) fn while_here(&mut self, wanted: impl Fn(u8) -> bool) -> &'p [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
        self.pos += end;
        rest.get(..end).unwrap_or_default()
    }
}
