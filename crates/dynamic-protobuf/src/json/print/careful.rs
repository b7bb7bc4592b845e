//! The careful way: a message's records are gathered by field before they are written, so that what was said last counts,
//! occurrences of a message merge and lists come together, wherever their parts stand.

use super::fields::{accepts, group_span, span_of};
use super::maps::Key;
use super::scalar::read_bits;
use super::{Printing, Span, ZeroFields};
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::schema::Kind;
use crate::schema::tables::{Entry, FieldTable, MessageTable, Op};
use crate::wire::{self, WireType};

/// One record of a known field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occurrence {
    slot: u16,
    /// One more than the index of the field's oneof.
    oneof: u16,
    /// Lists of numbers only: the record has many of them.
    packed: bool,
    /// For messages their body; for others from the end of the tag.
    span: Span,
}

/// One entry of a map whose key is known.
pub(super) struct MapEntry<'a> {
    pub(super) key: Key<'a>,
    key_span: Option<Span>,
    /// The occurrences of the value: those of a message merge, of others the last counts.
    values: Vec<Span>,
}

impl<'a> Printing<'a> {
    /// Writes the members of a message, each with a comma before it.
    pub(super) fn careful(&mut self, table: &'a MessageTable, spans: &[Span]) -> Step {
        let base = self.scratch.occurrences.len();
        for span in spans {
            self.gather(table, *span)?;
        }
        self.settle_oneofs(table, base);
        let occurrences = self.scratch.occurrences.get_mut(base..).unwrap_or_default();
        occurrences.sort_unstable_by_key(|occurrence| (occurrence.slot, occurrence.span.start));
        let mut at = base;
        for field in self.tables.fields_of(table) {
            let end = self.end_of_field(field, at);
            let written = if at == end {
                if self.options.zeros == ZeroFields::Show {
                    self.zero(field);
                }
                Ok(())
            } else {
                self.gathered_field(field, at, end)
            };
            written.map_err(|stop| stop.in_field(&field.name))?;
            self.check_length(spans.first().map_or(0, |span| span.start))?;
            at = end;
        }
        self.scratch.occurrences.truncate(base);
        Ok(())
    }

    fn end_of_field(&self, field: &FieldTable, from: usize) -> usize {
        let rest = self.scratch.occurrences.get(from..).unwrap_or_default();
        let count = rest
            .iter()
            .take_while(|occurrence| occurrence.slot == field.entry.slot)
            .count();
        from + count
    }

