//! What can be wrong with bytes: the kind, the place in the message and the offset in the input.

use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends inside a value.
    #[error("the input ends inside a value")]
    Truncated,
    /// A varint goes on past its tenth byte.
    #[error("a varint is longer than 10 bytes")]
    VarintTooLong,
    /// A tag has field number 0, a wire type that does not exist or more than 32 bits.
    #[error("a tag is not valid")]
    InvalidTag,
    /// A group ends that did not begin.
    #[error("a group ends that did not begin")]
    UnexpectedEndGroup,
    /// A string field holds bytes that are not UTF-8, and its schema asks for validation.
    #[error("a string is not valid UTF-8")]
    InvalidUtf8,
    /// Messages nest deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("messages nest deeper than the limit allows")]
    TooDeep,
    /// The input is larger than [`Limits::bytes`](crate::Limits::bytes) or than the format allows.
    #[error("the message is larger than the limit allows")]
    TooLarge,
    /// Repeated fields and maps hold more than [`Limits::elements`](crate::Limits::elements).
    #[error("the message has more elements than the limit allows")]
    TooManyElements,
    /// Decoding would need more memory than [`Limits::allocation`](crate::Limits::allocation).
    #[error("decoding would need more memory than the limit allows")]
    AllocationLimit,
    /// A required field of proto2 is missing.
    #[error("a required field is missing")]
    MissingRequired,
}

/// A message that could not be decoded, with the place.
///
/// Values never appear in it: messages may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError {
    inner: Box<Inner>,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: DecodeErrorKind,
    offset: usize,
    /// Innermost first: it is pushed while the error travels outwards.
    path: Vec<Segment>,
}

#[derive(Clone, PartialEq, Eq)]
enum Segment {
    Field(String),
    Index(usize),
}

/// Longer paths are cut in the middle; the innermost and outermost parts tell most.
const MAX_PATH_SEGMENTS: usize = 128;

impl DecodeError {
    /// An error at byte `offset` of the input.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                offset,
                path: Vec::new(),
            }),
        }
    }

    /// The same error, seen from the message around it: it happened inside `field`.
    #[cold]
    pub(crate) fn in_field(mut self, field: &str) -> Self {
        if self.inner.path.len() < MAX_PATH_SEGMENTS {
            self.inner.path.push(Segment::Field(field.to_owned()));
        }
        self
    }

    /// The same error, seen from the list around it: it happened inside element `index`.
    #[cold]
    pub(crate) fn in_element(mut self, index: usize) -> Self {
        if self.inner.path.len() < MAX_PATH_SEGMENTS {
            self.inner.path.push(Segment::Index(index));
        }
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> DecodeErrorKind {
        self.inner.kind
    }

    /// Where in the input, in bytes from its start.
    pub fn offset(&self) -> usize {
        self.inner.offset
    }

    /// Where in the message, as in `spans[3].name`; empty at its root.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.inner.path.iter().rev() {
            match segment {
                Segment::Field(name) if path.is_empty() => path.push_str(name),
                Segment::Field(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Segment::Index(index) => {
                    path.push('[');
                    path.push_str(&index.to_string());
                    path.push(']');
                }
            }
        }
        path
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.inner.kind, self.inner.offset)?;
        if !self.inner.path.is_empty() {
            write!(f, " in {}", self.path())?;
        }
        Ok(())
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({self})")
    }
}

impl std::error::Error for DecodeError {}
