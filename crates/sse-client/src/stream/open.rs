//! One response while it comes in.

use super::watch::Watch;
use crate::attempt::Stream;
use crate::error::Place;
use crate::exchange::Driver;
use crate::{Error, Parsed, Parser, Settings, Text};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// A response and what has been made of it.
pub(super) struct Open {
    body: Incoming,
    driver: Driver,
    parser: Parser,
    watch: Watch,
    place: Place,
    since: Instant,
    has_brought: bool,
}

impl Open {
    pub(super) fn new(stream: Stream, settings: &Settings, last_event_id: Text) -> Self {
        let since = Instant::now();
        Self {
            body: stream.body,
            driver: stream.driver,
            parser: Parser::new(settings.limits)
                .with_comments(settings.comments)
                .with_last_event_id(last_event_id),
            watch: Watch::new(since),
            place: Place::of(&stream.opened.url),
            since,
            has_brought: false,
        }
    }

    pub(super) fn parser(&self) -> &Parser {
        &self.parser
    }

    /// Whether the server is worth asking again without a longer wait than usual.
    pub(super) fn was_good(&self, settings: &Settings) -> bool {
        self.has_brought || self.since.elapsed() >= settings.backoff.max
    }

    /// What the stream says next, or why it says no more.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        settings: &Settings,
    ) -> Poll<Result<Parsed, Error>> {
        loop {
            let item = self.parser.next_item().map_err(|source| Error::Parse {
                place: self.place.clone(),
                source,
            })?;
            if let Some(item) = item {
                self.has_brought = true;
                return Poll::Ready(Ok(item));
            }
            let chunk = match self.poll_chunk(context) {
                Poll::Ready(chunk) => chunk?,
                Poll::Pending => return self.poll_watch(context, settings).map(Err),
            };
            self.watch.saw_bytes(Instant::now());
            self.parser.push(chunk);
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        loop {
            let frame = ready!(self.poll_frame(context));
            let Some(frame) = frame else {
                return Poll::Ready(Err(Error::EndOfStream {
                    place: self.place.clone(),
                }));
            };
            let frame = frame.map_err(|source| Error::Read {
                place: self.place.clone(),
                source,
            })?;
            // Trailers say nothing about events.
            if let Ok(chunk) = frame.into_data() {
                return Poll::Ready(Ok(chunk));
            }
        }
    }

    /// Asks for the next frame before the connection is driven, which reads only what is asked for.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            return frame;
        }
        self.driver.poll(context);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn poll_watch(&mut self, context: &mut Context<'_>, settings: &Settings) -> Poll<Error> {
        self.parser.settle();
        self.watch
            .saw_line(self.parser.lines_ended(), self.parser.is_inside_line());
        let expired = ready!(self.watch.poll(context, settings));
        Poll::Ready(expired.error(self.place.clone(), settings))
    }
}
