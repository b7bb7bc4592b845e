//! How one subscription behaves.

use crate::{Backoff, Error, Limits, Redirects, Text};
use std::time::Duration;

/// How one subscription behaves.
///
/// ```
/// use heddle_sse_client::Settings;
/// use std::time::Duration;
///
/// let settings = Settings {
///     last_event_id: "42".into(),
///     read_timeout: Some(Duration::from_secs(60)),
///     ..Settings::default()
/// };
/// # assert!(settings.line_timeout > Duration::ZERO);
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to go on from; empty for where the server likes to begin.
    pub last_event_id: Text,
    /// How much of a stream is held in memory.
    pub limits: Limits,
    /// For name resolution, TCP, proxy and TLS together.
    pub connect_timeout: Duration,
    /// From the request to the head of the response.
    pub response_timeout: Duration,
    /// How long a stream may be silent: no byte at all. `None` waits for ever.
    pub read_timeout: Option<Duration>,
    /// How long a line may take from its first byte to its end, however many bytes come.
    pub line_timeout: Duration,
    /// How long to wait between connections.
    pub backoff: Backoff,
    /// Which redirects are followed.
    pub redirects: Redirects,
    /// Whether comments are reported.
    pub comments: bool,
    /// Which errors are waited out; with others the stream ends. [`Error::is_retryable`] by default.
    pub is_retryable: fn(&Error) -> bool,
}

impl Settings {
    /// 10 s.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// 30 s.
    pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
    /// Two minutes.
    pub const DEFAULT_LINE_TIMEOUT: Duration = Duration::from_secs(120);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            last_event_id: Text::EMPTY,
            limits: Limits::default(),
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            response_timeout: Self::DEFAULT_RESPONSE_TIMEOUT,
            read_timeout: None,
            line_timeout: Self::DEFAULT_LINE_TIMEOUT,
            backoff: Backoff::default(),
            redirects: Redirects::default(),
            comments: false,
            is_retryable: Error::is_retryable,
        }
    }
}
