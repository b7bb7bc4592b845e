//! What can be wrong with a descriptor set. All of it is found at once: a set comes from a compiler run that takes a while.

use crate::error::DecodeError;
use std::fmt;

/// Everything that is wrong with a descriptor set; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaErrors {
    errors: Vec<SchemaError>,
    left_out: usize,
}

/// More than these are counted, not kept.
const MAX_ERRORS: usize = 100;

impl SchemaErrors {
    pub(super) fn one(error: SchemaError) -> Self {
        Self {
            errors: vec![error],
            left_out: 0,
        }
    }

    /// No errors yet: to collect them in.
    pub(super) fn none() -> Self {
        Self {
            errors: Vec::new(),
            left_out: 0,
        }
    }

    /// Keeps an error, or counts it when there are many: a hostile set has as many as it has bytes.
    pub(super) fn push(&mut self, error: impl FnOnce() -> SchemaError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error());
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The errors in the order of files and declarations; at most 100.
    pub fn iter(&self) -> impl Iterator<Item = &SchemaError> {
        self.errors.iter()
    }

    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.errors.len() + self.left_out
    }
}

impl fmt::Display for SchemaErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for SchemaErrors {}

/// One thing that is wrong, with the file and the element.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaError {
    /// The `.proto` file; empty when the bytes are no descriptor set at all.
    pub file: String,
    /// The full name of the element; empty for the file itself.
    pub element: String,
    /// What is wrong with it.
    pub kind: SchemaErrorKind,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        if !self.element.is_empty() {
            write!(f, "{}: ", self.element)?;
        }
        write!(f, "{}", self.kind)
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaErrorKind {
    /// The bytes are not a descriptor set.
    #[error("failed to decode the descriptor set: {0}")]
    Decode(DecodeError),
    /// Two files have one name.
    #[error("the file is in the set twice, with different content")]
    DuplicateFile,
    /// An imported file is missing.
    #[error("it imports {0:?}, which is not in the set; build the set with its imports")]
    MissingImport(String),
    /// The edition is one that this engine does not know.
    #[error("its syntax or edition is not supported; proto2, proto3, 2023 and 2024 are")]
    UnknownEdition,
    /// An element has no valid name.
    #[error("its name {0:?} is not an identifier")]
    InvalidName(String),
    /// An element's full name, or a file's, is longer than any that people write.
    #[error("its name is longer than {0} bytes")]
    NameTooLong(usize),
    /// Two elements have one name.
    #[error("the name is already taken in {0:?}")]
    DuplicateName(String),
    /// A type is not in the set.
    #[error("its type {0:?} is not in the set")]
    UnknownType(String),
    /// The type's name is one of something else.
    #[error("{0:?} is not a type that can be used here")]
    WrongType(String),
    /// The field's type is missing or has no known number.
    #[error("it has no type")]
    MissingType,
    /// A field number is out of range.
    #[error("its number {0} is not between 1 and 536870911, or is one of 19000 to 19999")]
    InvalidNumber(i32),
    /// Two fields have one number.
    #[error("its number {0} belongs to {1:?} already")]
    DuplicateNumber(u32, String),
    /// A oneof index points nowhere.
    #[error("it belongs to a oneof that does not exist")]
    UnknownOneof,
    /// A repeated field cannot be in a oneof.
    #[error("a repeated or required field cannot be in a oneof")]
    InvalidOneofMember,
    /// A map's entry type is malformed.
    #[error(
        "its map entry type needs a key of an integral type, bool or string with number 1 and a value with number 2"
    )]
    InvalidMapEntry,
    /// An extension's number is not open.
    #[error("{0:?} has no extension range with number {1}")]
    NotExtendable(String, u32),
    /// A default value cannot be read.
    #[error("its default value {0:?} is not one of its type")]
    InvalidDefault(String),
    /// An enum without values.
    #[error("an enum needs at least one value")]
    EmptyEnum,
    /// An open enum's first value is not zero.
    #[error("the first value of an open enum must be 0")]
    FirstValueNotZero,
    /// A limit of the engine.
    #[error("the set has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}
