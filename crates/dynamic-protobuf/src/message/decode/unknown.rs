//! Unknown fields: spans of the source, or of what decoding had to add.

use super::super::arena::{Arena, List, pack, unpack};
use super::{Decoder, Frame};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::wire;

impl Decoder<'_> {
    /// Keeps a span of the source as unknown field.
    pub(super) fn unknown_span(&mut self, frame: Frame, start: usize, end: usize) -> Result<(), DecodeError> {
        let list_at = Arena::unknown_at(frame.node);
        let list = List::from_word(self.arena.word(list_at));
        if let Some(last) = list.len.checked_sub(1) {
            let last_at = list.at + last;
            let (offset, len) = unpack(self.arena.word(last_at));
            if offset as usize + len as usize == start {
                self.arena
                    .set_word(last_at, pack(offset, len + (end - start) as u32));
                return Ok(());
            }
        }
        self.elements = self
            .elements
            .checked_sub(1)
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::TooManyElements, start))?;
        let span = pack(start as u32, (end - start) as u32);
        self.arena
            .extend_list(list_at, &[span], 1)
            .map_err(|kind| DecodeError::new(kind, start))
    }

    /// Keeps a number as unknown field that has no span of its own in the source.
    pub(super) fn unknown_number(&mut self, frame: Frame, tag: u32, number: u64) -> Result<(), DecodeError> {
        let start = self.source_len + self.added.len();
        wire::put_varint(self.added, u64::from(tag));
        wire::put_varint(self.added, number);
        let end = self.source_len + self.added.len();
        self.unknown_span(frame, start, end)
    }
}
