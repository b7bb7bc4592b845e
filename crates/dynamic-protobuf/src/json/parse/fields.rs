//! Objects: members to fields, lists element by element.

use super::scalar::put_bits;
use super::text::Scanned;
use super::{Parsing, UnknownFields};
use crate::json::error::{JsonErrorKind, Step, Stop, stop};
use crate::json::print::holds_null;
use crate::json::seen::Seen;
use crate::json::words;
use crate::schema::Kind;
use crate::schema::tables::{Entry, FieldTable, MessageTable};
use crate::wire::{self, WireType};

/// Which members an object has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    Fields,
    /// Fields and the `@type` of an `Any`, which is known already.
    FieldsAndType,
}

impl<'a> Parsing<'a> {
    /// Reads an object and appends its members as fields.
    pub(super) fn members(&mut self, table: &'a MessageTable, members: Members) -> Step {
        if self.peek() != b'{' {
            return Err(self.expected("an object"));
        }
        self.pos += 1;
        let fields = self.tables.fields_of(table);
        let mut seen = self.scratch.seen.open(table);
        let mut types = 0;
        // The first key has no comma before it.
        let mut next = fields.first();
        let mut found = next.filter(|field| self.starts_with(field.json_key.get(1..).unwrap_or_default()));
        if found.is_none() {
            self.space();
            if self.take_closing(b'}') {
                return Ok(());
            }
        }
        loop {
            let (field, at) = match found.take() {
                // The key with its comma stands behind; its name begins one byte later.
                Some(field) => (Some(field), self.pos + 1 - field.json_key.len()),
                None => {
                    let at = self.pos;
                    (self.member_name(table, fields, members, &mut types)?, at)
                }
            };
            self.space();
            match field {
                Some(field) => {
                    self.field(table, field, &mut seen, at)
                        .map_err(|stop| stop.in_field(&field.name))?;
                    next = fields.get(usize::from(field.entry.slot) + 1);
                }
                None => self.skip()?,
            }
            self.check_length()?;
            found = next.filter(|field| self.starts_with(&field.json_key));
            if found.is_none() && !self.goes_on(b'}', "a comma or the end of the object")? {
                break;
            }
        }
        self.scratch.seen.close(&seen);
        Ok(())
    }

    /// Moves past `key`, if it stands here.
    #[inline(always)]
    fn starts_with(&mut self, key: &[u8]) -> bool {
        let here = self.text.get(self.pos..self.pos + key.len());
        let found = here.is_some_and(|here| words::equal_short(here, key));
        if found {
            self.pos += key.len();
        }
        found
    }

