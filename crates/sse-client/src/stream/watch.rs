//! Notices that a stream has gone silent, or drips.

use crate::error::Place;
use crate::{Error, Settings};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Times of what last happened, and one timer, which is set anew only when it fires too early or would fire too late: bytes
/// that come do not touch it.
pub(super) struct Watch {
    last_byte: Instant,
    /// How many lines have ended, and since when the one behind them is unfinished.
    lines: u64,
    line_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    Silence(Duration),
    Line,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_byte: now,
            lines: 0,
            line_since: None,
            timer: None,
        }
    }

    pub(super) fn saw_bytes(&mut self, now: Instant) {
        self.last_byte = now;
    }

    /// What is known of lines after the last bytes.
    pub(super) fn saw_line(&mut self, ended: u64, is_inside: bool) {
        let is_another = std::mem::replace(&mut self.lines, ended) != ended;
        self.line_since = match (is_inside, self.line_since) {
            (false, _) => None,
            (true, Some(since)) if !is_another => Some(since),
            (true, _) => Some(self.last_byte),
        };
    }

    /// Ready when something has taken too long.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, settings: &Settings) -> Poll<Expired> {
        loop {
            let Some((deadline, expired)) = self.deadline(settings) else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= deadline {
                return Poll::Ready(expired);
            }
            timer.as_mut().reset(deadline);
        }
    }

    fn deadline(&self, settings: &Settings) -> Option<(Instant, Expired)> {
        let silence = settings
            .read_timeout
            .map(|limit| (self.last_byte + limit, Expired::Silence(limit)));
        let line = self
            .line_since
            .map(|since| (since + settings.line_timeout, Expired::Line));
        silence
            .into_iter()
            .chain(line)
            .min_by_key(|(deadline, _)| *deadline)
    }
}

impl Expired {
    pub(super) fn error(self, place: Place, settings: &Settings) -> Error {
        match self {
            Self::Silence(limit) => Error::ReadTimeout { place, limit },
            Self::Line => Error::LineTimeout {
                place,
                limit: settings.line_timeout,
            },
        }
    }
}
