//! Why an edit was refused.

use crate::error::DecodeError;

/// An edit that could not be made. The output is empty then, and no part of the edit is in it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The message is malformed on the way to the place, or goes past the limits.
    #[error("failed to read the message that is to be edited")]
    Decode(#[source] DecodeError),
    /// Paths of one call lead into different message types, or come from different schemas.
    #[error("failed to edit at `{path}`: the path is of another message type or schema than the first one")]
    ForeignPath {
        /// The path.
        path: String,
    },
    /// The value is not of the field's type, or does not fit into it.
    #[error("failed to set `{path}`, which takes {expected}")]
    WrongType {
        /// The path.
        path: String,
        /// What the place takes.
        expected: &'static str,
    },
    /// A closed enum has no such number.
    #[error("failed to set `{path}`, whose enum is closed and has no value {number}")]
    UnknownEnumValue {
        /// The path.
        path: String,
        /// The number.
        number: i32,
    },
    /// The message that is to be set is malformed.
    #[error("failed to set `{path}` to a message that is malformed")]
    InvalidMessage {
        /// The path.
        path: String,
        /// What is wrong with it, with the place in it.
        #[source]
        source: DecodeError,
    },
    /// The list has no such element.
    #[error("failed to edit `{path}`: the list has {count} elements")]
    OutOfRange {
        /// The path.
        path: String,
        /// How many elements it has.
        count: usize,
    },
    /// Lists of values are appended, inserted and cut; other fields are set and removed.
    #[error("failed to edit `{path}`: {change} is for {takes}")]
    WrongChange {
        /// The path.
        path: String,
        /// What was to be done.
        change: &'static str,
        /// What it can be done to.
        takes: &'static str,
    },
    /// The edited message would be larger than [`Limits::bytes`](crate::Limits::bytes), or than the format allows.
    #[error("failed to edit a message of which {bytes} bytes would come, more than the limit of {limit}")]
    TooLarge {
        /// How large it would be.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The plan of the edit would need more memory than [`Limits::allocation`](crate::Limits::allocation).
    #[error("failed to edit a message within the limit of {limit} bytes for the plan")]
    Allocation {
        /// How much it may hold.
        limit: usize,
    },
}
