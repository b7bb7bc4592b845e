//! The buffer that both directions write into: room is made first, then bytes are stored in whole words.
//!
//! The bytes behind `at` are scratch. So a short string can be copied eight bytes at a time past its end, which costs a
//! fraction of a call to `memcpy`.

/// How much is made room for at least.
const LEAST_ROOM: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    /// What is written ends here.
    at: usize,
}

impl Out {
    /// Appends to `bytes`; `expected` more are likely.
    pub(super) fn after(mut bytes: Vec<u8>, expected: usize) -> Self {
        let at = bytes.len();
        bytes.resize(at + expected, 0);
        Self { bytes, at }
    }

    /// What was there and what was written.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes
    }

    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Forgets what was written from `at` on.
    #[inline(always)]
    pub(super) fn back_to(&mut self, at: usize) {
        debug_assert!(at <= self.at);
        self.at = at;
    }

    /// What was written from `from` on.
    pub(super) fn since(&self, from: usize) -> &[u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    /// The next `n` bytes, to be written and then counted with [`advance`](Self::advance).
    #[inline(always)]
    pub(super) fn room(&mut self, n: usize) -> &mut [u8] {
        if self.bytes.len() - self.at < n {
            self.grow(n);
        }
        &mut self.bytes[self.at..self.at + n]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, n: usize) {
        let need = self.at + n.max(LEAST_ROOM);
        let twice = self.bytes.len().saturating_mul(2);
        self.bytes.resize(need.max(twice), 0);
    }

    /// Counts `n` bytes of the room as written.
    #[inline(always)]
    pub(super) fn advance(&mut self, n: usize) {
        debug_assert!(self.at + n <= self.bytes.len());
        self.at += n;
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        self.room(1)[0] = byte;
        self.at += 1;
    }

    /// Replaces a byte that was written already.
    #[inline(always)]
    pub(super) fn set(&mut self, at: usize, byte: u8) {
        if let Some(cell) = self.bytes.get_mut(at) {
            *cell = byte;
        }
    }

    /// Appends bytes, quickly when they are few.
    #[inline(always)]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        copy_short(self.room(bytes.len()), bytes);
        self.at += bytes.len();
    }

    /// Appends `value` as a varint.
    #[inline(always)]
    pub(super) fn varint(&mut self, value: u64) {
        if value < 0x80 {
            self.byte(value as u8);
        } else {
            self.long_varint(value);
        }
    }

    #[inline]
    fn long_varint(&mut self, mut value: u64) {
        let room = self.room(crate::wire::MAX_VARINT_LEN);
        let mut written = 0;
        for cell in room {
            written += 1;
            if value < 0x80 {
                *cell = value as u8;
                break;
            }
            *cell = value as u8 | 0x80;
            value >>= 7;
        }
        self.at += written;
    }

    /// Moves what was written from `from` on by so many bytes to `to`, either way.
    pub(super) fn shift(&mut self, from: usize, to: usize) {
        let end = self.at + to.saturating_sub(from);
        if end > self.bytes.len() {
            self.grow(end - self.at);
        }
        self.bytes.copy_within(from..self.at, to);
        self.at = self.at + to - from;
    }

    /// Writes `value` as a varint of its shortest form over what stands at `at`, without moving the end.
    pub(super) fn set_varint(&mut self, mut at: usize, mut value: u64) {
        while value >= 0x80 {
            self.set(at, value as u8 | 0x80);
            value >>= 7;
            at += 1;
        }
        self.set(at, value as u8);
    }
}

/// Copies between slices of equal length with two overlapping stores where that is enough.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    match from.len() {
        8..=16 => {
            if let (Some(head), Some(tail)) = (from.first_chunk::<8>(), from.last_chunk::<8>()) {
                let end = to.len() - 8;
                to[..8].copy_from_slice(head);
                to[end..].copy_from_slice(tail);
            }
        }
        4..=7 => {
            if let (Some(head), Some(tail)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
                let end = to.len() - 4;
                to[..4].copy_from_slice(head);
                to[end..].copy_from_slice(tail);
            }
        }
        17..=32 => {
            if let (Some(head), Some(tail)) = (from.first_chunk::<16>(), from.last_chunk::<16>()) {
                let end = to.len() - 16;
                to[..16].copy_from_slice(head);
                to[end..].copy_from_slice(tail);
            }
        }
        _ => to.copy_from_slice(from),
    }
}
