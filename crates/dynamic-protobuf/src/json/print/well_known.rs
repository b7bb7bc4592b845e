//! The well-known types, which JSON writes in ways of their own.
//!
//! Their fields are read by number and not by the schema, which anybody may have written.

use super::fields::group_span;
use super::maps::Key;
use super::scalar::read_bits;
use super::{Mode, Printing, Span};
use crate::error::DecodeErrorKind;
use crate::json::calendar::{write_duration, write_timestamp};
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::json::{field_mask, wrapped};
use crate::schema::tables::{MessageTable, Symbol};
use crate::schema::{Kind, WellKnown};
use crate::wire::{self, WireType};
use std::collections::HashMap;

/// One field on the wire, known or not.
struct Record {
    tag: u32,
    /// After the tag.
    start: usize,
    end: usize,
    /// Without the length, for those that have one.
    body: Span,
}

/// What a `Value` holds.
enum Held {
    Null,
    Number(u64),
    Text(Span),
    Bool(u64),
    Struct(Spans),
    List(Spans),
}

/// The occurrences of a message, of which there is nearly always one.
#[derive(Default)]
struct Spans {
    first: Option<Span>,
    /// All of them, if there are several.
    all: Vec<Span>,
}

impl Spans {
    fn one(span: Span) -> Self {
        Self {
            first: Some(span),
            all: Vec::new(),
        }
    }

    fn push(&mut self, span: Span) {
        match self.first {
            None => self.first = Some(span),
            Some(first) => {
                if self.all.is_empty() {
                    self.all.push(first);
                }
                self.all.push(span);
            }
        }
    }

    fn as_slice(&self) -> &[Span] {
        if self.all.is_empty() {
            self.first.as_slice()
        } else {
            &self.all
        }
    }
}

impl<'a> Printing<'a> {
    /// Writes a well-known type.
    pub(super) fn well_known(&mut self, well_known: WellKnown, spans: &[Span]) -> Step {
        match well_known {
            WellKnown::Timestamp => self.timestamp(spans),
            WellKnown::Duration => self.duration(spans),
            WellKnown::FieldMask => self.field_mask(spans),
            WellKnown::Any => self.any(spans),
            WellKnown::Struct => self.structure(spans),
            WellKnown::Value => self.value(spans),
            WellKnown::ListValue => self.list_value(spans),
            WellKnown::Empty => {
                self.each_record(spans, |_, _| Ok(()))?;
                self.out.put(b"{}");
                Ok(())
            }
            wrapper => self.wrapper(wrapper, spans),
        }
    }

    /// Calls `visit` with each record of a message.
    fn each_record(&mut self, spans: &[Span], mut visit: impl FnMut(&mut Self, Record) -> Step) -> Step {
        for span in spans {
            let bytes = self.upto(span.end);
            let mut pos = span.start;
            while pos < span.end {
                let at = pos;
                let record = record(bytes, &mut pos, self.depth).map_err(|kind| stop(kind, at))?;
                visit(self, record)?;
            }
        }
        Ok(())
    }

    /// Reads fields 1 and 2 as numbers of 64 and 32 bits.
    fn seconds_and_nanos(&self, spans: &[Span]) -> Step<(i64, i32)> {
        let (mut seconds, mut nanos) = (0, 0);
        for span in spans {
            let bytes = self.upto(span.end);
            let mut pos = span.start;
            while pos < span.end {
                let at = pos;
                let read = wire::read_tag(bytes, &mut pos).and_then(|tag| {
                    match tag {
                        0x08 => seconds = wire::varint(bytes, &mut pos)? as i64,
                        0x10 => nanos = wire::varint(bytes, &mut pos)? as i32,
                        _ => wire::skip_value(bytes, &mut pos, tag, self.depth)?,
                    }
                    Ok(())
                });
                read.map_err(|kind| stop(kind, at))?;
            }
        }
        Ok((seconds, nanos))
    }

    fn bits(&self, kind: Kind, record: &Record) -> Step<u64> {
        let mut pos = record.start;
        read_bits(kind, self.upto(record.end), &mut pos).map_err(|kind| stop(kind, record.start))
    }

    fn timestamp(&mut self, spans: &[Span]) -> Step {
        let (seconds, nanos) = self.seconds_and_nanos(spans)?;
        self.quoted(JsonErrorKind::InvalidTimestamp, spans, |room| {
            write_timestamp(room, seconds, nanos)
        })
    }

    fn duration(&mut self, spans: &[Span]) -> Step {
        let (seconds, nanos) = self.seconds_and_nanos(spans)?;
        self.quoted(JsonErrorKind::InvalidDuration, spans, |room| {
            write_duration(room, seconds, nanos)
        })
    }

