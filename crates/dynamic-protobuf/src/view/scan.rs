//! Walks over the fields of one encoded message: every field in turn, or straight to those with a certain tag.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::wire::{self, WireType};

/// What is wrong with bytes, and the address of the byte: turned into an offset where the whole input is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: DecodeErrorKind,
    at: usize,
}

pub(crate) type Scan<T> = Result<T, Fault>;

impl Fault {
    #[cold]
    pub(crate) fn new(kind: DecodeErrorKind, bytes: &[u8], pos: usize) -> Self {
        Self {
            kind,
            at: bytes.as_ptr().addr() + pos,
        }
    }

    /// The error in an input that begins at address `base`.
    #[cold]
    pub(crate) fn error(self, base: usize) -> DecodeError {
        DecodeError::new(self.kind, self.at.wrapping_sub(base))
    }
}

/// A place in `bytes` where a value begins: behind its tag, or inside a packed list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) pos: usize,
}

/// One field as it stands on the wire, as offsets into the scanned bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) tag: u32,
    /// Of the tag.
    pub(crate) start: usize,
    /// Behind the tag: where a length stands, if there is one.
    pub(crate) value: usize,
    /// Of the payload.
    pub(crate) body: usize,
    /// Of the payload's end, which for groups is before the end tag.
    pub(crate) end: usize,
    /// Of the field that follows.
    pub(crate) next: usize,
}

impl Field {
    #[inline(always)]
    pub(crate) const fn number(&self) -> u32 {
        self.tag >> 3
    }
}

/// The fields between `pos` and the end of the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) pos: usize,
    pub(crate) depth: u32,
}

impl<'a> Fields<'a> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], depth: u32) -> Self {
        Self { bytes, pos: 0, depth }
    }

    #[inline(always)]
    pub(crate) fn next(&mut self) -> Scan<Option<Field>> {
        if self.pos >= self.bytes.len() {
            return Ok(None);
        }
        let (bytes, start) = (self.bytes, self.pos);
        let mut pos = start;
        let fault = |kind, pos| Fault::new(kind, bytes, pos);
        let tag = wire::read_tag(bytes, &mut pos).map_err(|kind| fault(kind, start))?;
        let value = pos;
        let (mut body, mut end) = (value, None);
        match tag & 7 {
            LEN => {
                let length = length(bytes, &mut pos).map_err(|kind| fault(kind, value))?;
                body = pos;
                pos += length;
            }
            START_GROUP => {
                let last = group(bytes, &mut pos, tag, self.depth).map_err(|kind| fault(kind, pos))?;
                end = Some(last);
            }
            _ => skip(bytes, &mut pos, tag, self.depth).map_err(|kind| fault(kind, value))?,
        }
        self.pos = pos;
        Ok(Some(Field {
            tag,
            start,
            value,
            body,
            end: end.unwrap_or(pos),
            next: pos,
        }))
    }
}

const VARINT: u32 = WireType::Varint as u32;
const LEN: u32 = WireType::Len as u32;
const START_GROUP: u32 = WireType::StartGroup as u32;

/// Moves `pos` behind the tag of the next field whose tag is `one` or `other`, after so many of them as `remaining`
/// says were passed by. `false` at the end of the bytes.
#[inline]
pub(crate) fn find(
    bytes: &[u8],
    pos: &mut usize,
    (one, other): (u32, u32),
    remaining: &mut usize,
    depth: u32,
) -> Scan<bool> {
    let mut at = *pos;
    while at < bytes.len() {
        let start = at;
        let tag = wire::read_tag(bytes, &mut at).map_err(|kind| Fault::new(kind, bytes, start))?;
        if tag == one || tag == other {
            let Some(less) = remaining.checked_sub(1) else {
                *pos = at;
                return Ok(true);
            };
            *remaining = less;
        }
        skip(bytes, &mut at, tag, depth).map_err(|kind| Fault::new(kind, bytes, at))?;
    }
    *pos = at;
    Ok(false)
}

/// A length, after checking that so many bytes follow it. Most take one or two bytes.
#[inline(always)]
pub(crate) fn length(bytes: &[u8], pos: &mut usize) -> Result<usize, DecodeErrorKind> {
    let length = match bytes.get(*pos..) {
        Some(&[low, ..]) if low < 0x80 => {
            *pos += 1;
            usize::from(low)
        }
        Some(&[low, high, ..]) if high < 0x80 => {
            *pos += 2;
            usize::from(low & 0x7f) | usize::from(high) << 7
        }
        _ => return wire::read_len(bytes, pos),
    };
    if length > bytes.len() - *pos {
        return Err(DecodeErrorKind::Truncated);
    }
    Ok(length)
}

/// Moves `pos` past the value behind `tag`.
#[inline(always)]
pub(crate) fn skip(bytes: &[u8], pos: &mut usize, tag: u32, depth: u32) -> Result<(), DecodeErrorKind> {
    match tag & 7 {
        LEN => {
            let length = length(bytes, pos)?;
            *pos += length;
            Ok(())
        }
        VARINT => wire::varint(bytes, pos).map(drop),
        _ => wire::skip_value(bytes, pos, tag, depth),
    }
}

/// Moves `pos` past the group that `start` opened, and returns where its end tag begins.
#[inline(never)]
pub(crate) fn group(bytes: &[u8], pos: &mut usize, start: u32, depth: u32) -> Result<usize, DecodeErrorKind> {
    let depth = depth.checked_sub(1).ok_or(DecodeErrorKind::TooDeep)?;
    loop {
        let end = *pos;
        if end >= bytes.len() {
            return Err(DecodeErrorKind::Truncated);
        }
        let tag = wire::read_tag(bytes, pos)?;
        if tag == start + 1 {
            return Ok(end);
        }
        skip(bytes, pos, tag, depth)?;
    }
}

/// The payload of the message or group whose tag ends at `at`.
#[inline]
pub(crate) fn body<'a>(at: At<'a>, tag: u32, depth: u32) -> Scan<(&'a [u8], usize)> {
    let At { bytes, mut pos } = at;
    let start = pos;
    if tag & 7 == LEN {
        let length = length(bytes, &mut pos).map_err(|kind| Fault::new(kind, bytes, start))?;
        return Ok((bytes.get(pos..pos + length).unwrap_or_default(), pos + length));
    }
    let end = group(bytes, &mut pos, tag, depth).map_err(|kind| Fault::new(kind, bytes, start))?;
    Ok((bytes.get(start..end).unwrap_or_default(), pos))
}
