//! Numbers, bools, enums and bytes: from the wire to bits, from bits to text.

use super::{EnumForm, Printing};
use crate::error::DecodeErrorKind;
use crate::json::error::{Step, stop};
use crate::json::out::Out;
use crate::schema::Kind;
use crate::wire;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Reads a number, bool or enum as 64 bits: signed ones extended, floats as they stand.
#[inline(always)]
pub(in crate::json) fn read_bits(kind: Kind, bytes: &[u8], pos: &mut usize) -> Result<u64, DecodeErrorKind> {
    Ok(match kind {
        Kind::Int64 | Kind::Uint64 => wire::varint(bytes, pos)?,
        Kind::Int32 | Kind::Enum => i64::from(wire::varint(bytes, pos)? as i32) as u64,
        Kind::Uint32 => u64::from(wire::varint(bytes, pos)? as u32),
        Kind::Sint32 => i64::from(wire::unzigzag(u64::from(wire::varint(bytes, pos)? as u32)) as i32) as u64,
        Kind::Sint64 => wire::unzigzag(wire::varint(bytes, pos)?) as u64,
        Kind::Bool => u64::from(wire::varint(bytes, pos)? != 0),
        Kind::Fixed32 | Kind::Float => u64::from(wire::read_i32(bytes, pos)?),
        Kind::Sfixed32 => i64::from(wire::read_i32(bytes, pos)? as i32) as u64,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => wire::read_i64(bytes, pos)?,
        // Those are read elsewhere.
        Kind::String | Kind::Bytes | Kind::Message | Kind::Group => return Err(DecodeErrorKind::InvalidTag),
    })
}

impl Printing<'_> {
    /// Writes a number, bool or enum. `sub` is the index of the enum.
    #[inline(always)]
    pub(super) fn number(&mut self, kind: Kind, sub: u32, bits: u64) {
        match kind {
            Kind::Double => double(&mut self.out, f64::from_bits(bits)),
            Kind::Float => float(&mut self.out, f32::from_bits(bits as u32)),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                self.out.byte(b'"');
                signed(&mut self.out, bits as i64);
                self.out.byte(b'"');
            }
            Kind::Uint64 | Kind::Fixed64 => {
                self.out.byte(b'"');
                unsigned(&mut self.out, bits);
                self.out.byte(b'"');
            }
            Kind::Bool => self.out.put(if bits == 0 { b"false" } else { b"true" }),
            Kind::Enum => self.enum_value(sub, bits as i32),
            Kind::Uint32 | Kind::Fixed32 => unsigned(&mut self.out, bits),
            _ => signed(&mut self.out, bits as i64),
        }
    }

    /// Writes the key of a map, which is a string whatever its type.
    pub(super) fn number_key(&mut self, kind: Kind, bits: u64) {
        self.out.byte(b'"');
        match kind {
            Kind::Bool => self.out.put(if bits == 0 { b"false" } else { b"true" }),
            Kind::Uint64 | Kind::Fixed64 | Kind::Uint32 | Kind::Fixed32 => unsigned(&mut self.out, bits),
            _ => signed(&mut self.out, bits as i64),
        }
        self.out.byte(b'"');
    }

    fn enum_value(&mut self, sub: u32, number: i32) {
        let table = self.tables.enumeration(sub);
        if table.null_value {
            self.out.put(b"null");
            return;
        }
        let name = match self.options.enums {
            EnumForm::Name => table.index_of(number).and_then(|index| table.values.get(index)),
            EnumForm::Number => None,
        };
        match name {
            Some(value) => {
                self.out.byte(b'"');
                self.out.put(value.name.as_bytes());
                self.out.byte(b'"');
            }
            None => signed(&mut self.out, i64::from(number)),
        }
    }

    /// Writes a string or bytes.
    #[inline(always)]
    pub(super) fn blob(&mut self, kind: Kind, start: usize, end: usize) -> Step {
        if kind == Kind::String {
            self.string(start, end)
        } else {
            self.base64(start, end)
        }
    }

    #[inline(never)]
    fn base64(&mut self, start: usize, end: usize) -> Step {
        let bytes = self.wire.get(start..end).unwrap_or_default();
        let length = bytes.len().div_ceil(3) * 4;
        self.out.byte(b'"');
        let written = STANDARD.encode_slice(bytes, self.out.room(length));
        self.out
            .advance(written.map_err(|_| stop(DecodeErrorKind::TooLarge, start))?);
        self.out.byte(b'"');
        Ok(())
    }
}

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

pub(in crate::json) fn signed(out: &mut Out, value: i64) {
    if value < 0 {
        out.byte(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

/// Writes decimal digits; small numbers, which are most, without a buffer in between.
#[inline(always)]
pub(in crate::json) fn unsigned(out: &mut Out, value: u64) {
    if value < 10 {
        out.byte(b'0' + value as u8);
    } else if let Some(pair) = PAIRS.get(value as usize) {
        out.put(pair);
    } else if let Some([a, b]) = PAIRS.get((value / 100) as usize) {
        let [c, d] = PAIRS[(value % 100) as usize];
        let digits = [*a, *b, c, d];
        out.put(if value < 1000 { &digits[1..] } else { &digits });
    } else {
        let mut buffer = itoa::Buffer::new();
        out.put(buffer.format(value).as_bytes());
    }
}

pub(in crate::json) fn double(out: &mut Out, value: f64) {
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        put_decimal(out, buffer.format_finite(value));
    } else {
        out.put(not_finite(value));
    }
}

fn float(out: &mut Out, value: f32) {
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        put_decimal(out, buffer.format_finite(value));
    } else {
        out.put(not_finite(f64::from(value)));
    }
}

/// `1.0` is written `1`, as other implementations do.
#[inline]
fn put_decimal(out: &mut Out, text: &str) {
    let text = text.as_bytes();
    out.put(text.strip_suffix(b".0").unwrap_or(text));
}

fn not_finite(value: f64) -> &'static [u8] {
    match value {
        _ if value.is_nan() => b"\"NaN\"",
        _ if value > 0.0 => b"\"Infinity\"",
        _ => b"\"-Infinity\"",
    }
}
