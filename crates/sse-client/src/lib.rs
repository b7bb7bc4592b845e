//! Server-sent events: a parser without I/O, and a client that reconnects and never loses its place.
//!
//! The parser, [`Parser`], takes the bytes of a response in any chunks and finds events, by the HTML standard's rules. It copies
//! nothing where an event lies in one chunk, and stands alone for those who bring their own HTTP.
//!
//! The client, [`Client`] (a feature that is on by default), makes one endless stream of it:
//!
//! ```no_run
//! use heddle_sse_client::{Client, Item, Request, Settings};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new()?;
//! let request = Request::get("https://example.org/events")?;
//! let mut stream = client.subscribe(request, Settings::default());
//! while let Some(item) = stream.next().await {
//!     match item {
//!         Item::Event(event) => println!("{}: {}", event.event_type(), event.data()),
//!         Item::Waiting(waiting) => println!("{}, again in {:?}", waiting.why, waiting.delay),
//!         Item::Ended(end) => println!("over: {end:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a subscription does
//! - It sends the [`Request`] (any method, headers, body) by HTTP/1.1, or by HTTP/2 where TLS agrees on it, through the
//!   [`Proxies`] of the environment or given ones, and follows [`Redirects`] as browsers do, without credentials to other origins.
//! - It takes 200 with `text/event-stream` for a stream and 204 for the end of the subscription. Other answers are [`Error`]s, which
//!   [`Settings::is_retryable`] sorts into those that are waited out and those that end the stream.
//! - After an error or the end of a response it says [`Item::Waiting`] with the reason and the time, waits as [`Backoff`], the
//!   server's `retry` and `Retry-After` say, and connects again with `Last-Event-ID`.
//! - It notices silence ([`Settings::read_timeout`]) and dripping lines ([`Settings::line_timeout`]), and holds no more than
//!   [`Limits`] of any stream.
//! - It connects to no address that the [`AddressPolicy`] refuses: name resolution, check and connection are one step, at every
//!   redirect and reconnection.
//!
//! # What it costs
//! There is no task behind a subscription: whoever polls the [`EventStream`] drives connection, TLS and timers. Not polled, it
//! reads nothing, and TCP slows the server down. Between reads it holds the read buffers of hyper and rustls and some hundred
//! bytes of its own. Events come one by one but are read in chunks; `StreamExt::ready_chunks` gives batches of what is there.

#[cfg(feature = "client")]
mod attempt;
#[cfg(feature = "client")]
mod backoff;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod connect;
#[cfg(feature = "client")]
mod error;
mod event;
#[cfg(feature = "client")]
mod exchange;
#[cfg(feature = "client")]
mod item;
mod parser;
#[cfg(feature = "client")]
mod redirect;
#[cfg(feature = "client")]
mod request;
#[cfg(feature = "client")]
mod response;
#[cfg(feature = "client")]
mod retry_after;
#[cfg(feature = "client")]
mod settings;
#[cfg(feature = "client")]
mod stream;
mod text;

#[cfg(feature = "client")]
pub use backoff::Backoff;
#[cfg(feature = "client")]
pub use client::{Client, ClientBuilder};
#[cfg(feature = "client")]
pub use connect::{
    AddressPolicy, AnyAddress, Proxies, ProxyError, Refusal, Resolve, Resolving, SystemResolver, Tls,
    TlsError,
};
#[cfg(feature = "client")]
pub use error::{Error, Place};
pub use event::Event;
#[cfg(feature = "client")]
pub use item::{End, Item, Opened, Waiting};
pub use parser::{Limits, ParseError, Parsed, Parser};
#[cfg(feature = "client")]
pub use redirect::{RedirectError, Redirects};
#[cfg(feature = "client")]
pub use request::{Request, RequestError};
#[cfg(feature = "client")]
pub use settings::Settings;
#[cfg(feature = "client")]
pub use stream::EventStream;
pub use text::Text;