    /// Reads a name and its colon; `None` when the value is to be skipped.
    #[inline]
    fn member_name(
        &mut self,
        table: &'a MessageTable,
        fields: &'a [FieldTable],
        members: Members,
        types: &mut u32,
    ) -> Step<Option<&'a FieldTable>> {
        let scanned = self.scan_string()?;
        let name = self.unescaped(&scanned)?;
        let slot = table.names.find(name);
        let is_type = slot.is_none() && members == Members::FieldsAndType && name == b"@type";
        self.expect(b':', "a colon")?;
        if is_type {
            *types += 1;
            if *types > 1 {
                return Err(stop(JsonErrorKind::DuplicateField, scanned.start));
            }
            return Ok(None);
        }
        match slot {
            Some(slot) => Ok(fields.get(slot as usize)),
            None => self.unknown_field(&scanned).map(|()| None),
        }
    }

    /// What happens to a member that the message does not have.
    pub(super) fn unknown_field(&self, name: &Scanned) -> Step {
        match self.options.unknown {
            UnknownFields::Ignore => Ok(()),
            UnknownFields::Refuse => Err(stop(JsonErrorKind::UnknownField, name.start)),
        }
    }

    /// Reads a field's value and appends the field. `at` is where its name stands.
    #[inline(always)]
    pub(super) fn field(
        &mut self,
        table: &'a MessageTable,
        field: &'a FieldTable,
        seen: &mut Seen,
        at: usize,
    ) -> Step {
        if !self.scratch.seen.first(seen, field.entry) {
            return Err(stop(JsonErrorKind::DuplicateField, at));
        }
        if self.peek() == b'n' && (field.entry.is(Entry::REPEATED) || !holds_null(self.tables, field)) {
            return self.literal("null");
        }
        if !self.scratch.seen.first_of_oneof(seen, field.entry) {
            return Err(stop(JsonErrorKind::OneofSetTwice, at));
        }
        self.field_value(table, field)
    }

    /// Reads a value that is not null and appends the field.
    #[inline(always)]
    pub(super) fn field_value(&mut self, table: &MessageTable, field: &'a FieldTable) -> Step {
        if field.entry.is(Entry::MAP) {
            return self.map(field);
        }
        if field.entry.is(Entry::REPEATED) {
            return self.list(field);
        }
        if table.message_set {
            return self.message_set_item(field);
        }
        self.singular(field)
    }

    #[inline(always)]
    fn singular(&mut self, field: &'a FieldTable) -> Step {
        let start = self.out.at();
        match field.kind {
            Kind::Message | Kind::Group => return self.submessage(field),
            Kind::String | Kind::Bytes => {
                self.out.varint(u64::from(field.entry.tag));
                let empty = self.blob(field.kind)?;
                if empty && field.entry.is(Entry::IMPLICIT) {
                    self.out.back_to(start);
                }
            }
            kind => {
                if let Some(bits) = self.bits(field)?
                    && !(bits == 0 && field.entry.is(Entry::IMPLICIT))
                {
                    self.out.varint(u64::from(field.entry.tag));
                    put_bits(&mut self.out, kind, bits);
                }
            }
        }
        Ok(())
    }

    /// Reads a message and appends it with its tag.
    pub(super) fn submessage(&mut self, field: &'a FieldTable) -> Step {
        self.out.varint(u64::from(field.entry.tag));
        if field.kind == Kind::Message {
            return self.delimited(field.entry.sub);
        }
        self.message(self.tables.message(field.entry.sub))?;
        let end = wire::tag(field.number, WireType::EndGroup);
        self.out.varint(u64::from(end));
        Ok(())
    }

    /// Appends an extension of a MessageSet: a group of its number and its message.
    fn message_set_item(&mut self, field: &'a FieldTable) -> Step {
        self.out.put(&[0x0b, 0x10]);
        self.out.varint(u64::from(field.number));
        self.out.byte(0x1a);
        self.delimited(field.entry.sub)?;
        self.out.byte(0x0c);
        Ok(())
    }

    /// Reads an array and appends its elements.
    fn list(&mut self, field: &'a FieldTable) -> Step {
        if self.peek() != b'[' {
            return Err(self.expected("an array"));
        }
        self.pos += 1;
        self.space();
        if self.take_closing(b']') {
            return Ok(());
        }
        if field.entry.is(Entry::PACKED) {
            return self.packed(field);
        }
        let mut index = 0;
        loop {
            self.list_element(field).map_err(|stop| stop.in_element(index))?;
            index += 1;
            if !self.goes_on(b']', "a comma or the end of the array")? {
                return Ok(());
            }
        }
    }

    /// Reads an element and appends it with its tag.
    #[inline]
    pub(super) fn list_element(&mut self, field: &'a FieldTable) -> Step {
        self.element()?;
        self.check_null(field)?;
        match field.kind {
            Kind::Message | Kind::Group => self.submessage(field),
            Kind::String | Kind::Bytes => {
                self.out.varint(u64::from(field.entry.tag));
                self.blob(field.kind).map(drop)
            }
            kind => {
                if let Some(bits) = self.bits(field)? {
                    self.out.varint(u64::from(field.entry.tag));
                    put_bits(&mut self.out, kind, bits);
                }
                Ok(())
            }
        }
    }

    /// Reads the elements of an array that is not empty, and appends them as one record.
    fn packed(&mut self, field: &'a FieldTable) -> Step {
        let start = self.out.at();
        self.out.varint(u64::from(field.entry.tag));
        let gap = self.open(1);
        let first = self.out.at();
        let mut index = 0;
        loop {
            self.packed_element(field)
                .map_err(|stop| stop.in_element(index))?;
            index += 1;
            if !self.goes_on(b']', "a comma or the end of the array")? {
                break;
            }
        }
        if self.out.at() == first {
            self.out.back_to(start);
        } else {
            self.close(gap);
        }
        Ok(())
    }

    /// Reads a number and appends it without a tag.
    #[inline(always)]
    pub(super) fn packed_element(&mut self, field: &'a FieldTable) -> Step {
        self.element()?;
        self.check_null(field)?;
        if let Some(bits) = self.bits(field)? {
            put_bits(&mut self.out, field.kind, bits);
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn check_null(&self, field: &FieldTable) -> Step {
        if self.peek() == b'n' {
            return self.refuse_null(field);
        }
        Ok(())
    }

    #[cold]
    fn refuse_null(&self, field: &FieldTable) -> Result<(), Stop> {
        if holds_null(self.tables, field) {
            return Ok(());
        }
        Err(self.fail(JsonErrorKind::UnexpectedNull))
    }
}
