//! UTF-8 decode: invalid sequences become U+FFFD, and one byte order mark at the beginning goes.

use crate::Text;
use bytes::Bytes;

const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// A character is at most four bytes long, so that three may wait for their end.
const MAX_PENDING_BYTES: usize = 3;

/// Decodes chunks whose ends may split characters.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character, valid as far as it goes.
    pending: [u8; MAX_PENDING_BYTES + 1],
    pending_bytes: usize,
    has_started: bool,
}

impl Decoder {
    /// Decodes `chunk`; a character that began in an earlier chunk is appended to `before`.
    pub(super) fn decode(&mut self, chunk: Bytes, before: &mut String) -> Text {
        if chunk.is_empty() {
            return Text::EMPTY;
        }
        let taken = self.complete_pending(&chunk, before);
        let mut rest = match taken {
            0 => chunk,
            taken => chunk.slice(taken..),
        };
        let suffix = incomplete_suffix(&rest);
        if suffix > 0 {
            let split = rest.split_off(rest.len() - suffix);
            self.pending[..suffix].copy_from_slice(&split);
            self.pending_bytes = suffix;
        }
        let text = Text::from_utf8(rest.clone()).unwrap_or_else(|| replaced(&rest));
        self.without_mark(text)
    }

    /// The bytes that wait for the rest of their character.
    pub(super) fn pending(&self) -> &[u8] {
        self.pending.get(..self.pending_bytes).unwrap_or_default()
    }

    pub(super) fn forget_pending(&mut self) {
        self.pending_bytes = 0;
    }

    /// Ends the pending character with the first bytes of `chunk`; how many were taken.
    fn complete_pending(&mut self, chunk: &[u8], before: &mut String) -> usize {
        let mut taken = 0;
        while self.pending_bytes > 0
            && let Some(byte) = chunk.get(taken)
        {
            self.pending[self.pending_bytes] = *byte;
            let candidate = &self.pending[..=self.pending_bytes];
            let character = match std::str::from_utf8(candidate) {
                Ok(character) => character.chars().next(),
                Err(error) if error.error_len().is_none() => {
                    self.pending_bytes += 1;
                    taken += 1;
                    continue;
                }
                // The byte does not belong to the character and is looked at again.
                Err(_) => None,
            };
            taken += usize::from(character.is_some());
            self.pending_bytes = 0;
            self.append(character.unwrap_or(char::REPLACEMENT_CHARACTER), before);
        }
        taken
    }

    fn append(&mut self, character: char, before: &mut String) {
        if self.has_started || character != BYTE_ORDER_MARK {
            before.push(character);
        }
        self.has_started = true;
    }

    fn without_mark(&mut self, text: Text) -> Text {
        if self.has_started || text.is_empty() {
            return text;
        }
        self.has_started = true;
        match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => text.slice(rest),
            None => text,
        }
    }
}

fn replaced(bytes: &[u8]) -> Text {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// How many bytes at the end begin a character that later bytes may complete.
fn incomplete_suffix(bytes: &[u8]) -> usize {
    let is_incomplete = |length: &usize| {
        let start = bytes.len().checked_sub(*length);
        let suffix = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
        let error = std::str::from_utf8(suffix).err();
        error.is_some_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    match bytes.last() {
        Some(last) if !last.is_ascii() => (1..=MAX_PENDING_BYTES).find(is_incomplete).unwrap_or(0),
        _ => 0,
    }
}
