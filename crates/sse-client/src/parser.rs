//! The event stream format as a state machine without I/O: bytes in, events out.
//!
//! Source: the HTML standard, "Server-sent events", sections "Parsing an event stream" and "Interpreting an event stream"
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

mod block;
mod decoder;
mod kind;
mod limits;
mod lines;
mod whole;

use crate::{Event, Text};
use block::Block;
use bytes::Bytes;
use kind::Kind;
use lines::Lines;
use std::time::Duration;
use whole::Found;

pub use limits::{Limits, ParseError};

/// What a stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parsed {
    /// An event.
    Event(Event),
    /// A comment without its colon, which proxies and servers use as a heartbeat. Only if [`Parser::with_comments`] asks for them.
    Comment(Text),
    /// A block without data has changed the last event id to this. The standard dispatches no event for it.
    LastEventId(Text),
    /// How long to wait before connecting again, as the `retry` field says.
    Retry(Duration),
}

/// Takes the bytes of one response in any chunks and finds what they say. Nothing depends on where chunks end.
///
/// An event whose data is one line inside one chunk is a piece of that chunk: nothing is copied, and nothing allocated.
///
/// ```
/// use heddle_sse_client::{Parsed, Parser};
///
/// let mut parser = Parser::default();
/// parser.push("id: 7\ndata: he");
/// assert_eq!(parser.next_item()?, None);
/// parser.push("llo\n\n");
/// let Some(Parsed::Event(event)) = parser.next_item()? else { panic!("there is an event") };
/// assert_eq!((event.event_type().as_str(), event.data().as_str()), ("message", "hello"));
/// assert_eq!(parser.last_event_id(), "7");
/// # Ok::<(), heddle_sse_client::ParseError>(())
/// ```
#[derive(Debug, Default)]
pub struct Parser {
    lines: Lines,
    block: Block,
    limits: Limits,
    wants_comments: bool,
    failed: Option<ParseError>,
}

impl Parser {
    /// A parser at the beginning of a response.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            lines: Lines::new(limits.line_bytes),
            block: Block::new(limits.event_bytes),
            limits,
            ..Self::default()
        }
    }

    /// Whether comments are reported; without it they are skipped.
    #[must_use]
    pub fn with_comments(mut self, wanted: bool) -> Self {
        self.wants_comments = wanted;
        self
    }

    /// The last event id that an earlier response has left.
    #[must_use]
    pub fn with_last_event_id(mut self, id: Text) -> Self {
        self.block.start_with_id(id);
        self
    }

    /// Adds the next bytes of the response. It costs least after [`Parser::next_item`] has returned `None`; what it had not yet
    /// looked at is joined with `chunk` otherwise.
    pub fn push(&mut self, chunk: impl Into<Bytes>) {
        if self.failed.is_none() {
            self.block.leave(self.lines.chunk());
            self.lines.push(chunk.into());
        }
    }

    /// The next thing that the bytes pushed so far say; `None` if more bytes are needed. At the end of a response that is all
    /// there is: the standard drops an event without its blank line.
    ///
    /// # Errors
    /// A limit is passed. The parser stays there and repeats the error; the connection is to be closed.
    pub fn next_item(&mut self) -> Result<Option<Parsed>, ParseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(event) = self.whole_event() {
            return Ok(Some(Parsed::Event(event)));
        }
        let item = self.advance();
        if let Err(error) = &item {
            self.fail(*error);
        }
        item
    }

    /// The last event id as of the last blank line; empty if there is none. It belongs into the next request.
    #[must_use]
    pub fn last_event_id(&self) -> Text {
        self.block.last_event_id(self.lines.chunk())
    }

    /// Whether the last line has begun and not ended.
    #[must_use]
    pub fn is_inside_line(&self) -> bool {
        self.lines.is_inside_line()
    }

    /// How many lines have ended so far.
    #[cfg(feature = "client")]
    pub(crate) fn lines_ended(&self) -> u64 {
        self.lines.ended()
    }

    /// Copies what is held of past chunks, so that their memory is free. For before a long wait.
    pub fn settle(&mut self) {
        self.block.leave(self.lines.chunk());
        self.block.settle();
    }

    /// The common case at once; anything else is left for [`Parser::advance`].
    #[inline]
    fn whole_event(&mut self) -> Option<Event> {
        let (chunk, start) = self.lines.plain().filter(|_| self.block.is_empty())?;
        match whole::find(chunk.as_bytes(), start, self.limits, !self.wants_comments) {
            Found::Whole(whole) => {
                let end = whole.end;
                let event = self.block.event_of(chunk, whole);
                self.lines.go_to(end);
                Some(event)
            }
            Found::Unfinished(start) => {
                self.lines.is_unfinished_from(start);
                None
            }
            Found::CarriageReturn => {
                self.lines.has_carriage_return();
                None
            }
            Found::Other => None,
        }
    }

    fn advance(&mut self) -> Result<Option<Parsed>, ParseError> {
        self.block.leave(self.lines.chunk());
        while let Some(line) = self.lines.next_line()? {
            match Kind::of(line.text.as_bytes()) {
                Kind::Blank => {
                    if let Some(item) = self.block.finish() {
                        return Ok(Some(item));
                    }
                }
                Kind::Data(at) => self.block.add_data(&line, line.from(at))?,
                Kind::EventType(at) => self.block.set_type(&line, line.from(at))?,
                Kind::Id(at) => self.block.set_id(&line, line.from(at)),
                Kind::Retry(retry) => return Ok(Some(Parsed::Retry(retry))),
                Kind::Comment(at) if self.wants_comments => {
                    return Ok(Some(Parsed::Comment(line.keep(line.from(at)))));
                }
                Kind::Comment(_) | Kind::Unknown => {}
            }
        }
        Ok(None)
    }

    fn fail(&mut self, error: ParseError) {
        self.failed = Some(error);
        self.block.leave(self.lines.chunk());
        self.block.clear();
        self.lines = Lines::default();
    }
}
