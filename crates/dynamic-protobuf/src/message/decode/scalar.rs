//! Scalars as they stand on the wire, into the form of slots.

use super::super::arena::pack;
use crate::error::DecodeErrorKind;
use crate::schema::tables::{Entry, Op};
use crate::utf8;
use crate::wire::{self, WireType};

/// One scalar's value and whether it was written in the shortest way.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) value: u64,
    pub(super) regular: bool,
}

/// How one value of this op is laid out when not packed.
pub(super) fn op_wire_type(op: Op) -> WireType {
    match op {
        Op::Fixed32 | Op::Sfixed32 => WireType::I32,
        Op::Fixed64 => WireType::I64,
        Op::String | Op::Bytes | Op::Message => WireType::Len,
        Op::Group => WireType::StartGroup,
        _ => WireType::Varint,
    }
}

/// Whether a slot's value is its type's zero.
#[inline(always)]
pub(super) fn is_zero(op: Op, value: u64) -> bool {
    match op {
        Op::String | Op::Bytes => value >> 32 == 0,
        _ => value == 0,
    }
}

/// Reads one scalar, not a message, into the form of a slot. `op` is the entry's, apart so that callers can be for one op. The
/// message ends at `end`; a number that goes on beyond it is read whole.
#[inline(always)]
pub(super) fn scalar(
    op: Op,
    entry: &Entry,
    source: &[u8],
    end: usize,
    pos: &mut usize,
) -> Result<Read, DecodeErrorKind> {
    let value = match op {
        Op::String | Op::Bytes => {
            let len = len_before(source, end, pos)?;
            let start = *pos;
            *pos += len;
            if entry.is(Entry::UTF8) && !utf8::is_valid(source.get(start..*pos).unwrap_or_default()) {
                return Err(DecodeErrorKind::InvalidUtf8);
            }
            pack(start as u32, len as u32)
        }
        Op::Fixed32 => u64::from(wire::read_i32(source, pos)?),
        Op::Sfixed32 => i64::from(wire::read_i32(source, pos)? as i32) as u64,
        Op::Fixed64 => wire::read_i64(source, pos)?,
        _ => {
            let start = *pos;
            let raw = wire::varint(source, pos)?;
            let (value, written) = from_varint(op, raw);
            let shortest = *pos - start == 1 || *pos - start == wire::varint_len(raw);
            return Ok(Read {
                value,
                regular: shortest && raw == written,
            });
        }
    };
    Ok(Read { value, regular: true })
}

/// Reads a length of bytes that have to end at `end` or before.
#[inline(always)]
pub(super) fn len_before(source: &[u8], end: usize, pos: &mut usize) -> Result<usize, DecodeErrorKind> {
    let len = wire::varint(source, pos)?;
    if *pos > end || len > (end - *pos) as u64 {
        return Err(DecodeErrorKind::Truncated);
    }
    Ok(len as usize)
}

/// What a varint means to this op, and the varint that would be written for it.
#[inline(always)]
pub(super) fn from_varint(op: Op, raw: u64) -> (u64, u64) {
    match op {
        Op::Int32 | Op::EnumOpen | Op::EnumClosed => {
            let value = i64::from(raw as i32) as u64;
            (value, value)
        }
        Op::Uint32 => (u64::from(raw as u32), u64::from(raw as u32)),
        Op::Sint32 => {
            let low = u64::from(raw as u32);
            (wire::unzigzag(low) as u64, low)
        }
        Op::Sint64 => (wire::unzigzag(raw) as u64, raw),
        Op::Bool => (u64::from(raw != 0), u64::from(raw != 0)),
        _ => (raw, raw),
    }
}
