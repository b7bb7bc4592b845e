//! Reading past the values of fields that the schema does not know: their grammar is checked, and nothing else.

use super::super::error::ParseErrorKind;
use super::{End, Parser, Step};

impl Parser<'_> {
    /// Moves past a field's value, with the colon before it.
    pub(super) fn skip_value(&mut self) -> Step {
        let colon = self.cursor.take(b':');
        match self.cursor.peek() {
            Some(b'[') => self.skip_list(colon),
            Some(b'{' | b'<') => self.skip_message(),
            _ if colon => self.skip_scalar(),
            _ => self.expected("a colon or a message"),
        }
    }

    fn skip_list(&mut self, colon: bool) -> Step {
        self.cursor.take(b'[');
        if self.cursor.take(b']') {
            return Ok(());
        }
        loop {
            match self.cursor.peek() {
                Some(b'{' | b'<') => self.skip_message()?,
                _ if colon => self.skip_scalar()?,
                _ => return self.expected("a message"),
            }
            if self.cursor.take(b']') {
                return Ok(());
            }
            if !self.cursor.take(b',') {
                return self.expected("a comma or the end of the list");
            }
        }
    }

    fn skip_message(&mut self) -> Step {
        let end = self.opening()?;
        self.skip_fields(end)?;
        self.depth += 1;
        Ok(())
    }

    fn skip_fields(&mut self, end: End) -> Step {
        while !self.ends(end)? {
            match self.cursor.peek() {
                Some(b'[') => drop(self.bracketed()?),
                Some(b'0'..=b'9') => drop(self.number()?),
                _ if self.cursor.identifier().is_some() => {}
                _ => return self.expected("the name of a field"),
            }
            self.skip_value()?;
            self.separator();
        }
        Ok(())
    }

    fn skip_scalar(&mut self) -> Step {
        match self.cursor.peek() {
            Some(b'"' | b'\'') => {
                let at = self.out.len();
                self.strings()?;
                self.out.truncate(at);
                Ok(())
            }
            _ => {
                self.cursor.take(b'-');
                if self.cursor.identifier().is_some() {
                    return Ok(());
                }
                match self.cursor.peek() {
                    Some(b'0'..=b'9' | b'.') => self.number().map(drop),
                    None => self.fail(ParseErrorKind::Truncated),
                    _ => self.expected("a value"),
                }
            }
        }
    }
}
