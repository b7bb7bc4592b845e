//! Text that is cheap to clone: most often a piece of the chunk it arrived in.

use bytes::Bytes;
use faststr::FastStr;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Immutable UTF-8. A clone counts a reference and copies no more than three words.
///
/// A text may keep the whole chunk alive that it arrived in (as much as a read buffer, some tens of KiB). Whoever keeps a few
/// texts for long, and not the stream they belong to, calls [`Text::detached`].
#[derive(Clone)]
pub struct Text(Repr);

// Words of equal size, and no short text in place: moving those about costs more than counting references.
#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Piece {
        source: Arc<Source>,
        start: usize,
        end: usize,
    },
}

enum Source {
    Chunk(FastStr),
    Own(String),
}

impl Text {
    /// No text.
    pub const EMPTY: Self = Self::from_static("");

    /// Text that lives as long as the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }

    /// The text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Piece { source, start, end } => source.as_str().get(*start..*end).unwrap_or_default(),
        }
    }

    /// The bytes, most often without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Static(text) => Bytes::from_static(text.as_bytes()),
            Repr::Piece { source, start, end } => Source::into_bytes(source, start, end),
        }
    }

    /// The same text in memory of its own.
    #[must_use]
    pub fn detached(&self) -> Self {
        match &self.0 {
            Repr::Piece {
                source,
                start: 0,
                end,
            } if source.is_own(*end) => self.clone(),
            Repr::Static(_) => self.clone(),
            Repr::Piece { .. } => self.as_str().into(),
        }
    }

    /// `part`, which is a piece of this text; without a copy.
    #[inline]
    pub(crate) fn slice(&self, part: &str) -> Self {
        if let Repr::Piece { source, .. } = &self.0 {
            let whole = source.as_str();
            // Of what is not a piece of it, this is past the end.
            let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
            let end = start.wrapping_add(part.len());
            if start <= end && end <= whole.len() {
                return Self(Repr::Piece {
                    source: source.clone(),
                    start,
                    end,
                });
            }
        }
        part.into()
    }

    /// What is at this place of the text, which has one there.
    #[inline]
    pub(crate) fn piece(&self, place: Range<usize>) -> Self {
        let offset = self.offset();
        self.beside(offset + place.start..offset + place.end)
    }

    /// Where the text begins in what it is a piece of.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        match self.0 {
            Repr::Static(_) => 0,
            Repr::Piece { start, .. } => start,
        }
    }

    /// What is at this place of what the text is a piece of; nothing if it is past its end.
    #[inline]
    pub(crate) fn beside(&self, place: Range<usize>) -> Self {
        match &self.0 {
            Repr::Static(_) => Self::EMPTY,
            Repr::Piece { source, .. } => Self(Repr::Piece {
                source: source.clone(),
                start: place.start,
                end: place.end,
            }),
        }
    }

    /// Checked as UTF-8 once, here.
    pub(crate) fn from_utf8(bytes: Bytes) -> Option<Self> {
        let chunk = FastStr::from_bytes(bytes).ok()?;
        Some(Self::whole(Source::Chunk(chunk)))
    }

    fn whole(source: Source) -> Self {
        let end = source.as_str().len();
        Self(Repr::Piece {
            source: Arc::new(source),
            start: 0,
            end,
        })
    }
}

impl Source {
    #[inline]
    fn as_str(&self) -> &str {
        match self {
            Self::Chunk(chunk) => chunk.as_str(),
            Self::Own(text) => text,
        }
    }

    /// Whether this is the memory of a text of this length and of no other.
    fn is_own(&self, length: usize) -> bool {
        matches!(self, Self::Own(text) if text.len() == length)
    }

    fn into_bytes(source: Arc<Self>, start: usize, end: usize) -> Bytes {
        match Arc::try_unwrap(source) {
            Ok(Self::Own(text)) => Bytes::from(text).slice(start..end),
            Ok(Self::Chunk(chunk)) => chunk.into_bytes().slice(start..end),
            Err(shared) => match &*shared {
                Self::Chunk(chunk) => chunk.clone().into_bytes().slice(start..end),
                Self::Own(text) => {
                    Bytes::copy_from_slice(text.as_bytes().get(start..end).unwrap_or_default())
                }
            },
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        match text.is_empty() {
            true => Self::EMPTY,
            false => Self::whole(Source::Own(text)),
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self)
    }
}

/// Says how long the text is and not what it says, so that payloads do not end in logs.
impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Text({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Text {
        Text::from_utf8(Bytes::from("one two three".to_owned())).unwrap()
    }

    #[test]
    fn pieces_share_the_memory_of_their_whole_and_detached_ones_do_not() {
        let whole = chunk();
        let piece = whole.slice(&whole[4..7]);
        assert_eq!(piece, "two");
        assert_eq!(piece.as_ptr(), whole[4..].as_ptr());
        let detached = piece.detached();
        assert_eq!(detached, piece);
        assert_ne!(detached.as_ptr(), piece.as_ptr());
        assert_eq!(
            detached.detached().as_ptr(),
            detached.as_ptr(),
            "it is not copied twice"
        );
    }

    #[test]
    fn a_piece_of_something_else_is_copied() {
        let elsewhere = "elsewhere".to_owned();
        assert_eq!(chunk().slice(&elsewhere), "elsewhere");
        assert_eq!(Text::from_static("static").slice("at"), "at");
    }

    #[test]
    fn bytes_are_the_texts_bytes_whoever_else_holds_it() {
        let whole = chunk();
        let piece = whole.slice(&whole[4..7]);
        assert_eq!(piece.clone().into_bytes(), "two");
        drop(whole);
        assert_eq!(piece.into_bytes(), "two");
        let own = Text::from("own");
        let pointer = own.as_ptr();
        assert_eq!(own.clone().into_bytes(), "own");
        assert_eq!(own.into_bytes().as_ptr(), pointer);
        assert_eq!(Text::EMPTY.into_bytes(), "");
    }
}
