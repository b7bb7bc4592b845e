//! Lines out of chunks: they end in CRLF, LF or CR, wherever the chunks end.

use super::decoder::Decoder;
use super::limits::{Limits, ParseError};
use crate::Text;
use bytes::{Buf, Bytes};
use memchr::memchr2;

/// A line that spans chunks and is longer becomes a text of its own; of a shorter one, what it says is copied out of a buffer
/// that is used again.
const LONG_BYTES: usize = 1024;

/// Finds lines. A line inside one chunk is a piece of it; one that spans chunks is joined.
#[derive(Debug)]
pub(super) struct Lines {
    decoder: Decoder,
    /// The text that is looked at, and how far.
    chunk: Text,
    position: usize,
    /// A line of the chunk ends in CR, and so will others.
    has_carriage_return: bool,
    /// Where the line begins of which is known that it has no end in the chunk.
    unfinished: usize,
    /// The last line ended in CR: an LF that comes next belongs to it.
    skips_line_feed: bool,
    /// The beginning of a line whose end is not there yet, or the whole of the last line that was joined.
    buffer: String,
    is_buffer_ended: bool,
    /// The last line that was joined, if it was long.
    joined: Text,
    /// How long that was: a long line is most often as long as the one before.
    usual_bytes: usize,
    /// How many lines, or events at once, have ended.
    #[cfg(feature = "client")]
    ended: u64,
    limit: usize,
}

/// One line without its end.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    /// What `text` is a piece of; `None` if it lies in a buffer that is used again.
    source: Option<&'a Text>,
}

