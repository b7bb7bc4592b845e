//! What a subscription tells.

use crate::{Error, Event, Text};
use http::Version;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// What a subscription tells, in this order: `Connecting`, then `Open` and what the stream says, then `Waiting` and `Connecting`
/// again, until one `Ended`, behind which nothing comes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// A connection is attempted.
    Connecting {
        /// How many attempts there were with this one.
        attempt: u64,
    },
    /// The server has answered with an event stream.
    Open(Box<Opened>),
    /// An event.
    Event(Event),
    /// A comment without its colon; only if [`Settings::comments`](crate::Settings::comments) asks for them.
    Comment(Text),
    /// The last event id has changed without an event.
    LastEventId(Text),
    /// There is no connection, and the next attempt is at a time that is known.
    Waiting(Box<Waiting>),
    /// The subscription is over for good.
    Ended(End),
}

/// A response that is an event stream.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Where it comes from, after redirects. Its query may hold secrets.
    pub url: Url,
    /// The version of HTTP.
    pub version: Version,
    /// The server, or the proxy before it.
    pub address: SocketAddr,
}

/// Why there is no connection, and until when.
#[derive(Debug)]
pub struct Waiting {
    /// What ended the last attempt or stream.
    pub why: Error,
    /// When the next attempt begins.
    pub until: Instant,
    /// How long that is from when this was told.
    pub delay: Duration,
    /// How many attempts in a row brought nothing; none if the last stream was good and has ended.
    pub failures: u32,
}

/// Why a subscription is over.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The server answered 204: it asks the client not to come again.
    NoContent,
    /// An error that [`Settings::is_retryable`](crate::Settings::is_retryable) calls final.
    Failed(Box<Error>),
}
