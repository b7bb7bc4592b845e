//! Passes over fields as they mostly are, in as few steps as can be. `None` stands for all that is not so simple, errors
//! among it: who gets it takes the way that knows everything.

use crate::wire::{self, WireType};

const VARINT: u32 = WireType::Varint as u32;
const I64: u32 = WireType::I64 as u32;
const LEN: u32 = WireType::Len as u32;
const I32: u32 = WireType::I32 as u32;

/// The tag at `pos`, which moves behind it.
#[inline(always)]
pub(crate) fn tag(bytes: &[u8], pos: &mut usize) -> Option<u32> {
    let first = *bytes.get(*pos)?;
    if first < 0x80 {
        *pos += 1;
        return Some(u32::from(first));
    }
    wire::read_tag(bytes, pos).ok()
}

/// Moves `pos` behind a value, maybe behind the end of the bytes.
#[inline(always)]
pub(crate) fn skip(bytes: &[u8], pos: &mut usize, tag: u32) -> Option<()> {
    match tag & 7 {
        LEN => {
            let length = length(bytes, pos)?;
            *pos += length;
        }
        VARINT => {
            wire::varint(bytes, pos).ok()?;
        }
        I64 => *pos += 8,
        I32 => *pos += 4,
        _ => return None,
    }
    (tag >= 8).then_some(())
}

/// A length; below 2 GiB, so that positions do not overflow.
#[inline(always)]
pub(crate) fn length(bytes: &[u8], pos: &mut usize) -> Option<usize> {
    match bytes.get(*pos..)? {
        [low, ..] if *low < 0x80 => {
            *pos += 1;
            Some(usize::from(*low))
        }
        [low, high, ..] if *high < 0x80 => {
            *pos += 2;
            Some(usize::from(low & 0x7f) | usize::from(*high) << 7)
        }
        _ => long_length(bytes, pos),
    }
}

#[inline(never)]
fn long_length(bytes: &[u8], pos: &mut usize) -> Option<usize> {
    wire::read_len(bytes, pos).ok()
}
