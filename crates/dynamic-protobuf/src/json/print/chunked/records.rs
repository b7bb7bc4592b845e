//! One record at a time: taken whole when all of it is there, in parts when it is large.

use super::{Head, Progress, Run, What, is_whole};
use crate::error::DecodeErrorKind;
use crate::json::error::{JsonErrorKind, Step, Stop, stop};
use crate::json::print::fields::accepts;
use crate::json::print::scalar::read_bits;
use crate::schema::tables::{Entry, FieldTable, Op};
use crate::wire::{self, WireType};

/// Nothing is longer than that; so what has no end, which counts as `usize::MAX`, stays apart.
const MOST: usize = isize::MAX as usize;

impl<'r, 's: 'r> Run<'r, 's> {
    /// Takes the record that begins here.
    pub(super) fn record(&mut self, end: usize, more: bool) -> Step<Progress> {
        let Some(frame) = self.frames.last() else {
            return Ok(Progress::Done);
        };
        let (group, bound) = (frame.group, frame.bound);
        let bytes = self.printing.upto(end);
        let mut pos = self.pos;
        let tag = match wire::read_tag(bytes, &mut pos) {
            Err(DecodeErrorKind::Truncated) if self.may_grow(more) => return Ok(Progress::NeedsMore),
            other => other.map_err(|kind| stop(kind, self.pos))?,
        };
        if tag & 7 == WireType::EndGroup as u32 {
            if group != Some(tag >> 3) {
                return Err(stop(DecodeErrorKind::UnexpectedEndGroup, self.pos));
            }
            self.pos = pos;
            return self.close_frame();
        }
        let entry = self.entry(tag);
        match self.head(tag, entry, pos, bytes) {
            Err(DecodeErrorKind::Truncated) if self.may_grow(more) => Ok(Progress::NeedsMore),
            Err(kind) => Err(stop(kind, self.pos)),
            // It reaches past its message, whatever comes.
            Ok(head) if head.end > Some(bound.saturating_sub(self.offset).min(MOST)) => {
                Err(stop(DecodeErrorKind::Truncated, self.pos))
            }
            Ok(head) => self.dispatch(head),
        }
    }

    /// Whether what is cut off may yet come.
    pub(super) fn may_grow(&self, more: bool) -> bool {
        more && !self.last
    }

    pub(super) fn entry(&self, tag: u32) -> Entry {
        match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { table, .. }) => {
                Some(table.entry(tag >> 3)).filter(|entry| accepts(*entry, tag))
            }
            Some(What::Entry { value, .. }) => Some(value.entry).filter(|entry| entry.tag == tag),
            _ => None,
        }
        .unwrap_or(Entry::UNKNOWN)
    }

    /// Reads the length of the value at `pos`.
    pub(super) fn head(
        &self,
        tag: u32,
        entry: Entry,
        pos: usize,
        bytes: &[u8],
    ) -> Result<Head, DecodeErrorKind> {
        let mut end = pos;
        let mut head = Head {
            tag,
            entry,
            value: pos,
            body: pos,
            end: None,
        };
        match WireType::of_tag(tag) {
            Some(WireType::Len) => {
                let length = usize::try_from(wire::varint(bytes, &mut end)?).unwrap_or(usize::MAX);
                head.body = end;
                head.end = Some(end.saturating_add(length));
            }
            Some(WireType::StartGroup) => match wire::skip_value(bytes, &mut end, tag, self.printing.depth) {
                Err(DecodeErrorKind::Truncated) => {}
                other => head.end = other.map(|()| Some(end))?,
            },
            _ => {
                wire::skip_value(bytes, &mut end, tag, self.printing.depth)?;
                head.end = Some(end);
            }
        }
        Ok(head)
    }

    pub(super) fn dispatch(&mut self, head: Head) -> Step<Progress> {
        let whole = head.end.filter(|end| *end <= self.printing.wire.len());
        let field = self.field(head.entry);
        match (field, whole) {
            // A key behind its value, or a second one.
            (None, _) if self.in_entry() && head.tag >> 3 == 1 => Err(Stop::Irregular),
            (None, Some(end)) => {
                self.pos = end;
                Ok(Progress::Went)
            }
            (None, None) => self.open_unknown(head),
            (Some(field), Some(end)) => self.whole_record(field, head, end),
            (Some(field), None) => self.part_record(field, head),
        }
    }

    pub(super) fn in_entry(&self) -> bool {
        matches!(
            self.frames.last().map(|frame| &frame.what),
            Some(What::Entry { .. })
        )
    }

    /// The field that an entry belongs to.
    pub(super) fn field(&self, entry: Entry) -> Option<&'s FieldTable> {
        if entry.op == Op::Unknown {
            return None;
        }
        match &self.frames.last()?.what {
            What::Message { table, .. } => self.tables.fields_of(table).get(usize::from(entry.slot)),
            What::Entry { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Takes a record that is not complete, if it is one that can be taken in parts.
    pub(super) fn part_record(&mut self, field: &'s FieldTable, head: Head) -> Step<Progress> {
        let length = head.end.map_or(usize::MAX, |end| end - head.body);
        let in_parts = match field.kind {
            _ if field.entry.is(Entry::MAP) => {
                self.entry_value(field).is_some_and(|value| self.is_open(value))
            }
            kind if kind.is_message() => self.is_open(field),
            // Packed lists have a length, and single numbers are always whole.
            kind => kind.is_packable(),
        };
        if self.last {
            return Err(stop(DecodeErrorKind::Truncated, self.pos));
        }
        if !in_parts || length <= self.hold {
            let held = length.min(self.printing.wire.len() - head.value);
            let most = self.printing.options.limits.allocation;
            if held > most || (head.end.is_some() && length > most) {
                return Err(stop(JsonErrorKind::ValueTooLarge, self.pos));
            }
            return Ok(Progress::NeedsMore);
        }
        if self.in_entry() {
            return self.open_entry_value(field, head);
        }
        if field.entry.is(Entry::REPEATED) {
            return self.open_part_of_list(field, head);
        }
        self.printing.enter(self.pos)?;
        self.begin(field)?;
        let at = self.printing.out.at();
        self.printing.key(field);
        self.member_written(at);
        self.open_message(field, head, None);
        Ok(Progress::Went)
    }

    pub(super) fn entry_value(&self, map: &FieldTable) -> Option<&'s FieldTable> {
        match self.tables.fields_of(self.tables.message(map.entry.sub)) {
            [_, value] => Some(value),
            _ => None,
        }
    }

    /// Whether the field's messages can be taken in parts.
    pub(super) fn is_open(&self, field: &FieldTable) -> bool {
        field.kind.is_message() && !is_whole(self.tables.message(field.entry.sub))
    }

    /// Writes a record that is all there.
    pub(super) fn whole_record(&mut self, field: &'s FieldTable, head: Head, end: usize) -> Step<Progress> {
        if self.in_entry() {
            self.mark_entry_value()?;
            self.orderly(|printing| {
                printing
                    .entry_value(field, printing.upto(end), head.value)
                    .map(drop)
            })?;
        } else if field.entry.is(Entry::REPEATED) {
            self.whole_part_of_list(field, head, end)
                .map_err(|stop| stop.in_field(&field.name))?;
        } else if self.is_value(field, head) {
            self.begin(field).map_err(|stop| stop.in_field(&field.name))?;
            let at = self.printing.out.at();
            self.orderly(|printing| printing.singular(field, printing.upto(end), head.value).map(drop))
                .map_err(|stop| stop.in_field(&field.name))?;
            self.member_written(at);
        }
        self.pos = end;
        self.printing.check_length(end)?;
        Ok(Progress::Went)
    }

    /// Whether the record is a value of the field: a closed enum's number without a name is not.
    pub(super) fn is_value(&self, field: &FieldTable, head: Head) -> bool {
        if field.entry.op != Op::EnumClosed {
            return true;
        }
        let mut pos = head.value;
        read_bits(field.kind, self.printing.wire, &mut pos).is_ok_and(|bits| self.printing.names(field, bits))
    }
}
