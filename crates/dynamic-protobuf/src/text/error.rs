//! What can be wrong with text, and why a message cannot be printed.

use crate::error::trail::Trail;
use crate::error::{DecodeError, DecodeErrorKind};
use std::fmt;

/// Why a message cannot be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PrintError {
    /// Messages nest deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("failed to print the message: it nests deeper than the limit allows")]
    TooDeep,
    /// The text would be larger than [`Limits::bytes`](crate::Limits::bytes).
    #[error("failed to print the message: the text is larger than the limit allows")]
    TooLarge,
}

/// What is wrong with text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Something else stands where the named thing has to be.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The text ends inside a message.
    #[error("the text ends inside a message")]
    Truncated,
    /// A string does not end on its line.
    #[error("a string does not end on its line")]
    UnterminatedString,
    /// A string holds a NUL that is not escaped.
    #[error("a string holds a NUL that is not escaped")]
    NulInString,
    /// A backslash starts nothing that the format knows.
    #[error("an escape is not valid")]
    InvalidEscape,
    /// An escape is one half of a surrogate pair; what takes two of them is written with `\U` and eight digits.
    #[error("an escape is half of a surrogate pair")]
    Surrogate,
    /// A string field's text is not UTF-8, and its schema asks for validation.
    #[error("a string is not valid UTF-8")]
    InvalidUtf8,
    /// A number breaks the grammar, or is not set apart from what follows.
    #[error("a number is not valid")]
    InvalidNumber,
    /// A number does not fit the field.
    #[error("a number is out of the field's range")]
    NumberRange,
    /// The enum has no such value.
    #[error("the enum has no such value")]
    UnknownEnumValue,
    /// The message has no such field; [`UnknownNames::Ignore`](super::UnknownNames::Ignore) lets it pass.
    #[error("the message has no such field")]
    UnknownField,
    /// The schema lacks the extension, or it extends another message; [`UnknownNames::Ignore`](super::UnknownNames::Ignore) lets
    /// it pass.
    #[error("the message has no such extension")]
    UnknownExtension,
    /// A field that is not repeated has a list.
    #[error("a field that is not repeated has a list")]
    UnexpectedList,
    /// A field that is not repeated occurs twice.
    #[error("a field occurs twice")]
    DuplicateField,
    /// Two members of a oneof are set.
    #[error("two members of a oneof are set")]
    OneofSetTwice,
    /// A name in brackets is neither that of an extension nor a type URL.
    #[error("a name in brackets is not valid")]
    InvalidBracketedName,
    /// A type URL stands in a message that is not an `Any`.
    #[error("a type URL stands outside of an Any")]
    MisplacedTypeUrl,
    /// The schema lacks the type of an `Any`.
    #[error("the schema lacks the type of an Any")]
    UnknownType,
    /// Messages nest deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("messages nest deeper than the limit allows")]
    TooDeep,
    /// The text or the message is larger than [`Limits::bytes`](crate::Limits::bytes) or than the format allows.
    #[error("the message is larger than the limit allows")]
    TooLarge,
    /// Lists and maps hold more than [`Limits::elements`](crate::Limits::elements).
    #[error("the message has more elements than the limit allows")]
    TooManyElements,
    /// More memory would be needed than [`Limits::allocation`](crate::Limits::allocation).
    #[error("the message would need more memory than the limit allows")]
    AllocationLimit,
    /// The message that was read does not suit the receiving message for another reason.
    #[error("{0}")]
    Message(DecodeErrorKind),
}

impl From<DecodeErrorKind> for ParseErrorKind {
    fn from(kind: DecodeErrorKind) -> Self {
        match kind {
            DecodeErrorKind::TooDeep => Self::TooDeep,
            DecodeErrorKind::TooLarge => Self::TooLarge,
            DecodeErrorKind::TooManyElements => Self::TooManyElements,
            DecodeErrorKind::AllocationLimit => Self::AllocationLimit,
            other => Self::Message(other),
        }
    }
}

/// Text that could not be parsed, with the place.
///
/// Only names of the schema appear in it, never values: messages may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ParseError {
    inner: Box<Inner>,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: ParseErrorKind,
    offset: usize,
    line: usize,
    column: usize,
    path: Trail,
}

impl ParseError {
    /// An error at byte `offset`; [`ParseError::located`] adds the line.
    #[cold]
    #[inline(never)]
    pub(super) fn new(kind: impl Into<ParseErrorKind>, offset: usize) -> Self {
        Self {
            inner: Box::new(Inner {
                kind: kind.into(),
                offset,
                line: 0,
                column: 0,
                path: Trail::default(),
            }),
        }
    }

    /// What decoding said of the message that was parsed up to byte `offset`.
    #[cold]
    pub(super) fn of_message(error: &DecodeError, offset: usize) -> Self {
        let mut own = Self::new(error.kind(), offset);
        own.inner.path = error.trail().clone();
        own
    }

    /// The same error, seen from the message around it: it happened inside `field`.
    #[cold]
    pub(super) fn in_field(mut self, field: &str) -> Self {
        self.inner.path.in_field(field);
        self
    }

    /// The same error with its line and column in `text`.
    #[cold]
    pub(super) fn located(mut self, text: &[u8]) -> Self {
        let before = text.get(..self.inner.offset).unwrap_or(text);
        let line_at = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let characters = before[line_at..].iter().filter(|byte| **byte & 0xc0 != 0x80);
        self.inner.column = characters.count() + 1;
        self.inner.line = memchr::memchr_iter(b'\n', before).count() + 1;
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.inner.kind
    }

    /// Where in the text, in bytes from its start.
    pub fn offset(&self) -> usize {
        self.inner.offset
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.inner.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        self.inner.column
    }

    /// Where in the message, as in `spans.name`; empty at its root. Elements of lists and entries of maps are told by line and
    /// column alone.
    pub fn path(&self) -> String {
        self.inner.path.to_string()
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        write!(f, "{}:{}: {}", inner.line, inner.column, inner.kind)?;
        if !inner.path.is_empty() {
            write!(f, " in {}", inner.path)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParseError({self})")
    }
}

impl std::error::Error for ParseError {}