impl<'a> Line<'a> {
    /// What the line ends with, from this place on.
    #[inline]
    pub(super) fn from(&self, at: usize) -> &'a str {
        self.text.get(at..).unwrap_or_default()
    }

    /// Keeps a piece of the line.
    #[inline]
    pub(super) fn keep(&self, part: &str) -> Text {
        self.source
            .map_or_else(|| part.into(), |source| source.slice(part))
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new(Limits::DEFAULT_LINE_BYTES)
    }
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            decoder: Decoder::default(),
            chunk: Text::EMPTY,
            position: 0,
            has_carriage_return: false,
            unfinished: usize::MAX,
            skips_line_feed: false,
            buffer: String::new(),
            is_buffer_ended: false,
            joined: Text::EMPTY,
            usual_bytes: 0,
            #[cfg(feature = "client")]
            ended: 0,
            limit,
        }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.forget_ended();
        let chunk = match self.unread() {
            "" => self.extend_line(chunk),
            unread => {
                let pending = self.decoder.pending();
                let joined = unread
                    .bytes()
                    .chain(pending.iter().copied())
                    .chain(chunk)
                    .collect();
                self.decoder.forget_pending();
                joined
            }
        };
        self.chunk = self.decoder.decode(chunk, &mut self.buffer);
        self.position = 0;
        self.has_carriage_return = false;
        self.unfinished = usize::MAX;
    }

    /// Inside a line, takes what belongs to it off the chunk, straight into the buffer.
    fn extend_line(&mut self, mut chunk: Bytes) -> Bytes {
        if !self.is_inside_line() || !self.decoder.pending().is_empty() {
            return chunk;
        }
        let end = memchr2(b'\n', b'\r', &chunk).unwrap_or(chunk.len());
        // What is not valid by itself, at its end perhaps, is the decoder's business.
        if let Ok(text) = simdutf8::basic::from_utf8(chunk.get(..end).unwrap_or_default()) {
            self.buffer.push_str(text);
            chunk.advance(end);
        }
        chunk
    }

    /// The next line that has an end.
    pub(super) fn next_line(&mut self) -> Result<Option<Line<'_>>, ParseError> {
        self.forget_ended();
        self.skip_line_feed();
        let unread = self.unread().as_bytes();
        let end = match self.position >= self.unfinished {
            true => None,
            false => memchr2(b'\n', b'\r', unread),
        };
        self.check(end.unwrap_or(unread.len()))?;
        let Some(length) = end else {
            self.hold_unread();
            return Ok(None);
        };
        self.skips_line_feed = unread.get(length) == Some(&b'\r');
        let start = self.position;
        self.go_to(start + length + 1);
        Ok(Some(self.line(start, start + length)))
    }

    /// The chunk and the position in it, if what comes next is the beginning of a line, and no line here is known to end in CR.
    #[inline(always)]
    pub(super) fn plain(&self) -> Option<(&Text, usize)> {
        let has_begun = self.skips_line_feed || !(self.buffer.is_empty() || self.is_buffer_ended);
        (!self.has_carriage_return && !has_begun).then_some((&self.chunk, self.position))
    }

    /// The chunk that is looked at.
    #[inline]
    pub(super) fn chunk(&self) -> &Text {
        &self.chunk
    }

    /// Remembers that a line of this chunk ends in CR.
    pub(super) fn has_carriage_return(&mut self) {
        self.has_carriage_return = true;
    }

    /// Remembers that the line that begins here has no end in this chunk.
    pub(super) fn is_unfinished_from(&mut self, position: usize) {
        self.unfinished = position;
    }

    /// Goes behind the end of a line.
    #[inline]
    pub(super) fn go_to(&mut self, position: usize) {
        self.position = position;
        #[cfg(feature = "client")]
        {
            self.ended += 1;
        }
    }

    /// Whether a line has begun and not ended.
    pub(super) fn is_inside_line(&self) -> bool {
        !self.buffer.is_empty() && !self.is_buffer_ended
    }

    /// Another number whenever a line has ended.
    #[cfg(feature = "client")]
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    fn line(&mut self, start: usize, end: usize) -> Line<'_> {
        let text = self.chunk.get(start..end).unwrap_or_default();
        if self.buffer.is_empty() {
            return Line {
                text,
                source: Some(&self.chunk),
            };
        }
        self.buffer.push_str(text);
        if self.buffer.len() > LONG_BYTES {
            self.usual_bytes = self.buffer.len();
            self.joined = std::mem::take(&mut self.buffer).into();
            return Line {
                text: &self.joined,
                source: Some(&self.joined),
            };
        }
        self.is_buffer_ended = true;
        Line {
            text: &self.buffer,
            source: None,
        }
    }

    fn unread(&self) -> &str {
        self.chunk.get(self.position..).unwrap_or_default()
    }

    fn check(&self, more: usize) -> Result<(), ParseError> {
        match self.buffer.len() + more > self.limit {
            true => Err(ParseError::LineTooLong { limit: self.limit }),
            false => Ok(()),
        }
    }

    /// Lets go of the last line that was joined.
    fn forget_ended(&mut self) {
        if self.is_buffer_ended {
            self.buffer.clear();
            self.is_buffer_ended = false;
        }
        if !self.joined.is_empty() {
            self.joined = Text::EMPTY;
        }
    }

    fn skip_line_feed(&mut self) {
        if !self.skips_line_feed {
            return;
        }
        let (is_between_lines, unread) = (self.buffer.is_empty(), self.unread());
        if is_between_lines && unread.is_empty() {
            return;
        }
        if is_between_lines && unread.starts_with('\n') {
            self.position += 1;
        }
        self.skips_line_feed = false;
    }

    /// Keeps the beginning of a line and lets go of the chunk.
    fn hold_unread(&mut self) {
        let chunk = std::mem::take(&mut self.chunk);
        let unread = chunk.get(self.position..).unwrap_or_default();
        if unread.len() > LONG_BYTES {
            let usual = self.usual_bytes.saturating_sub(self.buffer.len());
            self.buffer.reserve(usual.max(unread.len()));
        }
        self.buffer.push_str(unread);
        self.position = 0;
        self.unfinished = usize::MAX;
    }
}
