//! The well-known types, which JSON writes in ways of their own.

use super::Parsing;
use super::fields::Members;
use super::number::float;
use super::scalar::put_bits;
use crate::json::calendar::{read_duration, read_timestamp};
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::json::print::hash;
use crate::json::{field_mask, wrapped};
use crate::schema::tables::MessageTable;
use crate::schema::{Kind, WellKnown};
use crate::wire;

impl<'a> Parsing<'a> {
    /// Reads a well-known type and appends its body.
    pub(super) fn well_known(&mut self, well_known: WellKnown, table: &'a MessageTable) -> Step {
        match well_known {
            WellKnown::Timestamp => self.timestamp(),
            WellKnown::Duration => self.duration(),
            WellKnown::FieldMask => self.field_mask(),
            WellKnown::Any => self.any(),
            WellKnown::Struct => self.structure(),
            WellKnown::Value => self.value(),
            WellKnown::ListValue => self.list_value(),
            WellKnown::Empty => self.members(table, Members::Fields),
            wrapper => self.wrapper(wrapper),
        }
    }

    fn timestamp(&mut self) -> Step {
        let scanned = self.scan_string()?;
        let moment = read_timestamp(self.unescaped(&scanned)?);
        let moment = moment.ok_or_else(|| stop(JsonErrorKind::InvalidTimestamp, scanned.start))?;
        self.seconds_and_nanos(moment);
        Ok(())
    }

    fn duration(&mut self) -> Step {
        let scanned = self.scan_string()?;
        let span = read_duration(self.unescaped(&scanned)?);
        let span = span.ok_or_else(|| stop(JsonErrorKind::InvalidDuration, scanned.start))?;
        self.seconds_and_nanos(span);
        Ok(())
    }

    fn seconds_and_nanos(&mut self, (seconds, nanos): (i64, i32)) {
        if seconds != 0 {
            self.out.byte(0x08);
            self.out.varint(seconds as u64);
        }
        if nanos != 0 {
            self.out.byte(0x10);
            self.out.varint(i64::from(nanos) as u64);
        }
    }

    fn field_mask(&mut self) -> Step {
        let scanned = self.scan_string()?;
        self.unescaped(&scanned)?;
        let text = std::mem::take(&mut self.scratch.text);
        let paths = if scanned.escapes {
            &*text
        } else {
            self.raw(&scanned)
        };
        let result = self.mask_paths(paths, scanned.start);
        self.scratch.text = text;
        result
    }

    fn mask_paths(&mut self, paths: &[u8], at: usize) -> Step {
        if paths.is_empty() {
            return Ok(());
        }
        for path in paths.split(|byte| *byte == b',') {
            self.element()?;
            self.out.byte(0x0a);
            let gap = self.open(1);
            let out = &mut self.out;
            field_mask::to_snake(path, |byte| out.byte(byte))
                .ok_or_else(|| stop(JsonErrorKind::InvalidFieldMask, at))?;
            self.close(gap);
        }
        Ok(())
    }

    fn wrapper(&mut self, wrapper: WellKnown) -> Step {
        let Some(kind) = wrapped(wrapper) else {
            return Ok(());
        };
        let tag = u64::from(wire::tag(1, kind.wire_type()));
        let start = self.out.at();
        if kind.is_packable() {
            let bits = self.number_bits(kind)?;
            if bits != 0 {
                self.out.varint(tag);
                put_bits(&mut self.out, kind, bits);
            }
            return Ok(());
        }
        self.out.varint(tag);
        if self.blob(kind)? {
            self.out.back_to(start);
        }
        Ok(())
    }

    /// Reads an object as a `Struct`.
    pub(super) fn structure(&mut self) -> Step {
        if self.peek() != b'{' {
            return Err(self.expected("an object"));
        }
        self.pos += 1;
        self.space();
        if self.take_closing(b'}') {
            return Ok(());
        }
        let base = self.scratch.keys.len();
        let start = self.out.at();
        loop {
            self.struct_entry()?;
            if !self.goes_on(b'}', "a comma or the end of the object")? {
                break;
            }
        }
        self.end_keys(base, start)
    }

    /// Reads a member of an object as an entry of a `Struct`.
    pub(super) fn struct_entry(&mut self) -> Step {
        self.element()?;
        self.out.byte(0x0a);
        let entry = self.open(1);
        let key = self.scan_string()?;
        self.out.byte(0x0a);
        self.put_string(&key)?;
        let key = hash(self.unescaped(&key)?);
        self.note_key(key)?;
        self.expect(b':', "a colon")?;
        self.out.byte(0x12);
        self.delimited_value()?;
        self.close(entry);
        Ok(())
    }

    fn delimited_value(&mut self) -> Step {
        self.enter()?;
        let gap = self.open(1);
        self.value()?;
        self.close(gap);
        self.depth += 1;
        Ok(())
    }

    /// Reads anything as a `Value`.
    fn value(&mut self) -> Step {
        match self.peek() {
            b'n' => {
                self.out.put(&[0x08, 0]);
                self.literal("null")
            }
            b'"' => {
                self.out.byte(0x1a);
                self.blob(Kind::String).map(drop)
            }
            b't' | b'f' => {
                let bits = self.number_bits(Kind::Bool)?;
                self.out.put(&[0x20, bits as u8]);
                Ok(())
            }
            b'-' | b'0'..=b'9' => {
                let (value, end) = float::<f64>(self.text, self.pos).map_err(|kind| self.fail(kind))?;
                self.pos = end;
                self.out.byte(0x11);
                self.out.put(&value.to_bits().to_le_bytes());
                Ok(())
            }
            b'{' => self.nested(0x2a, Self::structure),
            b'[' => self.nested(0x32, Self::list_value),
            _ => Err(self.expected("a value")),
        }
    }

    /// Appends what `read` reads with this tag and its length.
    fn nested(&mut self, tag: u8, read: impl FnOnce(&mut Self) -> Step) -> Step {
        self.enter()?;
        self.out.byte(tag);
        let gap = self.open(1);
        read(self)?;
        self.close(gap);
        self.depth += 1;
        Ok(())
    }

    /// Reads an array as a `ListValue`.
    fn list_value(&mut self) -> Step {
        if self.peek() != b'[' {
            return Err(self.expected("an array"));
        }
        self.pos += 1;
        self.space();
        if self.take_closing(b']') {
            return Ok(());
        }
        loop {
            self.element()?;
            self.out.byte(0x0a);
            self.delimited_value()?;
            if !self.goes_on(b']', "a comma or the end of the array")? {
                return Ok(());
            }
        }
    }
}
