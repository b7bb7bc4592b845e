//! Lists and maps: their elements may come in many chunks.

use super::{Head, Open, Progress, Run, What};
use crate::error::DecodeErrorKind;
use crate::json::error::{JsonErrorKind, Step, Stop, stop};
use crate::json::print::scalar::read_bits;
use crate::json::print::{Mode, Span};
use crate::schema::tables::{Entry, FieldTable, Op};
use crate::wire::{self, WireType};

impl<'r, 's: 'r> Run<'r, 's> {
    pub(super) fn open_part_of_list(&mut self, field: &'s FieldTable, head: Head) -> Step<Progress> {
        let map = field.entry.is(Entry::MAP);
        let packed = !map && !field.kind.is_message();
        if map {
            // The key has to be there before anything is written.
            return self.open_entry(field, head);
        }
        self.begin_list(field)?;
        let index = self.element_count();
        if packed {
            self.push_frame(What::Packed { field }, head, Some((field, None)));
            return Ok(Progress::Went);
        }
        self.printing.enter(self.pos)?;
        self.printing.element(self.pos)?;
        self.in_list(field, |run| {
            run.printing.out.byte(b',');
            Ok(())
        })?;
        self.open_message(field, head, Some(index));
        Ok(Progress::Went)
    }

    /// Opens an entry of a map whose key is there, and writes the key.
    pub(super) fn open_entry(&mut self, field: &'s FieldTable, head: Head) -> Step<Progress> {
        let [key, value] = self.tables.fields_of(self.tables.message(field.entry.sub)) else {
            return Err(stop(DecodeErrorKind::InvalidTag, self.pos));
        };
        let span = match self.entry_key(key, head.body) {
            Err(DecodeErrorKind::Truncated) => return Ok(Progress::NeedsMore),
            found => found.map_err(|kind| stop(kind, head.body))?,
        };
        // An entry may lack its key, which is then zero or empty.
        let after = span.map_or(head.body, |span| span.end);
        self.begin_list(field)?;
        let index = self.element_count();
        self.printing.element(self.pos)?;
        self.in_list(field, |run| {
            let printing = &mut run.printing;
            printing.out.byte(b',');
            match span {
                Some(span) => {
                    let found = printing.read_key(key, span)?;
                    printing.note_key(found, span.start)?;
                    printing.write_key(key, found, span.end)?;
                }
                None => printing.absent_key(key, head.body)?,
            }
            printing.out.byte(b':');
            Ok(())
        })?;
        let written = false;
        self.push_frame(What::Entry { value, written }, head, Some((field, Some(index))));
        self.pos = after;
        Ok(Progress::Went)
    }

    /// Where the key of the entry that begins here stands, if it comes first.
    pub(super) fn entry_key(&self, key: &FieldTable, pos: usize) -> Result<Option<Span>, DecodeErrorKind> {
        let bytes = self.printing.wire;
        if pos > bytes.len() {
            return Err(DecodeErrorKind::Truncated);
        }
        let mut end = pos;
        if wire::read_tag(bytes, &mut end)? != key.entry.tag {
            return Ok(None);
        }
        let start = end;
        wire::skip_value(bytes, &mut end, key.entry.tag, 0)?;
        Ok(Some(Span { start, end }))
    }

    pub(super) fn open_entry_value(&mut self, value: &'s FieldTable, head: Head) -> Step<Progress> {
        self.mark_entry_value()?;
        self.printing.enter(self.pos)?;
        self.open_message(value, head, None);
        Ok(Progress::Went)
    }

    /// Notes that the entry's value comes, which it may do once.
    pub(super) fn mark_entry_value(&mut self) -> Step {
        match self.frames.last_mut().map(|frame| &mut frame.what) {
            Some(What::Entry { written, .. }) if !*written => *written = true,
            _ => return Err(Stop::Irregular),
        }
        Ok(())
    }

    pub(super) fn whole_part_of_list(&mut self, field: &'s FieldTable, head: Head, end: usize) -> Step {
        let packed = field.kind.is_packable() && head.tag & 7 == WireType::Len as u32;
        if packed && head.body == end {
            return Ok(());
        }
        self.begin_list(field)?;
        let index = self.element_count();
        let start = head.body;
        let written = self.in_list(field, |run| {
            if field.entry.is(Entry::MAP) {
                return run.whole_entry(field, Span { start, end });
            }
            run.orderly(|printing| {
                let bytes = printing.upto(end);
                if packed {
                    printing.packed(field, bytes, head.value).map(drop)
                } else {
                    printing.list_element(field, bytes, head.value).map(drop)
                }
            })
        });
        written.map_err(|stop| stop.in_element(index))
    }

    pub(super) fn whole_entry(&mut self, field: &'s FieldTable, span: Span) -> Step {
        let [key, value] = self.tables.fields_of(self.tables.message(field.entry.sub)) else {
            return Err(stop(DecodeErrorKind::InvalidTag, self.pos));
        };
        self.orderly(|printing| {
            if printing.mode == Mode::Quick {
                return printing.entry(key, value, span);
            }
            if let Some(entry) = printing.map_entry([key, value], span)? {
                printing.note_key(entry.key, span.start)?;
                printing.map_member([key, value], &entry)?;
            }
            Ok(())
        })
    }

    /// Goes on with the list or map that is open, or begins another.
    pub(super) fn begin_list(&mut self, field: &'s FieldTable) -> Step {
        if self
            .open_list()
            .is_some_and(|open| open.field.number == field.number)
        {
            return Ok(());
        }
        self.begin(field)?;
        let keys = self.printing.scratch.keys.len();
        if let Some(What::Message { open, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) {
            *open = Some(Open {
                field,
                elements: 0,
                keys,
            });
        }
        Ok(())
    }

    pub(super) fn open_list(&mut self) -> Option<&mut Open<'s>> {
        match self.innermost_message() {
            Some(What::Message { open, .. }) => open.as_mut(),
            _ => None,
        }
    }

    pub(super) fn element_count(&mut self) -> usize {
        self.open_list().map_or(0, |open| open.elements)
    }

    /// Writes elements of the open list, each with a comma before it. The field's name goes before the first, whose comma
    /// becomes the bracket.
    fn in_list(&mut self, field: &FieldTable, write: impl FnOnce(&mut Self) -> Step) -> Step {
        let before = self.printing.out.at();
        let first = self.element_count() == 0;
        if first {
            self.printing.key(field);
        }
        let at = self.printing.out.at();
        write(self)?;
        if self.printing.out.at() == at {
            // Values that a closed enum does not know are none.
            self.printing.out.back_to(before);
            return Ok(());
        }
        if let Some(open) = self.open_list() {
            open.elements += 1;
        }
        if first {
            self.printing.out.set(at, brackets(field).0);
            self.member_written(before);
        }
        Ok(())
    }

    /// Ends the list or map that is open, if one is.
    pub(super) fn close_list(&mut self) -> Step {
        let open = match self.frames.last_mut().map(|frame| &mut frame.what) {
            Some(What::Message { open, .. }) => open.take(),
            _ => None,
        };
        let Some(open) = open else { return Ok(()) };
        let (opening, closing) = brackets(open.field);
        let at = self.printing.out.at();
        if open.elements > 0 {
            self.printing.out.byte(closing);
        } else if !self.printing.omits_empty(open.field) {
            self.printing.key(open.field);
            self.printing.out.put(&[opening, closing]);
            self.member_written(at);
        }
        if open.field.entry.is(Entry::MAP) {
            let ended = self.printing.end_keys(open.keys);
            return ended.map_err(|_| stop(JsonErrorKind::NotInOrder, self.pos).in_field(&open.field.name));
        }
        Ok(())
    }

    /// Writes the elements of a packed list that are there.
    pub(super) fn packed_part(&mut self, field: &'s FieldTable, end: usize, more: bool) -> Step<Progress> {
        let bytes = self.printing.upto(end);
        while self.pos < end {
            let mut after = self.pos;
            let bits = match read_bits(field.kind, bytes, &mut after) {
                Err(DecodeErrorKind::Truncated) if self.may_grow(more) => return Ok(Progress::NeedsMore),
                other => other.map_err(|kind| stop(kind, self.pos))?,
            };
            self.printing.element(self.pos)?;
            if field.entry.op != Op::EnumClosed || self.printing.names(field, bits) {
                self.in_list(field, |run| {
                    run.printing.out.byte(b',');
                    run.printing.number(field.kind, field.entry.sub, bits);
                    Ok(())
                })?;
            }
            self.pos = after;
            self.printing.check_length(self.pos)?;
        }
        Ok(if more { Progress::NeedsMore } else { Progress::Went })
    }
}

/// What opens and closes a list or map.
fn brackets(field: &FieldTable) -> (u8, u8) {
    if field.entry.is(Entry::MAP) {
        (b'{', b'}')
    } else {
        (b'[', b']')
    }
}
