//! How much of a stream is held in memory.

/// What one stream may hold in memory. Both count bytes after decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line, without its end.
    pub line_bytes: usize,
    /// The largest event: its data and its type.
    pub event_bytes: usize,
}

impl Limits {
    /// 4 MiB.
    pub const DEFAULT_LINE_BYTES: usize = 4 << 20;
    /// 16 MiB.
    pub const DEFAULT_EVENT_BYTES: usize = 16 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: Self::DEFAULT_LINE_BYTES,
            event_bytes: Self::DEFAULT_EVENT_BYTES,
        }
    }
}

/// A limit is passed. What comes behind it in the stream cannot be made sense of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A line is longer than [`Limits::line_bytes`].
    #[error(
        "a line of the event stream is longer than the limit of {limit} bytes; raise the limit if the server means it"
    )]
    LineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// An event is larger than [`Limits::event_bytes`].
    #[error("an event is larger than the limit of {limit} bytes; raise the limit if the server means it")]
    EventTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}