    /// Writes a string of at most `N` bytes where it is to stand; `write` returns how many it took.
    #[inline(always)]
    fn quoted<const N: usize>(
        &mut self,
        kind: JsonErrorKind,
        spans: &[Span],
        write: impl FnOnce(&mut [u8; N]) -> Option<usize>,
    ) -> Step {
        let room = self.out.room(N + 2);
        let text = room.get_mut(1..).and_then(<[u8]>::first_chunk_mut);
        let length = text.and_then(write).ok_or_else(|| stop(kind, start_of(spans)))?;
        room[0] = b'"';
        room[length + 1] = b'"';
        self.out.advance(length + 2);
        Ok(())
    }

    fn field_mask(&mut self, spans: &[Span]) -> Step {
        let start = self.out.at();
        self.each_record(spans, |printing, record| {
            if record.tag != 0x0a {
                return Ok(());
            }
            printing.element(record.start)?;
            printing.out.byte(b',');
            let path = printing.wire.get(record.body.start..record.body.end);
            let path = path.unwrap_or_default();
            let out = &mut printing.out;
            field_mask::to_camel(path, |byte| out.byte(byte))
                .ok_or_else(|| stop(JsonErrorKind::InvalidFieldMask, record.start))
        })?;
        self.close(start, b'"', b'"');
        Ok(())
    }

    fn wrapper(&mut self, wrapper: WellKnown, spans: &[Span]) -> Step {
        let Some(kind) = wrapped(wrapper) else {
            return Ok(());
        };
        let tag = wire::tag(1, kind.wire_type());
        let (mut bits, mut body) = (0, Span { start: 0, end: 0 });
        self.each_record(spans, |printing, record| {
            if record.tag == tag && kind.is_packable() {
                bits = printing.bits(kind, &record)?;
            } else if record.tag == tag {
                body = record.body;
            }
            Ok(())
        })?;
        if kind.is_packable() {
            self.number(kind, 0, bits);
            return Ok(());
        }
        self.blob(kind, body.start, body.end)
    }

    fn any(&mut self, spans: &[Span]) -> Step {
        let empty = Span { start: 0, end: 0 };
        let (mut type_url, mut value) = (empty, empty);
        self.each_record(spans, |_, record| {
            match record.tag {
                0x0a => type_url = record.body,
                0x12 => value = record.body,
                _ => {}
            }
            Ok(())
        })?;
        if type_url.start == type_url.end {
            if value.start != value.end {
                return Err(stop(JsonErrorKind::MissingType, start_of(spans)));
            }
            self.out.put(b"{}");
            return Ok(());
        }
        let table = self.any_type(type_url)?;
        self.out.put(b"{\"@type\":");
        self.string(type_url.start, type_url.end)?;
        if table.well_known.is_some() {
            self.out.put(b",\"value\":");
            self.message(table, &[value])?;
        } else {
            self.enter(value.start)?;
            self.members(table, &[value])?;
            self.depth += 1;
        }
        self.out.byte(b'}');
        Ok(())
    }

