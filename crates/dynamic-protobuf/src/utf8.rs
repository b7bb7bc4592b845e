//! Whether bytes are UTF-8, quick for the short ASCII strings that messages are full of.

/// Inputs at least this long gain from the vectorised validator.
const LONG: usize = 64;
/// The highest bit of each of eight bytes: set in none of them when all are ASCII.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Whether `bytes` are valid UTF-8.
#[inline(always)]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    bytes.len() < LONG && is_ascii(bytes) || is_valid_beyond_ascii(bytes)
}

/// Whether no byte has its highest bit set.
#[inline(always)]
pub(crate) fn is_ascii(bytes: &[u8]) -> bool {
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        // The two may overlap: a byte that is looked at twice is as good as once.
        (Some(first), Some(last)) if bytes.len() <= 16 => {
            (u64::from_le_bytes(*first) | u64::from_le_bytes(*last)) & HIGH == 0
        }
        (Some(_), Some(last)) => {
            let mut any = u64::from_le_bytes(*last);
            for chunk in bytes.as_chunks::<8>().0 {
                any |= u64::from_le_bytes(*chunk);
            }
            any & HIGH == 0
        }
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first) | u32::from_le_bytes(*last)) & HIGH as u32 == 0
            }
            _ => bytes.iter().all(u8::is_ascii),
        },
    }
}

#[inline(never)]
fn is_valid_beyond_ascii(bytes: &[u8]) -> bool {
    if bytes.len() >= LONG {
        simdutf8::basic::from_utf8(bytes).is_ok()
    } else {
        std::str::from_utf8(bytes).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn a_byte_beyond_ascii_is_noticed_at_each_place_of_each_length() {
        for len in 0..200 {
            let mut bytes = vec![b'a'; len];
            assert!(is_valid(&bytes));
            for at in 0..len {
                bytes[at] = 0xff;
                assert!(!is_valid(&bytes), "{at} of {len}");
                bytes[at] = b'a';
            }
        }
        assert!(is_valid("aé".as_bytes()) && is_valid("é".repeat(40).as_bytes()));
    }
}
