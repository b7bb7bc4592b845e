//! What one direction holds back: bytes that its reader does not take yet, and bytes that may not go on yet.

use bytes::{Buf as _, Bytes};

/// Bytes that wait. It holds memory only while there are any.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: Vec<u8>,
    /// So many of `bytes` have been written.
    written: usize,
    /// So many of `bytes` may be written; those behind have not been judged. Never below `written`.
    passed: usize,
    /// What is left of a frame that many sessions share, before all of `bytes`, of which nothing is to be written then. A
    /// box, as few sessions have one.
    shared: Option<Box<Bytes>>,
}

impl Backlog {
    /// A backlog of bytes that have not been judged.
    pub(crate) fn unjudged(bytes: Bytes) -> Self {
        Self {
            bytes: bytes.into(),
            ..Self::default()
        }
    }

    /// What is to be written.
    pub(crate) fn to_write(&self) -> &[u8] {
        match &self.shared {
            Some(shared) => shared,
            None => &self.bytes[self.written..self.passed],
        }
    }

    /// What has not been judged.
    pub(crate) fn to_judge(&self) -> &[u8] {
        &self.bytes[self.passed..]
    }

    /// Notes that `count` bytes were written.
    pub(crate) fn wrote(&mut self, count: usize) {
        if let Some(shared) = &mut self.shared {
            shared.advance(count);
            self.shared.take_if(|shared| shared.is_empty());
            return;
        }
        self.written += count;
        debug_assert!(self.written <= self.passed, "only what may be written is");
        self.free_if_empty();
    }

    /// Forgets what is to be written: nobody takes it.
    pub(crate) fn forget_to_write(&mut self) {
        self.shared = None;
        self.written = self.passed;
        self.free_if_empty();
    }

    fn free_if_empty(&mut self) {
        if self.written == self.bytes.len() {
            *self = Self::default();
        }
    }

    /// Puts a frame before what has not been judged. Everything before has been written.
    pub(crate) fn inject(&mut self, frame: &[u8]) {
        debug_assert!(self.to_write().is_empty(), "frames go in at boundaries");
        let bytes = [frame, self.to_judge()].concat();
        *self = Self {
            bytes,
            passed: frame.len(),
            ..Self::default()
        };
    }

    /// The same with the rest of a frame that has begun to be written, and is not copied.
    pub(crate) fn inject_shared(&mut self, rest: Bytes) {
        debug_assert!(self.to_write().is_empty(), "frames go in at boundaries");
        self.shared = Some(Box::new(rest));
    }

    /// Keeps what is to be written and, behind it, what has not been judged. There was nothing.
    pub(crate) fn keep(&mut self, to_write: &[u8], to_judge: &[u8]) {
        debug_assert!(self.bytes.is_empty(), "what was there has been taken");
        *self = Self {
            bytes: [to_write, to_judge].concat(),
            passed: to_write.len(),
            ..Self::default()
        };
    }

    /// Takes out what has not been judged. Nothing is to be written.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        debug_assert!(self.to_write().is_empty(), "what may be written is, first");
        let mut bytes = std::mem::take(self);
        bytes.bytes.drain(..bytes.passed);
        bytes.bytes
    }

    /// Moves what has not been judged to the beginning of `buffer`, which has room for it.
    pub(crate) fn take_into(&mut self, buffer: &mut [u8]) -> usize {
        let length = self.to_judge().len();
        buffer[..length].copy_from_slice(self.to_judge());
        *self = Self::default();
        length
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
