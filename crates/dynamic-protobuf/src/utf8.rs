//! Whether bytes are UTF-8, quick for the short ASCII strings that messages are full of.

/// Inputs at least this long gain from the vectorised validator.
const LONG: usize = 64;

/// Whether `bytes` are valid UTF-8.
#[inline]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    if bytes.len() >= LONG {
        return simdutf8::basic::from_utf8(bytes).is_ok();
    }
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut any = 0u64;
    for chunk in chunks {
        any |= u64::from_le_bytes(*chunk);
    }
    let mut tail = 0u8;
    for byte in rest {
        tail |= byte;
    }
    (any & 0x8080_8080_8080_8080 == 0 && tail < 0x80) || std::str::from_utf8(bytes).is_ok()
}
