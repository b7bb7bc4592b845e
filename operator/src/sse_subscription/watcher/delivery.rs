//! Delivers batches: to all sinks at once, again and again until they are acknowledged, refused or given up.

use super::cloud_event::{Fault, Origin};
use super::event::Event;
use super::progress::Progress;
use super::retry::RetryDelays;
use super::sink::{Failure, Sink};
use crate::sharding::Fence;
use futures::future::{BoxFuture, try_join_all};
use std::sync::Arc;
use std::time::Instant;

/// How batches are delivered.
pub(crate) struct Delivery {
    pub(crate) origin: Origin,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) dead_letter: Option<Sink>,
    /// Tries after the first, before events go to the dead letter.
    pub(crate) retries: u32,
    pub(crate) delays: RetryDelays,
    pub(crate) fence: Fence,
    pub(crate) progress: Arc<Progress>,
}

/// Why nothing more may or need be delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stopped {
    /// A sink never wants an event again.
    Gone { sink: Arc<str>, message: String },
    /// This process may have been replaced.
    Fenced,
}

impl Delivery {
    /// Delivers events to every sink. When it is done, each has been acknowledged or put into the dead letter.
    pub(crate) async fn deliver(&self, events: &[Event]) -> Result<(), Stopped> {
        let all = self.sinks.iter().map(|sink| self.deliver_to(sink, events));
        try_join_all(all).await.map(drop)
    }

    async fn deliver_to(&self, sink: &Sink, events: &[Event]) -> Result<(), Stopped> {
        for part in parts(sink, events) {
            self.deliver_part(sink, part, self.retries).await?;
        }
        Ok(())
    }

    /// Delivers what goes into one request.
    fn deliver_part<'a>(
        &'a self,
        sink: &'a Sink,
        part: &'a [Event],
        retries: u32,
    ) -> BoxFuture<'a, Result<(), Stopped>> {
        Box::pin(async move {
            let mut failures = 0_u32;
            loop {
                let failure = match self.try_once(sink, part, None).await? {
                    Ok(()) => return Ok(()),
                    Err(Failure::Gone(message)) => {
                        let sink = Arc::clone(&sink.name);
                        return Err(Stopped::Gone { sink, message });
                    }
                    Err(failure) => failure,
                };
                failures += 1;
                let is_hopeless = matches!(failure, Failure::Refused(_)) || failures > retries;
                if let Some(dead_letter) = self.dead_letter.as_ref().filter(|_| is_hopeless) {
                    return self.give_up(sink, dead_letter, part, failure).await;
                }
                self.wait(failures, &failure).await;
            }
        })
    }

    async fn try_once(
        &self,
        sink: &Sink,
        part: &[Event],
        fault: Option<&Fault>,
    ) -> Result<Result<(), Failure>, Stopped> {
        if !self.fence.is_open() {
            return Err(Stopped::Fenced);
        }
        let began = Instant::now();
        let sent = sink.send(&self.origin, part, fault).await;
        match &sent {
            Ok(()) => self.progress.sink_acknowledged(&sink.name),
            Err(failure) => self.progress.sink_failed(&sink.name, failure.message(), began),
        }
        Ok(sent)
    }

    async fn wait(&self, failures: u32, failure: &Failure) {
        let random = rand::random::<f64>();
        let delay = self.delays.delay(failures, failure.retry_after(), random);
        tokio::time::sleep(delay).await;
        self.progress.count_retry();
    }

    /// Puts events into the dead letter. Of several that a sink has answered about, the others are saved: halves are tried
    /// once more each.
    async fn give_up(
        &self,
        sink: &Sink,
        dead_letter: &Sink,
        part: &[Event],
        failure: Failure,
    ) -> Result<(), Stopped> {
        if part.len() > 1 && !matches!(failure, Failure::Unreachable(_)) {
            let (first, second) = part.split_at(part.len() / 2);
            self.deliver_part(sink, first, 0).await?;
            return self.deliver_part(sink, second, 0).await;
        }
        let fault = Fault {
            sink: Arc::clone(&sink.name),
            error: failure.message().to_owned(),
        };
        for part in parts(dead_letter, part) {
            let mut failures = 0;
            while let Err(failure) = self.try_once(dead_letter, part, Some(&fault)).await? {
                failures += 1;
                self.wait(failures, &failure).await;
            }
        }
        self.progress.count_dead_lettered(part.len());
        Ok(())
    }
}

fn parts<'a>(sink: &Sink, events: &'a [Event]) -> std::slice::Chunks<'a, Event> {
    events.chunks(sink.events_at_once().min(events.len()).max(1))
}
