//! What can be wrong with a path: the segment, and what may have been meant.

use std::fmt;

/// A path that could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The segment that is wrong, as it was written, or where the text breaks off.
    pub segment: String,
    /// Its place in the path, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub kind: PathErrorKind,
}

/// What is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathErrorKind {
    /// The text does not follow the syntax.
    #[error("is not a valid segment: {0}")]
    Syntax(&'static str),
    /// The message type has no such field.
    #[error("is no field of {message}{}", remedy(.near))]
    UnknownField {
        /// The full name of the message type.
        message: String,
        /// Names that are alike.
        near: Vec<String>,
    },
    /// Only messages have fields.
    #[error("has no fields: its type is {0}")]
    NoMessage(String),
    /// A list on the way, without saying which of its elements.
    #[error("is a list: say which element, as in `{0}[0]`")]
    NeedsIndex(String),
    /// A map on the way, without saying which of its values.
    #[error("is a map: say which value, as in `{0}[\"key\"]`")]
    NeedsKey(String),
    /// Brackets behind a field that holds one value.
    #[error("is neither a list nor a map: it takes no brackets")]
    TakesNoSelector,
    /// A key of another type, or one that does not fit the map's.
    #[error("is not a key of this map, whose keys are {0}")]
    WrongKey(&'static str),
    /// A list takes an index.
    #[error("is not an index of a list: use a number, as in `[0]`, or `[-1]` for the last element")]
    WrongIndex,
    /// A selector for several values, where a path needs one.
    #[error("selects several values: only masks can")]
    SelectsSeveral,
    /// More than [`MAX_PATH_SEGMENTS`](super::MAX_PATH_SEGMENTS).
    #[error("is one segment too many")]
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failed to compile a path: `{}` (segment {}) {}",
            self.segment,
            self.index + 1,
            self.kind
        )
    }
}

impl std::error::Error for PathError {}

fn remedy(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => format!("; did you mean `{}`?", names.join("` or `")),
    }
}
