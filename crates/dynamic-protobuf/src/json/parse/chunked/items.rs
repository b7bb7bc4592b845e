//! Members, elements and entries: each is read when all of it is there, or gone into.

use super::scan::Unit;
use super::{Frame, Next, Progress, Run, What, is_whole};
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::json::parse::Parsing;
use crate::schema::tables::{Entry, FieldTable, MessageTable};

impl<'r, 's: 'r> Run<'r, 's> {
    /// Reads the member, element or entry that begins here, if it is all there.
    pub(super) fn item(&mut self) -> Step<Progress> {
        let unit = match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { .. }) => Unit::Name,
            Some(What::Map { .. }) => Unit::Member,
            _ => Unit::Value,
        };
        let (Some(end), Some(frame)) = (self.scanned(unit), self.frames.last()) else {
            return Ok(Progress::NeedsMore);
        };
        let index = frame.count;
        let read = match (&frame.what, frame.field) {
            (What::List, Some(field)) => self.list_element(field),
            (What::Map { .. }, Some(field)) => self.parsing.map_entry(field),
            _ => return self.member(end),
        };
        read.map_err(|stop| stop.in_element(index))?;
        self.end_item(end)?;
        self.parsing.check_length()?;
        Ok(Progress::Went)
    }

    /// Where the unit that begins here ends.
    pub(super) fn scanned(&mut self, unit: Unit) -> Option<usize> {
        let Parsing { text, pos, .. } = self.parsing;
        self.scan.find_end(text, pos, unit, self.last)
    }

    /// After a unit was read: that it was all of it.
    pub(super) fn end_item(&mut self, end: usize) -> Step {
        if self.parsing.pos != end {
            return Err(self.no_comma());
        }
        self.scan.reset();
        if let Some(frame) = self.frames.last_mut() {
            frame.count += 1;
            frame.next = Next::CommaOrEnd;
        }
        Ok(())
    }

    pub(super) fn list_element(&mut self, field: &'s FieldTable) -> Step {
        if !field.entry.is(Entry::PACKED) {
            return self.parsing.list_element(field);
        }
        if self.packed.is_none() {
            self.parsing.out.varint(u64::from(field.entry.tag));
            self.packed = Some(self.parsing.open(1));
        }
        self.parsing.packed_element(field)
    }

    /// Reads the member whose name ends, with its colon, before `value`.
    pub(super) fn member(&mut self, value: usize) -> Step<Progress> {
        let start = self.parsing.pos;
        let Some(Frame {
            what: What::Message { table, .. },
            ..
        }) = self.frames.last()
        else {
            return Ok(Progress::NeedsMore);
        };
        let table = *table;
        let field = self.name(table)?;
        debug_assert_eq!(self.parsing.pos, value);
        let Some(end) = self.scanned(Unit::Member) else {
            if let Some(field) = field
                && self.opens(table, field)
            {
                self.mark(field, start)?;
                self.scan.reset();
                self.open_frame(field)
                    .map_err(|stop| stop.in_field(&field.name))?;
                return Ok(Progress::Went);
            }
            // The value has to be there as a whole, so the name is read again then.
            self.parsing.pos = start;
            return Ok(Progress::NeedsMore);
        };
        match field {
            None => self.parsing.skip()?,
            Some(field) => self
                .value(table, field, start)
                .map_err(|stop| stop.in_field(&field.name))?,
        }
        self.end_item(end)?;
        self.parsing.check_length()?;
        Ok(Progress::Went)
    }

    pub(super) fn name(&mut self, table: &'s MessageTable) -> Step<Option<&'s FieldTable>> {
        let scanned = self.parsing.scan_string()?;
        let slot = table.names.find(self.parsing.unescaped(&scanned)?);
        self.parsing.expect(b':', "a colon")?;
        match slot {
            Some(slot) => Ok(self.tables.fields_of(table).get(slot as usize)),
            None => self.parsing.unknown_field(&scanned).map(|()| None),
        }
    }

    /// Whether the value that begins here is taken in parts.
    pub(super) fn opens(&self, table: &MessageTable, field: &FieldTable) -> bool {
        match self.parsing.peek() {
            b'{' if field.entry.is(Entry::MAP) => true,
            b'[' => field.entry.is(Entry::REPEATED) && !field.entry.is(Entry::MAP),
            b'{' => {
                field.kind.is_message()
                    && !field.entry.is(Entry::REPEATED)
                    && !table.message_set
                    && !is_whole(self.tables.message(field.entry.sub))
            }
            _ => false,
        }
    }

    /// Notes that the field occurs with a value.
    pub(super) fn mark(&mut self, field: &FieldTable, at: usize) -> Step {
        let stack = &mut self.parsing.scratch.seen;
        let Some(What::Message { seen, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) else {
            return Ok(());
        };
        let kind = if !stack.first(seen, field.entry) {
            JsonErrorKind::DuplicateField
        } else if !stack.first_of_oneof(seen, field.entry) {
            JsonErrorKind::OneofSetTwice
        } else {
            return Ok(());
        };
        Err(stop(kind, at).in_field(&field.name))
    }

    /// Reads a value that is all there.
    pub(super) fn value(&mut self, table: &'s MessageTable, field: &'s FieldTable, at: usize) -> Step {
        let Some(What::Message { seen, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) else {
            return Ok(());
        };
        self.parsing.field(table, field, seen, at)
    }

    pub(super) fn whole_root(&mut self, table: &'s MessageTable) -> Step<Progress> {
        let Some(end) = self.scanned(Unit::Value) else {
            return Ok(Progress::NeedsMore);
        };
        self.parsing.message(table)?;
        if self.parsing.pos != end {
            return Err(self.parsing.fail(JsonErrorKind::TrailingData));
        }
        self.flush();
        self.frames.clear();
        Ok(Progress::Went)
    }
}
