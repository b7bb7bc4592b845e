//! The wire format's atoms: varints, tags and fixed-width values, read from and written to byte slices.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use crate::error::DecodeErrorKind;

/// How a field's value is laid out on the wire: the low three bits of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WireType {
    /// A base-128 number of one to ten bytes.
    Varint = 0,
    /// Eight bytes, little endian.
    I64 = 1,
    /// A length as varint, then so many bytes.
    Len = 2,
    /// The start of a group; ends with the matching `EndGroup`.
    StartGroup = 3,
    /// The end of a group.
    EndGroup = 4,
    /// Four bytes, little endian.
    I32 = 5,
}

impl WireType {
    /// The wire type in the low bits of `tag`; 6 and 7 do not exist.
    #[inline]
    pub const fn of_tag(tag: u32) -> Option<Self> {
        match tag & 7 {
            0 => Some(Self::Varint),
            1 => Some(Self::I64),
            2 => Some(Self::Len),
            3 => Some(Self::StartGroup),
            4 => Some(Self::EndGroup),
            5 => Some(Self::I32),
            _ => None,
        }
    }
}

/// The largest field number the format has: 2^29 - 1.
pub const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

/// The longest a varint of 64 bits can be.
pub(crate) const MAX_VARINT_LEN: usize = 10;

/// The largest message the format allows, in bytes: 2 GiB - 1.
pub const MAX_MESSAGE_BYTES: usize = i32::MAX as usize;

/// The tag of a field: its number and how its value is laid out.
#[inline]
pub(crate) const fn tag(number: u32, wire_type: WireType) -> u32 {
    number << 3 | wire_type as u32
}

/// Reads a varint at `*pos` and moves `*pos` past it. Bits beyond the 64th are dropped, as every implementation does.
#[inline(always)]
pub(crate) fn varint(bytes: &[u8], pos: &mut usize) -> Result<u64, DecodeErrorKind> {
    match bytes.get(*pos) {
        Some(&byte) if byte < 0x80 => {
            *pos += 1;
            Ok(u64::from(byte))
        }
        _ => long_varint(bytes, pos),
    }
}

/// [`varint`] for those of more than one byte.
#[inline(always)]
fn long_varint(bytes: &[u8], pos: &mut usize) -> Result<u64, DecodeErrorKind> {
    let rest = bytes.get(*pos..).unwrap_or_default();
    if let Some(&[low, high]) = rest.first_chunk::<2>()
        && high < 0x80
    {
        *pos += 2;
        return Ok(u64::from(low & 0x7f) | u64::from(high) << 7);
    }
    match rest.first_chunk::<8>() {
        Some(chunk) => {
            let word = u64::from_le_bytes(*chunk);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends == 0 {
                let (value, len) = longest_varint(rest)?;
                *pos += len;
                return Ok(value);
            }
            *pos += ends.trailing_zeros() as usize / 8 + 1;
            Ok(seven_bits_each(word & (ends ^ (ends - 1))))
        }
        None => {
            let (value, len) = longest_varint(rest)?;
            *pos += len;
            Ok(value)
        }
    }
}

/// The number that the low seven bits of eight bytes make, the first the lowest.
#[inline(always)]
const fn seven_bits_each(word: u64) -> u64 {
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4
}

/// [`varint`] near the end of the input, or of nine and ten bytes: the value and its length. Returned and not written to a
/// position, which so can stay in a register.
#[cold]
#[inline(never)]
fn longest_varint(rest: &[u8]) -> Result<(u64, usize), DecodeErrorKind> {
    let mut value = 0u64;
    for (index, &byte) in rest.iter().take(MAX_VARINT_LEN).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    if rest.len() < MAX_VARINT_LEN {
        Err(DecodeErrorKind::Truncated)
    } else {
        Err(DecodeErrorKind::VarintTooLong)
    }
}

/// Reads a tag: a varint of at most 32 bits whose field number is not zero and whose wire type exists.
#[inline(always)]
pub(crate) fn read_tag(bytes: &[u8], pos: &mut usize) -> Result<u32, DecodeErrorKind> {
    let (tag, after) = match bytes.get(*pos) {
        Some(&byte) if byte < 0x80 => (u32::from(byte), *pos + 1),
        _ => long_tag(bytes, *pos)?,
    };
    *pos = after;
    check_tag(tag)?;
    Ok(tag)
}

/// Whether the field number is not zero and the wire type exists.
#[inline(always)]
pub(crate) fn check_tag(tag: u32) -> Result<(), DecodeErrorKind> {
    if tag < 8 || tag & 7 > 5 {
        return Err(DecodeErrorKind::InvalidTag);
    }
    Ok(())
}

/// A tag of more than one byte, and the position after it.
#[inline(always)]
pub(crate) fn long_tag(bytes: &[u8], pos: usize) -> Result<(u32, usize), DecodeErrorKind> {
    match bytes.get(pos..).and_then(<[u8]>::first_chunk::<2>) {
        Some(&[low, high]) if high < 0x80 => Ok((u32::from(low & 0x7f) | u32::from(high) << 7, pos + 2)),
        _ => longer_tag(bytes, pos),
    }
}

