//! The quick way: each field is written where it stands on the wire.

use super::scalar::read_bits;
use super::{Printing, Span, ZeroFields};
use crate::error::DecodeErrorKind;
use crate::json::error::{Step, Stop, stop};
use crate::json::seen::Seen;
use crate::schema::Kind;
use crate::schema::tables::{Entry, FieldTable, MessageTable, Op};
use crate::wire::{self, WireType};

impl<'a> Printing<'a> {
    /// Writes the fields of a message in the order of the wire, each with a comma before it.
    pub(super) fn fields(&mut self, table: &'a MessageTable, span: Span) -> Step {
        // A MessageSet's items need to be unwrapped first.
        if table.message_set {
            return Err(Stop::Irregular);
        }
        let fields = self.tables.fields_of(table);
        let bytes = self.upto(span.end);
        let mut seen = self.scratch.seen.open(table);
        let mut pos = span.start;
        while pos < bytes.len() {
            let at = pos;
            let tag = wire::read_tag(bytes, &mut pos).map_err(|kind| stop(kind, at))?;
            let entry = table.entry(tag >> 3);
            let Some(field) = fields.get(entry.slot as usize).filter(|_| accepts(entry, tag)) else {
                wire::skip_value(bytes, &mut pos, tag, self.depth).map_err(|kind| stop(kind, at))?;
                continue;
            };
            let stack = &mut self.scratch.seen;
            if !(stack.first(&mut seen, entry) && stack.first_of_oneof(&mut seen, entry)) {
                return Err(Stop::Irregular);
            }
            let written = if entry.is(Entry::REPEATED) {
                self.repeated(field, bytes, pos, tag)
            } else {
                self.singular(field, bytes, pos)
            };
            pos = written.map_err(|stop| stop.in_field(&field.name))?;
            self.check_length(at)?;
        }
        if self.options.zeros == ZeroFields::Show {
            self.zeros(table, &seen);
        }
        self.scratch.seen.close(&seen);
        Ok(())
    }

    /// Writes the fields without presence that did not occur.
    pub(super) fn zeros(&mut self, table: &'a MessageTable, seen: &Seen) {
        for field in self.tables.fields_of(table) {
            if !self.scratch.seen.has(seen, field.entry.slot) {
                self.zero(field);
            }
        }
    }

    /// Writes a field that is not set, if it is one that cannot tell.
    pub(super) fn zero(&mut self, field: &FieldTable) {
        if field.presence || field.extension {
            return;
        }
        self.key(field);
        match field.kind {
            _ if field.entry.is(Entry::MAP) => self.out.put(b"{}"),
            _ if field.entry.is(Entry::REPEATED) => self.out.put(b"[]"),
            Kind::String | Kind::Bytes => self.out.put(b"\"\""),
            _ => self.number(field.kind, field.entry.sub, 0),
        }
    }