    fn any_type(&self, type_url: Span) -> Step<&'a MessageTable> {
        let bytes = self.wire.get(type_url.start..type_url.end).unwrap_or_default();
        let url = simdutf8::basic::from_utf8(bytes)
            .map_err(|_| stop(JsonErrorKind::InvalidUtf8, type_url.start))?;
        let (_, name) = url
            .rsplit_once('/')
            .ok_or_else(|| stop(JsonErrorKind::InvalidTypeUrl, type_url.start))?;
        match self.tables.symbol(name) {
            Some(Symbol::Message(index)) => Ok(self.tables.message(index)),
            _ => Err(stop(JsonErrorKind::UnknownType, type_url.start)),
        }
    }

    /// A `Struct` in one or several occurrences: entries with equal keys replace each other.
    fn structure(&mut self, spans: &[Span]) -> Step {
        if self.mode == Mode::Careful {
            return self.careful_structure(spans);
        }
        let start = self.out.at();
        let keys = self.scratch.keys.len();
        self.each_record(spans, |printing, record| {
            if record.tag != 0x0a {
                return Ok(());
            }
            printing.element(record.start)?;
            printing.check_length(record.start)?;
            let (key, value) = printing.struct_entry(record.body)?;
            let text = printing.wire.get(key.start..key.end).unwrap_or_default();
            printing.note_key(Key::Text(text), record.start)?;
            printing.struct_member(key, value.as_slice())
        })?;
        self.end_keys(keys)?;
        self.close(start, b'{', b'}');
        Ok(())
    }

    fn careful_structure(&mut self, spans: &[Span]) -> Step {
        let mut places: HashMap<&'a [u8], usize> = HashMap::new();
        let mut entries: Vec<(Span, Spans)> = Vec::new();
        self.each_record(spans, |printing, record| {
            if record.tag != 0x0a {
                return Ok(());
            }
            printing.element(record.start)?;
            let held = (entries.len() + 1) * size_of::<(Span, Spans, &[u8], usize)>();
            if held > printing.options.limits.allocation {
                return Err(stop(JsonErrorKind::AllocationLimit, record.start));
            }
            let entry = printing.struct_entry(record.body)?;
            let key = printing.wire.get(entry.0.start..entry.0.end).unwrap_or_default();
            match places.get(key).and_then(|place| entries.get_mut(*place)) {
                Some(earlier) => *earlier = entry,
                None => {
                    places.insert(key, entries.len());
                    entries.push(entry);
                }
            }
            Ok(())
        })?;
        let start = self.out.at();
        for (key, value) in &entries {
            self.check_length(key.start)?;
            self.struct_member(*key, value.as_slice())?;
        }
        self.close(start, b'{', b'}');
        Ok(())
    }

    /// The key and the occurrences of the value of one entry.
    fn struct_entry(&mut self, span: Span) -> Step<(Span, Spans)> {
        let mut key = Span { start: 0, end: 0 };
        let mut value = Spans::default();
        self.each_record(&[span], |_, record| {
            match record.tag {
                0x0a => key = record.body,
                0x12 => value.push(record.body),
                _ => {}
            }
            Ok(())
        })?;
        Ok((key, value))
    }

    fn struct_member(&mut self, key: Span, value: &[Span]) -> Step {
        self.out.byte(b',');
        self.string(key.start, key.end)?;
        self.out.byte(b':');
        self.nested(value, Self::value)
    }

    /// Writes one level further down.
    fn nested(&mut self, spans: &[Span], write: impl FnOnce(&mut Self, &[Span]) -> Step) -> Step {
        self.enter(start_of(spans))?;
        write(self, spans)?;
        self.depth += 1;
        Ok(())
    }

    fn value(&mut self, spans: &[Span]) -> Step {
        match self.held(spans)? {
            None => Err(stop(JsonErrorKind::ValueUnset, start_of(spans))),
            Some(Held::Null) => {
                self.out.put(b"null");
                Ok(())
            }
            Some(Held::Number(bits)) => {
                if !f64::from_bits(bits).is_finite() {
                    return Err(stop(JsonErrorKind::ValueNotFinite, start_of(spans)));
                }
                self.number(Kind::Double, 0, bits);
                Ok(())
            }
            Some(Held::Text(text)) => self.string(text.start, text.end),
            Some(Held::Bool(bits)) => {
                self.number(Kind::Bool, 0, bits);
                Ok(())
            }
            Some(Held::Struct(spans)) => self.nested(spans.as_slice(), Self::structure),
            Some(Held::List(spans)) => self.nested(spans.as_slice(), Self::list_value),
        }
    }

    /// The member of the oneof that is set: the last, with all its occurrences since another was set.
    fn held(&mut self, spans: &[Span]) -> Step<Option<Held>> {
        let mut held = None;
        self.each_record(spans, |printing, record| {
            match record.tag {
                0x08 => held = Some(Held::Null),
                0x11 => held = Some(Held::Number(printing.bits(Kind::Double, &record)?)),
                0x1a => held = Some(Held::Text(record.body)),
                0x20 => held = Some(Held::Bool(printing.bits(Kind::Bool, &record)?)),
                0x2a => match &mut held {
                    Some(Held::Struct(spans)) => spans.push(record.body),
                    _ => held = Some(Held::Struct(Spans::one(record.body))),
                },
                0x32 => match &mut held {
                    Some(Held::List(spans)) => spans.push(record.body),
                    _ => held = Some(Held::List(Spans::one(record.body))),
                },
                _ => {}
            }
            Ok(())
        })?;
        Ok(held)
    }

    fn list_value(&mut self, spans: &[Span]) -> Step {
        let start = self.out.at();
        self.each_record(spans, |printing, record| {
            if record.tag != 0x0a {
                return Ok(());
            }
            printing.element(record.start)?;
            printing.check_length(record.start)?;
            printing.out.byte(b',');
            printing.nested(&[record.body], Self::value)
        })?;
        self.close(start, b'[', b']');
        Ok(())
    }
}

fn start_of(spans: &[Span]) -> usize {
    spans.first().map_or(0, |span| span.start)
}

/// Reads one record and moves `*pos` past it.
fn record(bytes: &[u8], pos: &mut usize, depth: u32) -> Result<Record, DecodeErrorKind> {
    let tag = wire::read_tag(bytes, pos)?;
    let start = *pos;
    let mut body = Span { start, end: start };
    match WireType::of_tag(tag) {
        Some(WireType::Len) => {
            let length = wire::read_len(bytes, pos)?;
            body.start = *pos;
            *pos += length;
            body.end = *pos;
        }
        Some(WireType::StartGroup) => {
            (body, *pos) = group_span(tag >> 3, bytes, start, depth)?;
        }
        _ => wire::skip_value(bytes, pos, tag, depth)?,
    }
    Ok(Record {
        tag,
        start,
        end: *pos,
        body,
    })
}
