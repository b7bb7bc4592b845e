//! Text that is cheap to clone: most often a piece of the chunk it arrived in.

use bytes::Bytes;
use faststr::FastStr;
use std::fmt;
use std::ops::Deref;

/// Immutable UTF-8. A clone copies no more than a few words.
///
/// A text of more than 24 bytes may keep the whole chunk alive that it arrived in (as much as a read buffer, some tens of
/// KiB). Whoever keeps a few texts for long, and not the stream they belong to, calls [`Text::detached`].
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(FastStr);

impl Text {
    /// No text.
    pub const EMPTY: Self = Self(FastStr::empty());

    /// Text that lives as long as the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(FastStr::from_static_str(text))
    }

    /// The text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes, without a copy if the text is long.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }

    /// The same text in memory of its own.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(FastStr::new(self.as_str()))
    }

    /// `part`, which must be a piece of this text, without a copy if it is long.
    #[inline]
    pub(crate) fn slice(&self, part: &str) -> Self {
        Self(self.0.slice_ref(part))
    }

    /// Checked as UTF-8 once, here.
    pub(crate) fn from_utf8(bytes: Bytes) -> Option<Self> {
        FastStr::from_bytes(bytes).ok().map(Self)
    }
}

impl Deref for Text {
    type Target = str;

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
        Self(FastStr::new(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(FastStr::from_string(text))
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
