//! Numbers, bools, enums and bytes: from text to bits, from bits to the wire.

use super::number::{float, integer};
use super::text::Scanned;
use super::{Parsing, UnknownFields};
use crate::json::error::{JsonErrorKind, Step, stop};
use crate::json::out::Out;
use crate::schema::Kind;
use crate::schema::tables::{EnumTable, FieldTable};
use crate::wire;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

impl<'a> Parsing<'a> {
    /// Reads a number, bool or enum as 64 bits; `None` for the name of an enum value that is to be ignored.
    #[inline(always)]
    pub(super) fn bits(&mut self, field: &FieldTable) -> Step<Option<u64>> {
        match field.kind {
            Kind::Enum => self.enum_bits(self.tables.enumeration(field.entry.sub)),
            kind => self.number_bits(kind).map(Some),
        }
    }

    #[inline(always)]
    pub(super) fn number_bits(&mut self, kind: Kind) -> Step<u64> {
        match kind {
            Kind::Bool => self.bool_bits(),
            kind => match self.peek() {
                b'"' => self.quoted_number(kind),
                b'-' | b'0'..=b'9' => {
                    let (bits, end) = number_at(kind, self.text, self.pos).map_err(|kind| self.fail(kind))?;
                    self.pos = end;
                    Ok(bits)
                }
                _ => Err(self.expected("a number")),
            },
        }
    }

    fn bool_bits(&mut self) -> Step<u64> {
        match self.peek() {
            b't' => self.literal("true").map(|()| 1),
            b'f' => self.literal("false").map(|()| 0),
            _ => Err(self.expected("true or false")),
        }
    }

    /// Reads a number in a string, as JSON holds those of 64 bits.
    #[inline]
    fn quoted_number(&mut self, kind: Kind) -> Step<u64> {
        if let Ok((bits, end)) = number_at(kind, self.text, self.pos + 1)
            && self.text.get(end) == Some(&b'"')
        {
            self.pos = end + 1;
            return Ok(bits);
        }
        let scanned = self.scan_string()?;
        let start = scanned.start;
        let text = self.unescaped(&scanned)?;
        let special = matches!(kind, Kind::Double | Kind::Float);
        match text {
            b"NaN" if special => return Ok(float_bits(kind, f64::NAN)),
            b"Infinity" if special => return Ok(float_bits(kind, f64::INFINITY)),
            b"-Infinity" if special => return Ok(float_bits(kind, f64::NEG_INFINITY)),
            _ => {}
        }
        whole_number(kind, text).map_err(|kind| stop(kind, start))
    }

    /// Reads the key of a map with numbers or bools for keys.
    pub(super) fn key_bits(&mut self, kind: Kind, key: &Scanned) -> Step<u64> {
        let text = self.unescaped(key)?;
        let bits = match (kind, text) {
            (Kind::Bool, b"true") => Ok(1),
            (Kind::Bool, b"false") => Ok(0),
            (Kind::Bool, _) => Err(JsonErrorKind::Expected("true or false")),
            _ => whole_number(kind, text),
        };
        bits.map_err(|kind| stop(kind, key.start))
    }

    fn enum_bits(&mut self, table: &EnumTable) -> Step<Option<u64>> {
        match self.peek() {
            b'"' => {}
            b'n' if table.null_value => return self.literal("null").map(|()| Some(0)),
            b'-' | b'0'..=b'9' => {
                let at = self.pos;
                let bits = self.number_bits(Kind::Int32)?;
                let known = !table.closed || table.index_of(bits as i32).is_some();
                return if known {
                    Ok(Some(bits))
                } else {
                    self.unknown_enum_value(at)
                };
            }
            _ => return Err(self.expected("the name or number of an enum value")),
        }
        let scanned = self.scan_string()?;
        let name = self.unescaped(&scanned)?;
        let value = table
            .by_name
            .find(name)
            .and_then(|index| table.values.get(index as usize));
        match value {
            Some(value) => Ok(Some(i64::from(value.number) as u64)),
            None => self.unknown_enum_value(scanned.start),
        }
    }

    fn unknown_enum_value(&self, at: usize) -> Step<Option<u64>> {
        match self.options.unknown {
            UnknownFields::Ignore => Ok(None),
            UnknownFields::Refuse => Err(stop(JsonErrorKind::UnknownEnumValue, at)),
        }
    }

    /// Reads a string or bytes and appends it with its length; returns whether it is empty.
    #[inline(always)]
    pub(super) fn blob(&mut self, kind: Kind) -> Step<bool> {
        let scanned = self.scan_string()?;
        if kind == Kind::String {
            self.put_string(&scanned)?;
        } else {
            self.put_base64(&scanned)?;
        }
        // Every escape means at least one character.
        Ok(scanned.start == scanned.end)
    }

    #[inline(never)]
    fn put_base64(&mut self, scanned: &Scanned) -> Step {
        if scanned.escapes {
            self.unescaped(scanned)?;
            let text = std::mem::take(&mut self.scratch.text);
            let result = self.put_decoded(&text, scanned.start);
            self.scratch.text = text;
            return result;
        }
        self.put_decoded(self.raw(scanned), scanned.start)
    }

    fn put_decoded(&mut self, text: &[u8], at: usize) -> Step {
        let most = text.len().div_ceil(4) * 3;
        let gap = self.open(wire::varint_len(most as u64));
        let engine = if memchr::memchr2(b'-', b'_', text).is_some() {
            &URL_SAFE
        } else {
            &STANDARD
        };
        let decoded = engine.decode_slice(text, self.out.room(most));
        self.out
            .advance(decoded.map_err(|_| stop(JsonErrorKind::InvalidBase64, at))?);
        self.close(gap);
        Ok(())
    }
}

#[inline(always)]
fn number_at(kind: Kind, text: &[u8], pos: usize) -> Result<(u64, usize), JsonErrorKind> {
    match kind {
        Kind::Double => float::<f64>(text, pos).map(|(value, end)| (value.to_bits(), end)),
        Kind::Float => float::<f32>(text, pos).map(|(value, end)| (u64::from(value.to_bits()), end)),
        _ => integer(kind, text, pos),
    }
}

fn whole_number(kind: Kind, text: &[u8]) -> Result<u64, JsonErrorKind> {
    match number_at(kind, text, 0)? {
        (bits, end) if end == text.len() => Ok(bits),
        _ => Err(JsonErrorKind::InvalidNumber),
    }
}

fn float_bits(kind: Kind, value: f64) -> u64 {
    if kind == Kind::Float {
        u64::from((value as f32).to_bits())
    } else {
        value.to_bits()
    }
}

/// Appends a number, bool or enum as the wire has it, without a tag.
#[inline(always)]
pub(super) fn put_bits(out: &mut Out, kind: Kind, bits: u64) {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => out.put(&bits.to_le_bytes()),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => out.put(&(bits as u32).to_le_bytes()),
        Kind::Sint32 | Kind::Sint64 => out.varint(wire::zigzag(bits as i64)),
        _ => out.varint(bits),
    }
}