    /// Notes the records of known fields in one occurrence of a message.
    fn gather(&mut self, table: &'a MessageTable, span: Span) -> Step {
        let bytes = self.upto(span.end);
        let fields = self.tables.fields_of(table);
        let mut pos = span.start;
        while pos < span.end {
            let at = pos;
            let tag = wire::read_tag(bytes, &mut pos).map_err(|kind| stop(kind, at))?;
            if table.message_set && tag == wire::tag(1, WireType::StartGroup) {
                pos = self.gather_item(table, bytes, pos)?;
                continue;
            }
            let entry = table.entry(tag >> 3);
            let value = pos;
            match fields.get(entry.slot as usize).filter(|_| accepts(entry, tag)) {
                Some(field) if field.kind.is_message() => {
                    let (span, end) = span_of(field.kind, field.number, bytes, pos, self.depth)?;
                    self.note(entry, false, span)?;
                    pos = end;
                }
                found => {
                    wire::skip_value(bytes, &mut pos, tag, self.depth).map_err(|kind| stop(kind, at))?;
                    let span = Span {
                        start: value,
                        end: pos,
                    };
                    if entry.is(Entry::UTF8) && found.is_some() {
                        self.check_utf8(span)?;
                    }
                    if let Some(field) = found
                        && self.is_value(field, tag, bytes, value)
                    {
                        let packed = field.kind.is_packable() && tag & 7 == WireType::Len as u32;
                        self.note(entry, packed, span)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A string has to be UTF-8 even where another that comes later takes its place.
    fn check_utf8(&self, span: Span) -> Step {
        let mut pos = span.start;
        let text = wire::read_bytes(self.upto(span.end), &mut pos).map_err(|kind| stop(kind, span.start))?;
        if simdutf8::basic::from_utf8(text).is_err() {
            return Err(stop(JsonErrorKind::InvalidUtf8, pos - text.len()));
        }
        Ok(())
    }

    /// Whether the record is a value of the field: a closed enum's number without a name is not.
    fn is_value(&self, field: &FieldTable, tag: u32, bytes: &[u8], pos: usize) -> bool {
        if field.entry.op != Op::EnumClosed || tag & 7 == WireType::Len as u32 {
            return true;
        }
        let mut pos = pos;
        read_bits(Kind::Enum, bytes, &mut pos).is_ok_and(|bits| self.names(field, bits))
    }

    fn note(&mut self, entry: Entry, packed: bool, span: Span) -> Step {
        let occurrences = &mut self.scratch.occurrences;
        let held = size_of::<Occurrence>() * (occurrences.len() + 1);
        if held > self.options.limits.allocation {
            return Err(stop(JsonErrorKind::AllocationLimit, span.start));
        }
        occurrences.push(Occurrence {
            slot: entry.slot,
            oneof: entry.oneof,
            packed,
            span,
        });
        Ok(())
    }

    /// Unwraps an item of a MessageSet: the extension's number and its message, in either order.
    fn gather_item(&mut self, table: &'a MessageTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        let (item, end) = group_span(1, bytes, pos, self.depth).map_err(|kind| stop(kind, pos))?;
        let bytes = self.upto(item.end);
        let (mut type_id, mut message) = (None, None);
        let mut pos = item.start;
        while pos < item.end {
            let at = pos;
            let tag = wire::read_tag(bytes, &mut pos).map_err(|kind| stop(kind, at))?;
            match tag {
                // type_id and message; what a decoder meets first counts.
                0x10 if type_id.is_none() => {
                    type_id = Some(wire::varint(bytes, &mut pos).map_err(|kind| stop(kind, at))?);
                }
                0x1a if message.is_none() => {
                    let body = wire::read_bytes(bytes, &mut pos).map_err(|kind| stop(kind, at))?;
                    message = Some(Span {
                        start: pos - body.len(),
                        end: pos,
                    });
                }
                _ => wire::skip_value(bytes, &mut pos, tag, self.depth).map_err(|kind| stop(kind, at))?,
            }
        }
        if let (Some(type_id), Some(message)) = (type_id, message) {
            let entry = u32::try_from(type_id).map_or(Entry::UNKNOWN, |number| table.entry(number));
            if entry.op == Op::Message {
                self.note(entry, false, message)?;
            }
        }
        Ok(end)
    }

    /// Drops the records of oneof members that others put out later.
    fn settle_oneofs(&mut self, table: &MessageTable, base: usize) {
        if table.oneofs.is_empty() {
            return;
        }
        // By oneof: the slot of the member that is set, and whether another was met before it.
        let mut states: Vec<Option<(u16, bool)>> = vec![None; table.oneofs.len()];
        let occurrences = &mut self.scratch.occurrences;
        for at in (base..occurrences.len()).rev() {
            let Some(occurrence) = occurrences.get_mut(at) else {
                continue;
            };
            let oneof = usize::from(occurrence.oneof);
            let Some(state) = oneof.checked_sub(1).and_then(|oneof| states.get_mut(oneof)) else {
                continue;
            };
            let (slot, closed) = state.get_or_insert((occurrence.slot, false));
            *closed |= *slot != occurrence.slot;
            if *closed {
                occurrence.slot = u16::MAX;
            }
        }
    }

    /// Writes a field from its occurrences.
    fn gathered_field(&mut self, field: &'a FieldTable, from: usize, to: usize) -> Step {
        if field.entry.is(Entry::MAP) {
            return self.gathered_map(field, from, to);
        }
        if field.entry.is(Entry::REPEATED) {
            return self.gathered_list(field, from, to);
        }
        let occurrences = self.scratch.occurrences.get(from..to).unwrap_or_default();
        let spans: Vec<Span> = occurrences.iter().map(|occurrence| occurrence.span).collect();
        let Some(last) = spans.last() else { return Ok(()) };
        let at = self.out.at();
        self.key(field);
        if !self.merged(field, &spans)? && self.omits(field) && self.is_zero(field, *last)? {
            self.out.back_to(at);
        }
        Ok(())
    }

    fn is_zero(&self, field: &FieldTable, span: Span) -> Step<bool> {
        let bytes = self.upto(span.end);
        let mut pos = span.start;
        let zero = match field.kind {
            Kind::String | Kind::Bytes => {
                wire::read_bytes(bytes, &mut pos).map(|value| u64::from(!value.is_empty()))
            }
            kind => read_bits(kind, bytes, &mut pos),
        };
        zero.map(|bits| bits == 0).map_err(|kind| stop(kind, span.start))
    }

    /// Writes a value from its occurrences; returns whether it is a message.
    fn merged(&mut self, field: &'a FieldTable, spans: &[Span]) -> Step<bool> {
        if field.kind.is_message() {
            self.message(self.message_of(field), spans)?;
            return Ok(true);
        }
        if let Some(span) = spans.last() {
            let bytes = self.upto(span.end);
            let mut end = span.start;
            if let Kind::String | Kind::Bytes = field.kind {
                let value = wire::read_bytes(bytes, &mut end).map_err(|kind| stop(kind, span.start))?;
                self.blob(field.kind, end - value.len(), end)?;
            } else {
                let bits = read_bits(field.kind, bytes, &mut end).map_err(|kind| stop(kind, span.start))?;
                self.number(field.kind, field.entry.sub, bits);
            }
        }
        Ok(false)
    }

    fn gathered_list(&mut self, field: &'a FieldTable, from: usize, to: usize) -> Step {
        let key_at = self.out.at();
        self.key(field);
        let start = self.out.at();
        for at in from..to {
            let Some(occurrence) = self.scratch.occurrences.get(at).copied() else {
                break;
            };
            let span = occurrence.span;
            let written = if field.kind.is_message() {
                self.gathered_element(field, span)
            } else if occurrence.packed {
                self.packed(field, self.upto(span.end), span.start).map(drop)
            } else {
                self.list_element(field, self.upto(span.end), span.start)
                    .map(drop)
            };
            written.map_err(|stop| stop.in_element(at - from))?;
        }
        if self.out.at() == start && self.omits_empty(field) {
            self.out.back_to(key_at);
        } else {
            self.close(start, b'[', b']');
        }
        Ok(())
    }

    fn gathered_element(&mut self, field: &'a FieldTable, span: Span) -> Step {
        self.element(span.start)?;
        self.check_length(span.start)?;
        self.out.byte(b',');
        self.message(self.message_of(field), &[span])
    }

    fn gathered_map(&mut self, field: &'a FieldTable, from: usize, to: usize) -> Step {
        let table = self.message_of(field);
        let [key, value] = self.tables.fields_of(table) else {
            return Err(stop(crate::DecodeErrorKind::InvalidTag, 0));
        };
        let mut entries = Vec::with_capacity((to - from).min(1024));
        for at in from..to {
            let Some(span) = self.scratch.occurrences.get(at).map(|found| found.span) else {
                break;
            };
            self.element(span.start)?;
            let held = entries.len() * (size_of::<MapEntry<'_>>() + size_of::<Span>());
            if held > self.options.limits.allocation {
                return Err(stop(JsonErrorKind::AllocationLimit, span.start));
            }
            entries.extend(self.map_entry([key, value], span)?);
        }
        // Of equal keys the last entry counts. Sorting is stable, so that it stands last.
        entries.sort_by_key(|entry| entry.key);
        let at = self.out.at();
        self.key(field);
        let start = self.out.at();
        for (index, entry) in entries.iter().enumerate() {
            let repeated = entries.get(index + 1).is_some_and(|next| next.key == entry.key);
            if !repeated {
                self.map_member([key, value], entry)
                    .map_err(|stop| stop.in_element(index))?;
            }
        }
        if self.out.at() == start && self.omits_empty(field) {
            self.out.back_to(at);
        } else {
            self.close(start, b'{', b'}');
        }
        Ok(())
    }

    /// Reads an entry; `None` when its value is unknown to a closed enum, which makes all of it an unknown field.
    pub(super) fn map_entry(
        &self,
        [key, value]: [&'a FieldTable; 2],
        span: Span,
    ) -> Step<Option<MapEntry<'a>>> {
        let bytes = self.upto(span.end);
        let mut found = MapEntry {
            key: if key.kind == Kind::String {
                Key::Text(b"")
            } else {
                Key::Bits(0)
            },
            key_span: None,
            values: Vec::new(),
        };
        let mut known = true;
        let mut pos = span.start;
        while pos < span.end {
            let at = pos;
            let tag = wire::read_tag(bytes, &mut pos).map_err(|kind| stop(kind, at))?;
            if tag == value.entry.tag && value.kind.is_message() {
                let (body, end) = span_of(value.kind, value.number, bytes, pos, self.depth)?;
                found.values.push(body);
                pos = end;
                continue;
            }
            let start = pos;
            wire::skip_value(bytes, &mut pos, tag, self.depth).map_err(|kind| stop(kind, at))?;
            let span = Span { start, end: pos };
            if tag == value.entry.tag {
                // The last value counts; what stands behind an unknown one has to be well-formed all the same.
                known = self.is_value(value, tag, bytes, start);
                found.values.push(span);
            } else if tag == key.entry.tag {
                found.key = self.read_key(key, span)?;
                found.key_span = Some(span);
            }
        }
        Ok(known.then_some(found))
    }

    pub(super) fn read_key(&self, key: &FieldTable, span: Span) -> Step<Key<'a>> {
        let bytes = self.upto(span.end);
        let mut pos = span.start;
        let found = if key.kind == Kind::String {
            wire::read_bytes(bytes, &mut pos).map(Key::Text)
        } else {
            read_bits(key.kind, bytes, &mut pos).map(Key::Bits)
        };
        found.map_err(|kind| stop(kind, span.start))
    }

    pub(super) fn map_member(&mut self, [key, value]: [&'a FieldTable; 2], entry: &MapEntry<'a>) -> Step {
        self.out.byte(b',');
        let end = entry.key_span.map_or(0, |span| span.end);
        self.write_key(key, entry.key, end)?;
        self.out.byte(b':');
        if entry.values.is_empty() {
            return self.absent_value(value);
        }
        self.merged(value, &entry.values).map(drop)
    }
}
