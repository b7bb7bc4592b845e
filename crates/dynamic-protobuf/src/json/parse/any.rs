//! `Any`: an object whose `@type`, in whatever position, says what the rest is.

use super::fields::Members;
use super::text::Scanned;
use super::{Parsing, UnknownFields};
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::schema::WellKnown;
use crate::schema::tables::{MessageTable, Symbol};

impl<'a> Parsing<'a> {
    pub(super) fn any(&mut self) -> Step {
        if self.peek() != b'{' {
            return Err(self.expected("an object"));
        }
        let start = self.pos;
        let Some(type_url) = self.find_type()? else {
            return Ok(());
        };
        self.pos = start;
        let index = self.any_type(&type_url)?;
        self.out.byte(0x0a);
        self.put_string(&type_url)?;
        let without_value = self.out.at();
        self.out.byte(0x12);
        let gap = self.open(1);
        let first = self.out.at();
        self.any_body(self.tables.message(index))?;
        if self.out.at() == first {
            self.out.back_to(without_value);
        } else {
            self.close(gap);
        }
        Ok(())
    }

    /// Looks for `@type` in the object that begins here; `None` when the object is empty, and passed.
    fn find_type(&mut self) -> Step<Option<Scanned>> {
        let start = self.pos;
        self.pos += 1;
        self.space();
        if self.take_closing(b'}') {
            return Ok(None);
        }
        loop {
            let key = self.scan_string()?;
            let is_type = self.unescaped(&key)? == b"@type";
            self.expect(b':', "a colon")?;
            if is_type {
                return self.scan_string().map(Some);
            }
            self.skip()?;
            if !self.goes_on(b'}', "a comma or the end of the object")? {
                return Err(stop(JsonErrorKind::MissingType, start));
            }
        }
    }

    fn any_type(&mut self, type_url: &Scanned) -> Step<u32> {
        let at = type_url.start;
        let tables = self.tables;
        let url = self.unescaped(type_url)?;
        let url = std::str::from_utf8(url).map_err(|_| stop(JsonErrorKind::InvalidUtf8, at))?;
        let (_, name) = url
            .rsplit_once('/')
            .ok_or_else(|| stop(JsonErrorKind::InvalidTypeUrl, at))?;
        match tables.symbol(name) {
            Some(Symbol::Message(index)) => Ok(index),
            _ => Err(stop(JsonErrorKind::UnknownType, at)),
        }
    }

    fn any_body(&mut self, table: &'a MessageTable) -> Step {
        if table.well_known.is_some() {
            return self.any_value(table);
        }
        self.enter()?;
        self.members(table, Members::FieldsAndType)?;
        self.depth += 1;
        Ok(())
    }

    /// Reads an object of `@type` and `value`.
    fn any_value(&mut self, table: &'a MessageTable) -> Step {
        self.pos += 1;
        self.space();
        let (mut types, mut values) = (0, 0);
        loop {
            let key = self.scan_string()?;
            let name = self.unescaped(&key)?;
            let (is_type, is_value) = (name == b"@type", name == b"value");
            types += u32::from(is_type);
            values += u32::from(is_value);
            if types > 1 || values > 1 {
                return Err(stop(JsonErrorKind::DuplicateField, key.start));
            }
            self.expect(b':', "a colon")?;
            if is_value {
                self.message(table)?;
            } else if is_type || self.options.unknown == UnknownFields::Ignore {
                self.skip()?;
            } else {
                return Err(stop(JsonErrorKind::UnknownField, key.start));
            }
            if !self.goes_on(b'}', "a comma or the end of the object")? {
                break;
            }
        }
        // `Empty` has nothing that `value` could say.
        if values == 0 && table.well_known != Some(WellKnown::Empty) {
            return Err(self.fail(JsonErrorKind::Expected("the member \"value\"")));
        }
        Ok(())
    }
}
