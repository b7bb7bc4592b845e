//! Eight bytes of text at a time: which of them JSON writes in a way of their own.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Sets the high bit at least of the first byte that is `"`, `\`, a control character or not ASCII; zero when none is.
#[inline(always)]
pub(super) const fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (word | control | quote | backslash) & HIGH
}

/// Like [`special`], but lets bytes that are not ASCII pass.
#[inline(always)]
pub(super) const fn escaped(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quoted = word ^ (ONES * b'"' as u64);
    let slashed = word ^ (ONES * b'\\' as u64);
    (control | quoted.wrapping_sub(ONES) & !quoted | slashed.wrapping_sub(ONES) & !slashed) & HIGH
}

/// Marks at least the first byte that is a quote, brace or bracket; zero when none is.
#[inline(always)]
pub(super) const fn structural(word: u64) -> u64 {
    // A bracket is a brace without the bit of small letters.
    let folded = word | (ONES * 0x20);
    let opening = folded ^ (ONES * b'{' as u64);
    let closing = folded ^ (ONES * b'}' as u64);
    let quote = word ^ (ONES * b'"' as u64);
    (opening.wrapping_sub(ONES) & !opening
        | closing.wrapping_sub(ONES) & !closing
        | quote.wrapping_sub(ONES) & !quote)
        & HIGH
}

/// Which bytes are not ASCII.
#[inline(always)]
pub(super) const fn not_ascii(word: u64) -> u64 {
    word & HIGH
}

/// The first `count` bytes of `word`, the others filled with spaces, which are never special.
#[inline(always)]
pub(super) const fn first(word: u64, count: usize) -> u64 {
    if count >= 8 {
        return word;
    }
    let mask = (1u64 << (8 * count)) - 1;
    word & mask | (ONES * b' ' as u64) & !mask
}

/// The eight bytes at `at`; bytes past the end are spaces.
#[inline(always)]
pub(super) fn load(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => load_end(bytes, at),
    }
}

#[inline]
fn load_end(bytes: &[u8], at: usize) -> u64 {
    let mut chunk = [b' '; 8];
    let rest = bytes.get(at..).unwrap_or_default();
    for (cell, byte) in chunk.iter_mut().zip(rest) {
        *cell = *byte;
    }
    u64::from_le_bytes(chunk)
}

/// Whether slices of equal length are equal, with a few overlapping loads instead of a call where they are short.
#[inline(always)]
pub(super) fn equal_short(one: &[u8], other: &[u8]) -> bool {
    match one.len() {
        4..=8 => {
            one.first_chunk::<4>() == other.first_chunk::<4>()
                && one.last_chunk::<4>() == other.last_chunk::<4>()
        }
        9..=16 => {
            one.first_chunk::<8>() == other.first_chunk::<8>()
                && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        17..=32 => {
            one.first_chunk::<16>() == other.first_chunk::<16>()
                && one.last_chunk::<16>() == other.last_chunk::<16>()
        }
        _ => one == other,
    }
}

/// How many bytes stand before the first that `found` marks.
#[inline(always)]
pub(super) const fn before(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_special_or_not_wherever_it_stands() {
        for byte in 0..=255u8 {
            let plain = (0x20..0x80).contains(&byte) && byte != b'"' && byte != b'\\';
            let escape = byte < 0x20 || byte == b'"' || byte == b'\\';
            for at in 0..8 {
                for fill in [b'a', b' ', b'~', b'#', b']', b'!', 0x7f] {
                    let mut chunk = [fill; 8];
                    chunk[at] = byte;
                    let word = u64::from_le_bytes(chunk);
                    assert_eq!(special(word) == 0, plain, "{byte:#x}");
                    assert_eq!(escaped(word) == 0, !escape, "{byte:#x}");
                    let found = structural(word);
                    let bracket = b"\"[]{}".contains(&byte);
                    if b"\"[]{}".contains(&fill) {
                        assert_eq!(before(found), if at == 0 && !bracket { 1 } else { 0 });
                    } else if bracket {
                        assert_eq!(before(found), at);
                    } else {
                        assert_eq!(found, 0, "{byte:#x}");
                    }
                    if !plain {
                        assert_eq!(before(special(word)), at, "{byte:#x}");
                    }
                    if escape {
                        assert_eq!(before(escaped(word)), at, "{byte:#x}");
                    }
                }
            }
        }
    }
}