#[cold]
#[inline(never)]
fn longer_tag(bytes: &[u8], start: usize) -> Result<(u32, usize), DecodeErrorKind> {
    let mut pos = start;
    let value = varint(bytes, &mut pos)?;
    // Five bytes hold 32 bits; a longer tag is not one that any encoder writes.
    if pos - start > 5 {
        return Err(DecodeErrorKind::InvalidTag);
    }
    let tag = u32::try_from(value).map_err(|_| DecodeErrorKind::InvalidTag)?;
    Ok((tag, pos))
}

/// Reads a length and checks that so many bytes follow it. On success `*pos` is at the first of them.
#[inline(always)]
pub(crate) fn read_len(bytes: &[u8], pos: &mut usize) -> Result<usize, DecodeErrorKind> {
    let length = varint(bytes, pos)?;
    if length > (bytes.len() - *pos) as u64 {
        return Err(DecodeErrorKind::Truncated);
    }
    Ok(length as usize)
}

/// Reads a length-delimited value and moves `*pos` past it.
#[inline(always)]
pub(crate) fn read_bytes<'a>(bytes: &'a [u8], pos: &mut usize) -> Result<&'a [u8], DecodeErrorKind> {
    let length = read_len(bytes, pos)?;
    let start = *pos;
    *pos += length;
    bytes.get(start..*pos).ok_or(DecodeErrorKind::Truncated)
}

/// Reads four bytes, little endian.
#[inline(always)]
pub(crate) fn read_i32(bytes: &[u8], pos: &mut usize) -> Result<u32, DecodeErrorKind> {
    let value = bytes
        .get(*pos..)
        .and_then(<[u8]>::first_chunk::<4>)
        .ok_or(DecodeErrorKind::Truncated)?;
    *pos += 4;
    Ok(u32::from_le_bytes(*value))
}

/// Reads eight bytes, little endian.
#[inline(always)]
pub(crate) fn read_i64(bytes: &[u8], pos: &mut usize) -> Result<u64, DecodeErrorKind> {
    let value = bytes
        .get(*pos..)
        .and_then(<[u8]>::first_chunk::<8>)
        .ok_or(DecodeErrorKind::Truncated)?;
    *pos += 8;
    Ok(u64::from_le_bytes(*value))
}

/// Moves `*pos` past the value whose tag was just read. Groups nest at most `depth` deep.
#[inline]
pub(crate) fn skip_value(bytes: &[u8], pos: &mut usize, tag: u32, depth: u32) -> Result<(), DecodeErrorKind> {
    match WireType::of_tag(tag) {
        Some(WireType::Varint) => varint(bytes, pos).map(drop),
        Some(WireType::I64) => read_i64(bytes, pos).map(drop),
        Some(WireType::I32) => read_i32(bytes, pos).map(drop),
        Some(WireType::Len) => read_bytes(bytes, pos).map(drop),
        Some(WireType::StartGroup) => skip_group(bytes, pos, tag, depth),
        Some(WireType::EndGroup) => Err(DecodeErrorKind::UnexpectedEndGroup),
        None => Err(DecodeErrorKind::InvalidTag),
    }
}

/// Moves `*pos` past the fields of the group that `start` opened and its end.
fn skip_group(bytes: &[u8], pos: &mut usize, start: u32, depth: u32) -> Result<(), DecodeErrorKind> {
    let depth = depth.checked_sub(1).ok_or(DecodeErrorKind::TooDeep)?;
    let end = start + 1;
    loop {
        if *pos >= bytes.len() {
            return Err(DecodeErrorKind::Truncated);
        }
        let tag = read_tag(bytes, pos)?;
        if tag == end {
            return Ok(());
        }
        skip_value(bytes, pos, tag, depth)?;
    }
}

/// Appends `value` as a varint.
#[inline(always)]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes `value` takes as a varint: one to ten.
#[inline(always)]
pub(crate) const fn varint_len(value: u64) -> usize {
    // Nine bits of significance cost nine sixty-fourths of a byte more than eight: the usual closed form of ceil(bits / 7).
    ((value | 1).ilog2() as usize * 9 + 73) / 64
}

/// A signed number of 32 or 64 bits so that small magnitudes are small varints.
#[inline(always)]
pub(crate) const fn zigzag(value: i64) -> u64 {
    (value << 1) as u64 ^ (value >> 63) as u64
}

/// The inverse of [`zigzag`].
#[inline(always)]
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_each_length_survive_the_round_trip_and_know_their_length() {
        for bits in 0..64 {
            for value in [1u64 << bits, (1u64 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
                let mut pos = 0;
                assert_eq!(varint(&out, &mut pos), Ok(value));
                assert_eq!(pos, out.len());
                for cut in 0..out.len() {
                    assert_eq!(varint(&out[..cut], &mut 0), Err(DecodeErrorKind::Truncated));
                }
            }
        }
    }

    #[test]
    fn a_varint_of_eleven_bytes_is_refused() {
        assert_eq!(varint(&[0x80; 11], &mut 0), Err(DecodeErrorKind::VarintTooLong));
    }

    #[test]
    fn zigzag_is_its_own_inverse() {
        for value in [0, -1, 1, i64::MIN, i64::MAX, -64, 63] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
