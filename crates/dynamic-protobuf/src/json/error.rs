//! What can be wrong with JSON, or with a message that is to become JSON.

use crate::error::DecodeErrorKind;
use crate::error::trail::Trail;
use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The bytes are not a message.
    #[error("{0}")]
    Wire(DecodeErrorKind),
    /// A string is not UTF-8.
    #[error("a string is not valid UTF-8")]
    InvalidUtf8,
    /// Messages, arrays or objects nest deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("messages nest deeper than the limit allows")]
    TooDeep,
    /// Input or output is larger than [`Limits::bytes`](crate::Limits::bytes) or than the format allows.
    #[error("the message is larger than the limit allows")]
    TooLarge,
    /// Lists and maps hold more than [`Limits::elements`](crate::Limits::elements).
    #[error("the message has more elements than the limit allows")]
    TooManyElements,
    /// More memory would be needed than [`Limits::allocation`](crate::Limits::allocation).
    #[error("transcoding would need more memory than the limit allows")]
    AllocationLimit,

    /// The text ends inside a value.
    #[error("the text ends inside a value")]
    Truncated,
    /// Something else stands where the named thing has to be.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Something follows the value.
    #[error("something follows the value")]
    TrailingData,
    /// A string holds a control character as it is.
    #[error("a string holds an unescaped control character")]
    ControlCharacter,
    /// A backslash starts nothing that JSON knows.
    #[error("an escape is not valid")]
    InvalidEscape,
    /// An escape is one half of a surrogate pair.
    #[error("an escape is half of a surrogate pair")]
    LoneSurrogate,
    /// A number breaks JSON's grammar, or a string that should hold a number holds something else.
    #[error("a number is not valid")]
    InvalidNumber,
    /// A number does not fit the field.
    #[error("a number is out of the field's range")]
    NumberRange,
    /// A number with a fraction stands where only integers can.
    #[error("a number has a fraction where only integers can stand")]
    NotAnInteger,
    /// Bytes are not base64.
    #[error("bytes are not valid base64")]
    InvalidBase64,
    /// The message has no such field; [`UnknownFields::Ignore`](super::UnknownFields::Ignore) lets it pass.
    #[error("the message has no such field")]
    UnknownField,
    /// The enum has no such value.
    #[error("the enum has no such value")]
    UnknownEnumValue,
    /// A field occurs twice, perhaps under both of its names.
    #[error("a field occurs twice")]
    DuplicateField,
    /// A map has a key twice.
    #[error("a map has a key twice")]
    DuplicateKey,
    /// Two members of a oneof are set.
    #[error("two members of a oneof are set")]
    OneofSetTwice,
    /// `null` stands where it means nothing, as in a list.
    #[error("null cannot stand here")]
    UnexpectedNull,
    /// A `Timestamp` is not as RFC 3339 has it, or not between the years 1 and 9999.
    #[error("a timestamp is not valid")]
    InvalidTimestamp,
    /// A `Duration` is malformed, has signs that differ, or exceeds 315,576,000,000 seconds.
    #[error("a duration is not valid")]
    InvalidDuration,
    /// A path of a `FieldMask` does not survive the change between snake case and camel case.
    #[error("a field mask has a path that JSON cannot hold")]
    InvalidFieldMask,
    /// A `Value` is NaN or infinite.
    #[error("a number in a Value is not finite")]
    ValueNotFinite,
    /// A `Value` has no kind.
    #[error("a Value has no kind set")]
    ValueUnset,
    /// An `Any` has no `@type`.
    #[error("an Any has no type")]
    MissingType,
    /// The type of an `Any` is not a URL that ends in a slash and a name.
    #[error("the type of an Any is not a type URL")]
    InvalidTypeUrl,
    /// The schema lacks the type of an `Any`.
    #[error("the schema lacks the type of an Any")]
    UnknownType,

    /// Parts of one field stand apart on the wire, or a field repeats that has a single value: what the message says
    /// is only known at its end, which cannot be waited for when it comes in chunks.
    #[error("parts of one field stand apart, which needs the whole message at once")]
    NotInOrder,
    /// A single value is larger than what may wait for its end.
    #[error("a single value is larger than a chunked transcoder may hold")]
    ValueTooLarge,
    /// More was pushed after the end or after an error.
    #[error("input goes on after its end")]
    Finished,
}

