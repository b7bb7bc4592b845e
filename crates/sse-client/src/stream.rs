//! A subscription: connections one after the other, as one stream.

mod open;
mod watch;

use crate::attempt::{Outcome, attempt};
use crate::connect::Connector;
use crate::{End, Error, Item, Parsed, Request, Settings, Text, Waiting};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use open::Open;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

type Attempt = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send>>;

/// A subscription: a stream of [`Item`]s that connects, waits and connects again until it has [ended](Item::Ended).
///
/// It runs in whoever polls it, on a Tokio runtime, without tasks of its own. Not polled, it reads nothing, so that TCP slows
/// the server down; what is held meanwhile is at most one chunk and one unfinished event. Nothing is lost by dropping the future
/// of [`EventStream::next`]. Dropping the stream closes the connection.
pub struct EventStream {
    connector: Arc<Connector>,
    request: Arc<Request>,
    settings: Arc<Settings>,
    state: State,
    last_event_id: Text,
    /// What the server's last `retry` field said.
    retry: Option<Duration>,
    attempts: u64,
    /// Attempts in a row that brought nothing.
    failures: u32,
}

enum State {
    Idle,
    Connecting(Attempt),
    Open(Box<Open>),
    Waiting(Pin<Box<Sleep>>),
    Ended,
}

impl EventStream {
    pub(crate) fn new(connector: Arc<Connector>, request: Request, settings: Settings) -> Self {
        Self {
            connector,
            request: Arc::new(request),
            last_event_id: settings.last_event_id.detached(),
            settings: Arc::new(settings),
            state: State::Idle,
            retry: None,
            attempts: 0,
            failures: 0,
        }
    }

    /// The next item; `None` behind [`Item::Ended`].
    pub async fn next(&mut self) -> Option<Item> {
        poll_fn(|context| self.poll_item(context)).await
    }

    /// The id that the next connection would go on from: that of the last item, or an earlier one if it has none. Empty if
    /// there is none.
    #[must_use]
    pub fn last_event_id(&self) -> Text {
        match &self.state {
            State::Open(open) => open.parser().last_event_id(),
            _ => self.last_event_id.clone(),
        }
    }

    /// Closes the connection if there is one, or ends the wait, and connects at the next poll. Also when the stream has ended.
    pub fn restart(&mut self) {
        self.last_event_id = self.last_event_id().detached();
        self.failures = 0;
        self.state = State::Idle;
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            let item = match &mut self.state {
                State::Idle => Some(self.connect()),
                State::Connecting(attempt) => {
                    let outcome = ready!(attempt.as_mut().poll(context));
                    Some(self.connected(outcome))
                }
                State::Open(open) => {
                    let read = ready!(open.poll(context, &self.settings));
                    self.read(read)
                }
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    Some(self.connect())
                }
                State::Ended => return Poll::Ready(None),
            };
            if item.is_some() {
                return Poll::Ready(item);
            }
        }
    }

    fn connect(&mut self) -> Item {
        self.attempts += 1;
        self.state = State::Connecting(Box::pin(attempt(
            self.connector.clone(),
            self.request.clone(),
            self.settings.clone(),
            self.last_event_id.clone(),
        )));
        Item::Connecting {
            attempt: self.attempts,
        }
    }

    fn connected(&mut self, outcome: Result<Outcome, Error>) -> Item {
        match outcome {
            Ok(Outcome::Open(stream)) => {
                let opened = Box::new(stream.opened.clone());
                let open = Open::new(*stream, &self.settings, self.last_event_id.clone());
                self.state = State::Open(Box::new(open));
                Item::Open(opened)
            }
            Ok(Outcome::NoContent) => {
                self.state = State::Ended;
                Item::Ended(End::NoContent)
            }
            Err(error) => self.lose(error),
        }
    }

    fn read(&mut self, read: Result<Parsed, Error>) -> Option<Item> {
        match read {
            Ok(Parsed::Event(event)) => Some(Item::Event(event)),
            Ok(Parsed::Comment(comment)) => Some(Item::Comment(comment)),
            Ok(Parsed::LastEventId(id)) => Some(Item::LastEventId(id)),
            Ok(Parsed::Retry(retry)) => {
                self.retry = Some(retry);
                None
            }
            Err(error) => Some(self.lose(error)),
        }
    }

    /// There is no stream, or no more.
    fn lose(&mut self, why: Error) -> Item {
        if let State::Open(open) = mem::replace(&mut self.state, State::Ended) {
            self.last_event_id = open.parser().last_event_id().detached();
            if open.was_good(&self.settings)
                && !matches!(why, Error::Parse { .. } | Error::LineTimeout { .. })
            {
                self.failures = 0;
                return self.wait(why);
            }
        }
        self.failures = self.failures.saturating_add(1);
        self.wait(why)
    }

    fn wait(&mut self, why: Error) -> Item {
        if !(self.settings.is_retryable)(&why) {
            return Item::Ended(End::Failed(Box::new(why)));
        }
        let backoff = &self.settings.backoff;
        let delay = backoff.delay(self.failures, self.retry, why.retry_after(), rand::random());
        let until = Instant::now() + delay;
        self.state = State::Waiting(Box::pin(tokio::time::sleep_until(until)));
        Item::Waiting(Box::new(Waiting {
            why,
            until,
            delay,
            failures: self.failures,
        }))
    }
}

impl Stream for EventStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        self.poll_item(context)
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle => "idle",
            State::Connecting(_) => "connecting",
            State::Open(_) => "open",
            State::Waiting(_) => "waiting",
            State::Ended => "ended",
        };
        formatter
            .debug_struct("EventStream")
            .field("request", &self.request)
            .field("state", &state)
            .field("attempts", &self.attempts)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