    /// Writes a field that has one value, and returns where the value ends.
    #[inline(always)]
    pub(super) fn singular(&mut self, field: &'a FieldTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        match field.kind {
            Kind::Message | Kind::Group => self.submessage(field, bytes, pos),
            Kind::String | Kind::Bytes => {
                let mut end = pos;
                let value = wire::read_bytes(bytes, &mut end).map_err(|kind| stop(kind, pos))?;
                if !value.is_empty() || !self.omits(field) {
                    self.key(field);
                    self.blob(field.kind, end - value.len(), end)?;
                }
                Ok(end)
            }
            kind => {
                let mut end = pos;
                let bits = read_bits(kind, bytes, &mut end).map_err(|kind| stop(kind, pos))?;
                self.check_enum(field, bits)?;
                if bits != 0 || !self.omits(field) {
                    self.key(field);
                    self.number(kind, field.entry.sub, bits);
                }
                Ok(end)
            }
        }
    }

    /// Whether the field is left out when it is zero.
    #[inline(always)]
    pub(super) fn omits(&self, field: &FieldTable) -> bool {
        field.entry.is(Entry::IMPLICIT) && self.options.zeros == ZeroFields::Omit
    }

    /// Whether the list or map is left out when all of its occurrences are empty.
    #[inline]
    pub(super) fn omits_empty(&self, field: &FieldTable) -> bool {
        self.options.zeros == ZeroFields::Omit || field.extension
    }

    /// A closed enum's number without a name is not the field's value but an unknown field.
    #[inline(always)]
    fn check_enum(&self, field: &FieldTable, bits: u64) -> Step {
        if field.entry.op == Op::EnumClosed && !self.names(field, bits) {
            return Err(Stop::Irregular);
        }
        Ok(())
    }

    /// Whether the enum has a value with this number.
    pub(super) fn names(&self, field: &FieldTable, bits: u64) -> bool {
        let table = self.tables.enumeration(field.entry.sub);
        table.index_of(bits as i32).is_some()
    }

    fn submessage(&mut self, field: &'a FieldTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        let (span, end) = span_of(field.kind, field.number, bytes, pos, self.depth)?;
        self.key(field);
        self.message(self.message_of(field), &[span])?;
        Ok(end)
    }

    /// Writes a list or map whose first record has just begun, and returns where its last ends.
    fn repeated(&mut self, field: &'a FieldTable, bytes: &'a [u8], pos: usize, tag: u32) -> Step<usize> {
        let key_at = self.out.at();
        self.key(field);
        let start = self.out.at();
        let end = if field.entry.is(Entry::MAP) {
            self.map(field, bytes, pos)?
        } else {
            self.list(field, bytes, pos, tag)?
        };
        let (opening, closing) = if field.entry.is(Entry::MAP) {
            (b'{', b'}')
        } else {
            (b'[', b']')
        };
        if self.out.at() == start && self.omits_empty(field) {
            // Packed lists may be empty, which is the same as no list.
            self.out.back_to(key_at);
        } else {
            self.close(start, opening, closing);
        }
        Ok(end)
    }

    /// Writes elements, each with a comma before it, as long as the field's records follow each other.
    fn list(&mut self, field: &'a FieldTable, bytes: &'a [u8], pos: usize, mut tag: u32) -> Step<usize> {
        let mut pos = pos;
        let mut index = 0;
        loop {
            let packed = field.kind.is_packable() && tag & 7 == WireType::Len as u32;
            let written = if packed {
                self.packed(field, bytes, pos)
            } else {
                self.list_element(field, bytes, pos)
            };
            pos = written.map_err(|stop| stop.in_element(index))?;
            index += 1;
            match next_tag(bytes, pos) {
                Some((next, after)) if next >> 3 == tag >> 3 && accepts(field.entry, next) => {
                    (tag, pos) = (next, after);
                }
                _ => return Ok(pos),
            }
        }
    }

    /// Writes one element that has a tag of its own.
    #[inline]
    pub(super) fn list_element(&mut self, field: &'a FieldTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        self.element(pos)?;
        self.check_length(pos)?;
        let mut end = pos;
        match field.kind {
            Kind::Message | Kind::Group => {
                let (span, end) = span_of(field.kind, field.number, bytes, pos, self.depth)?;
                self.out.byte(b',');
                self.message(self.message_of(field), &[span])?;
                return Ok(end);
            }
            Kind::String | Kind::Bytes => {
                let value = wire::read_bytes(bytes, &mut end).map_err(|kind| stop(kind, pos))?;
                self.out.byte(b',');
                self.blob(field.kind, end - value.len(), end)?;
            }
            kind => {
                let bits = read_bits(kind, bytes, &mut end).map_err(|kind| stop(kind, pos))?;
                if field.entry.op != Op::EnumClosed || self.names(field, bits) {
                    self.out.byte(b',');
                    self.number(kind, field.entry.sub, bits);
                }
            }
        }
        Ok(end)
    }

    /// Writes the elements of one packed record.
    pub(super) fn packed(&mut self, field: &'a FieldTable, bytes: &'a [u8], pos: usize) -> Step<usize> {
        let mut at = pos;
        let length = wire::read_len(bytes, &mut at).map_err(|kind| stop(kind, pos))?;
        let end = at + length;
        let bytes = self.upto(end);
        while at < end {
            let start = at;
            self.element(at)?;
            let bits = read_bits(field.kind, bytes, &mut at).map_err(|kind| stop(kind, start))?;
            if field.entry.op != Op::EnumClosed || self.names(field, bits) {
                self.out.byte(b',');
                self.number(field.kind, field.entry.sub, bits);
            }
            self.check_length(start)?;
        }
        Ok(end)
    }
}

/// Whether a record with this tag is the field's: lists of numbers are read packed and not, whichever they should be.
#[inline(always)]
pub(super) fn accepts(entry: Entry, tag: u32) -> bool {
    entry.tag == tag || accepts_other(entry, tag)
}

#[inline]
fn accepts_other(entry: Entry, tag: u32) -> bool {
    let wire_type = match entry.op {
        Op::Unknown | Op::String | Op::Bytes | Op::Message | Op::Group => return false,
        Op::Fixed32 | Op::Sfixed32 => WireType::I32,
        Op::Fixed64 => WireType::I64,
        _ => WireType::Varint,
    };
    let here = tag & 7;
    entry.is(Entry::REPEATED) && (here == wire_type as u32 || here == WireType::Len as u32)
}

/// The tag at `pos` and where it ends; `None` at the end and where no tag is.
#[inline(always)]
pub(super) fn next_tag(bytes: &[u8], pos: usize) -> Option<(u32, usize)> {
    let mut after = pos;
    let tag = wire::read_tag(bytes, &mut after).ok()?;
    Some((tag, after))
}

/// The body of the message or group whose tag was just read, and where it ends with its length or end tag.
#[inline(always)]
pub(super) fn span_of(kind: Kind, number: u32, bytes: &[u8], pos: usize, depth: u32) -> Step<(Span, usize)> {
    if kind == Kind::Group {
        return group_span(number, bytes, pos, depth).map_err(|kind| stop(kind, pos));
    }
    let mut start = pos;
    let length = wire::read_len(bytes, &mut start).map_err(|kind| stop(kind, pos))?;
    let end = start + length;
    Ok((Span { start, end }, end))
}

#[cold]
pub(super) fn group_span(
    number: u32,
    bytes: &[u8],
    start: usize,
    depth: u32,
) -> Result<(Span, usize), DecodeErrorKind> {
    let mut end = start;
    let mut after = start;
    let closing = wire::tag(number, WireType::EndGroup);
    loop {
        if end >= bytes.len() {
            return Err(DecodeErrorKind::Truncated);
        }
        let tag = wire::read_tag(bytes, &mut after)?;
        if tag == closing {
            return Ok((Span { start, end }, after));
        }
        wire::skip_value(bytes, &mut after, tag, depth)?;
        end = after;
    }
}
