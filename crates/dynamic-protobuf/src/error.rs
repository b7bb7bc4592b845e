//! What can be wrong with bytes: the kind, the place in the message and the offset in the input.

pub(crate) mod trail;

use std::fmt;
use trail::Trail;

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
    path: Trail,
}

impl DecodeError {
    /// An error at byte `offset` of the input.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                offset,
                path: Trail::default(),
            }),
        }
    }

    /// The same error, seen from the message around it: it happened inside `field`.
    #[cold]
    pub(crate) fn in_field(mut self, field: &str) -> Self {
        self.inner.path.in_field(field);
        self
    }

    /// The same error, seen from the list around it: it happened inside element `index`.
    #[cold]
    pub(crate) fn in_element(mut self, index: usize) -> Self {
        self.inner.path.in_element(index);
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

    pub(crate) fn trail(&self) -> &Trail {
        &self.inner.path
    }

    /// Where in the message, as in `spans[3].name`; empty at its root.
    pub fn path(&self) -> String {
        self.inner.path.to_string()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.inner.kind, self.inner.offset)?;
        if !self.inner.path.is_empty() {
            write!(f, " in {}", self.inner.path)?;
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
