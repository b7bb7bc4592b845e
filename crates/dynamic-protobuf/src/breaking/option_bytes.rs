//! Options that `descriptor` keeps as bytes only: read by number, the last occurrence wins.

use crate::limits::Limits;
use crate::wire::{self, WireType};

/// The value of the last varint field `number`.
pub(super) fn number(encoded: &[u8], number: u32) -> Option<u64> {
    last(encoded, number, |value| match value {
        Value::Number(number) => Some(number),
        Value::Bytes(_) => None,
    })
}

/// The value of the last boolean field `number`.
pub(super) fn bool(encoded: &[u8], number: u32) -> Option<bool> {
    self::number(encoded, number).map(|value| value != 0)
}

/// The value of the last length-delimited field `number`.
pub(super) fn bytes(encoded: &[u8], number: u32) -> Option<&[u8]> {
    last(encoded, number, |value| match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Number(_) => None,
    })
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn last<'a, T>(encoded: &'a [u8], number: u32, read: impl Fn(Value<'a>) -> Option<T>) -> Option<T> {
    let (mut found, mut pos) = (None, 0);
    // The set was decoded before, so what ends early here is what others put into a set by hand: it tells nothing more.
    while let Some((at, value)) = next(encoded, &mut pos) {
        if at == number
            && let Some(value) = value.and_then(&read)
        {
            found = Some(value);
        }
    }
    found
}

fn next<'a>(encoded: &'a [u8], pos: &mut usize) -> Option<(u32, Option<Value<'a>>)> {
    if *pos >= encoded.len() {
        return None;
    }
    let tag = wire::read_tag(encoded, pos).ok()?;
    let value = match WireType::of_tag(tag) {
        Some(WireType::Varint) => Some(Value::Number(wire::varint(encoded, pos).ok()?)),
        Some(WireType::Len) => Some(Value::Bytes(wire::read_bytes(encoded, pos).ok()?)),
        _ => {
            wire::skip_value(encoded, pos, tag, Limits::DEFAULT_DEPTH).ok()?;
            None
        }
    };
    Some((tag >> 3, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_occurrence_wins_and_broken_bytes_are_no_option() {
        let encoded = [0x08, 1, 0x12, 1, b'a', 0x08, 2, 0x12, 9];
        assert_eq!(number(&encoded, 1), Some(2));
        assert_eq!(bytes(&encoded, 2), Some(b"a".as_slice()));
        assert_eq!(bool(&encoded, 3), None);
        assert_eq!(number(&[0x80], 1), None);
    }
}