impl From<DecodeErrorKind> for JsonErrorKind {
    fn from(kind: DecodeErrorKind) -> Self {
        match kind {
            DecodeErrorKind::InvalidUtf8 => Self::InvalidUtf8,
            DecodeErrorKind::TooDeep => Self::TooDeep,
            DecodeErrorKind::TooLarge => Self::TooLarge,
            DecodeErrorKind::TooManyElements => Self::TooManyElements,
            DecodeErrorKind::AllocationLimit => Self::AllocationLimit,
            other => Self::Wire(other),
        }
    }
}

/// A message that could not be transcoded, with the place.
///
/// Values never appear in it, nor do keys of maps: messages may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonError {
    inner: Box<Inner>,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: JsonErrorKind,
    offset: usize,
    /// Only where the input is text: from 1.
    line_and_column: Option<(usize, usize)>,
    path: Trail,
}

impl JsonError {
    #[cold]
    #[inline(never)]
    pub(super) fn new(kind: impl Into<JsonErrorKind>, offset: usize) -> Self {
        Self {
            inner: Box::new(Inner {
                kind: kind.into(),
                offset,
                line_and_column: None,
                path: Trail::default(),
            }),
        }
    }

    /// The same error in an input of which these bytes began at `start`.
    #[cold]
    pub(super) fn shifted(mut self, start: usize) -> Self {
        self.inner.offset += start;
        self
    }

    /// The same error with its line and column in `text`.
    #[cold]
    pub(super) fn located(mut self, text: &[u8]) -> Self {
        let before = text.get(..self.inner.offset).unwrap_or(text);
        let mut place = Place::START;
        place.pass(before);
        self.inner.line_and_column = Some((place.line, place.column));
        self
    }

    /// The same error at a line and a column that are known already.
    #[cold]
    pub(super) fn at_place(mut self, place: Place) -> Self {
        self.inner.line_and_column = Some((place.line, place.column));
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> JsonErrorKind {
        self.inner.kind
    }

    /// Where in the input, in bytes from its start.
    pub fn offset(&self) -> usize {
        self.inner.offset
    }

    /// The line and the column in characters, both from 1, where the input is text.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        self.inner.line_and_column
    }

    /// Where in the message, as in `spans[3].name`; map entries count like elements. Empty at its root.
    pub fn path(&self) -> String {
        self.inner.path.to_string()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        write!(f, "{} at byte {}", inner.kind, inner.offset)?;
        if let Some((line, column)) = inner.line_and_column {
            write!(f, " ({line}:{column})")?;
        }
        if !inner.path.is_empty() {
            write!(f, " in {}", inner.path)?;
        }
        Ok(())
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonError({self})")
    }
}

impl std::error::Error for JsonError {}

/// A line and a column of text, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// Moves past `text`; columns count characters.
    pub(super) fn pass(&mut self, text: &[u8]) {
        let last_line = match memchr::memrchr(b'\n', text) {
            Some(at) => {
                self.line += memchr::memchr_iter(b'\n', text).count();
                self.column = 1;
                text.get(at + 1..).unwrap_or_default()
            }
            None => text,
        };
        self.column += last_line.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    }
}

/// Why the work stopped.
pub(super) enum Stop {
    /// The quick way cannot know what the message says; the careful way has to be taken.
    Irregular,
    Failed(JsonError),
}

pub(super) type Step<T = ()> = Result<T, Stop>;

impl From<JsonError> for Stop {
    fn from(error: JsonError) -> Self {
        Self::Failed(error)
    }
}

/// Stops with an error at byte `offset`.
#[cold]
#[inline(never)]
pub(super) fn stop(kind: impl Into<JsonErrorKind>, offset: usize) -> Stop {
    Stop::Failed(JsonError::new(kind, offset))
}

impl Stop {
    /// Adds the field in which it happened.
    #[cold]
    #[inline(never)]
    pub(super) fn in_field(mut self, name: &str) -> Self {
        if let Self::Failed(error) = &mut self {
            error.inner.path.in_field(name);
        }
        self
    }

    /// Adds the element or entry in which it happened.
    #[cold]
    #[inline(never)]
    pub(super) fn in_element(mut self, index: usize) -> Self {
        if let Self::Failed(error) = &mut self {
            error.inner.path.in_element(index);
        }
        self
    }

    /// As an error for the caller; what is irregular in whole messages never gets here.
    #[cold]
    pub(super) fn into_error(self) -> JsonError {
        match self {
            Self::Irregular => JsonError::new(JsonErrorKind::NotInOrder, 0),
            Self::Failed(error) => error,
        }
    }
}
