//! What is open: messages, entries and packed lists that are written in parts.

use super::{Frame, Head, Progress, Run, What};
use crate::json::error::{JsonErrorKind, Step, Stop, stop};
use crate::json::print::{Mode, Printing, Span, ZeroFields};
use crate::json::seen::Seen;
use crate::schema::tables::{FieldTable, MessageTable};

impl<'r, 's: 'r> Run<'r, 's> {
    pub(super) fn open_unknown(&mut self, head: Head) -> Step<Progress> {
        self.printing.enter(self.pos)?;
        self.push_frame(What::Unknown, head, None);
        Ok(Progress::Went)
    }

    pub(super) fn push_frame(
        &mut self,
        what: What<'s>,
        head: Head,
        field: Option<(&'s FieldTable, Option<usize>)>,
    ) {
        let outer = self.frames.last().map_or(usize::MAX, |frame| frame.bound);
        let (bound, group) = match head.end {
            Some(end) => (self.offset.saturating_add(end), None),
            None => (outer, Some(head.tag >> 3)),
        };
        self.pos = head.body;
        self.frames.push(Frame {
            what,
            bound,
            group,
            field,
        });
    }

    pub(super) fn open_message(&mut self, field: &'s FieldTable, head: Head, index: Option<usize>) {
        let table = self.tables.message(field.entry.sub);
        let what = What::Message {
            table,
            seen: self.printing.scratch.seen.open(table),
            open: None,
            empty: true,
        };
        self.push_frame(what, head, Some((field, index)));
    }

    /// Writes in the quick way, or in the careful one where that does not do.
    pub(super) fn orderly(&mut self, mut write: impl FnMut(&mut Printing<'r>) -> Step) -> Step {
        let printing = &mut self.printing;
        let before = (printing.depth, printing.elements);
        let (at, keys) = (printing.out.at(), printing.scratch.keys.len());
        let seen = printing.scratch.seen.mark();
        let written = write(printing);
        if !matches!(written, Err(Stop::Irregular)) {
            return written;
        }
        printing.out.back_to(at);
        printing.scratch.keys.truncate(keys);
        printing.scratch.seen.back_to(seen);
        (printing.depth, printing.elements) = before;
        printing.mode = Mode::Careful;
        let written = write(printing);
        printing.mode = Mode::Quick;
        written
    }

    /// Begins a field other than the list that is open: it must not have begun before.
    pub(super) fn begin(&mut self, field: &FieldTable) -> Step {
        self.close_list()?;
        let Some(What::Message { seen, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) else {
            return Err(Stop::Irregular);
        };
        let stack = &mut self.printing.scratch.seen;
        if stack.first(seen, field.entry) && stack.first_of_oneof(seen, field.entry) {
            Ok(())
        } else {
            Err(stop(JsonErrorKind::NotInOrder, self.pos))
        }
    }

    pub(super) fn innermost_message(&mut self) -> Option<&mut What<'s>> {
        let mut whats = self.frames.iter_mut().rev().map(|frame| &mut frame.what);
        whats.find(|what| matches!(what, What::Message { .. }))
    }

    /// After what was written since `at`: the first comma of a message becomes its brace.
    pub(super) fn member_written(&mut self, at: usize) {
        let written = self.printing.out.at() > at;
        if let Some(What::Message { empty, .. }) = self.innermost_message()
            && written
            && std::mem::replace(empty, false)
        {
            self.printing.out.set(at, b'{');
        }
    }

    /// Ends the innermost frame.
    pub(super) fn close_frame(&mut self) -> Step<Progress> {
        self.close_list()?;
        let Some(frame) = self.frames.pop() else {
            return Ok(Progress::Done);
        };
        match frame.what {
            What::Message {
                table, seen, empty, ..
            } => {
                self.close_message(table, &seen, empty);
                self.printing.depth += 1;
            }
            What::Entry {
                value,
                written: false,
            } => self.orderly(|printing| printing.absent_value(value))?,
            // An empty message is still to be written.
            What::Whole { table } => self.whole_message(
                table,
                Span {
                    start: self.pos,
                    end: self.pos,
                },
            )?,
            What::Unknown => self.printing.depth += 1,
            What::Entry { .. } | What::Packed { .. } => {}
        }
        Ok(if self.frames.is_empty() {
            Progress::Done
        } else {
            Progress::Went
        })
    }

    pub(super) fn close_message(&mut self, table: &'s MessageTable, seen: &Seen, empty: bool) {
        let at = self.printing.out.at();
        if self.printing.options.zeros == ZeroFields::Show {
            self.printing.zeros(table, seen);
        }
        self.printing.scratch.seen.close(seen);
        if empty && self.printing.out.at() == at {
            self.printing.out.byte(b'{');
        } else if empty {
            self.printing.out.set(at, b'{');
        }
        self.printing.out.byte(b'}');
    }

    pub(super) fn whole_root(&mut self, table: &'s MessageTable, end: usize, more: bool) -> Step<Progress> {
        if more {
            return Ok(Progress::NeedsMore);
        }
        self.whole_message(table, Span { start: self.pos, end })?;
        self.pos = end;
        self.frames.clear();
        Ok(Progress::Done)
    }

    pub(super) fn whole_message(&mut self, table: &'s MessageTable, span: Span) -> Step {
        self.orderly(|printing| printing.message(table, &[span]))
    }
}
