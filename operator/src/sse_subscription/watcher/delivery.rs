//! Delivers batches: to all sinks at once, again and again until they are acknowledged, refused or given up.

use super::cloud_event::{Fault, Origin};
use super::event::Event;
use super::progress::Progress;
use super::retry::RetryDelays;
use super::sink::{Failure, Sink};
use super::transcoder::{Misfit, Transcoded, Transcoder};
use crate::sharding::Fence;
use crate::sse_subscription::types::Types;
use futures::future::{BoxFuture, pending, try_join, try_join_all};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How batches are delivered.
pub(crate) struct Delivery {
    pub(crate) origin: Origin,
    /// Makes of the data what sinks get, if that is another thing.
    pub(crate) transcoder: Option<Transcoder>,
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
        match &self.transcoder {
            None => self.deliver_to_all(events).await,
            Some(transcoder) => self.deliver_transcoded(transcoder, events).await,
        }
    }

    async fn deliver_to_all(&self, events: &[Event]) -> Result<(), Stopped> {
        let all = self.sinks.iter().map(|sink| self.deliver_to(sink, events));
        try_join_all(all).await.map(drop)
    }

    /// Delivers what fits, and puts the rest into the dead letter. Without one, an event that does not fit holds up those
    /// behind it until there are types that it fits.
    async fn deliver_transcoded(&self, transcoder: &Transcoder, events: &[Event]) -> Result<(), Stopped> {
        let mut types = transcoder.types();
        let mut rest = events;
        let mut held = None::<Held>;
        loop {
            let now = Arc::clone(&types.borrow_and_update());
            let Transcoded { fitting, misfits } = transcoder.transcode(&now, rest);
            let Some(first) = misfits.first() else {
                drop(held);
                return self.deliver_to_all(&fitting).await;
            };
            if let Some(dead_letter) = &self.dead_letter {
                let buried = self.bury_misfits(dead_letter, rest, &misfits);
                return try_join(self.deliver_to_all(&fitting), buried).await.map(drop);
            }
            let (done, others) = rest.split_at(first.index);
            if !done.is_empty() {
                held = None;
                self.deliver_to_all(&fitting[..done.len()]).await?;
            }
            rest = others;
            let Some(event) = rest.first() else { return Ok(()) };
            let held = held.get_or_insert_with(|| Held::new(&self.progress, event));
            held.failed(&first.why);
            if !self.fence.is_open() {
                return Err(Stopped::Fenced);
            }
            let delay = self.delays.delay(held.failures, None, rand::random());
            other_types(&mut types, delay).await;
        }
    }

    async fn bury_misfits(
        &self,
        dead_letter: &Sink,
        events: &[Event],
        misfits: &[Misfit],
    ) -> Result<(), Stopped> {
        self.progress.count_misfits(misfits.len());
        for Misfit { index, why } in misfits {
            let event = events.get(*index..=*index).unwrap_or_default();
            let fault = Fault {
                sink: None,
                error: why.clone(),
            };
            self.bury(dead_letter, event, &fault).await?;
        }
        Ok(())
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
            Err(failure) => self.progress.sink_failed(&sink.name, failure, began),
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
        if part.len() > 1 && !matches!(failure, Failure::Unreachable(_) | Failure::NotReady { .. }) {
            let (first, second) = part.split_at(part.len() / 2);
            self.deliver_part(sink, first, 0).await?;
            return self.deliver_part(sink, second, 0).await;
        }
        let fault = Fault {
            sink: Some(Arc::clone(&sink.name)),
            error: failure.message().to_owned(),
        };
        self.bury(dead_letter, part, &fault).await
    }

    /// Puts events into the dead letter, however long that takes.
    async fn bury(&self, dead_letter: &Sink, events: &[Event], fault: &Fault) -> Result<(), Stopped> {
        for part in parts(dead_letter, events) {
            let mut failures = 0;
            while let Err(failure) = self.try_once(dead_letter, part, Some(fault)).await? {
                failures += 1;
                self.wait(failures, &failure).await;
            }
        }
        self.progress.count_dead_lettered(events.len());
        Ok(())
    }
}

/// An event that does not fit and holds up those behind it. People are told of it as long as this is there.
struct Held<'a> {
    progress: &'a Progress,
    id: Arc<str>,
    failures: u32,
}

impl<'a> Held<'a> {
    fn new(progress: &'a Progress, event: &Event) -> Self {
        progress.count_misfits(1);
        Self {
            progress,
            id: Arc::clone(&event.id),
            failures: 0,
        }
    }

    fn failed(&mut self, why: &str) {
        self.failures = self.failures.saturating_add(1);
        self.progress.event_held(&self.id, why);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.progress.event_released(&self.id);
    }
}

/// Waits until there are other types, or so long.
async fn other_types(types: &mut watch::Receiver<Arc<Types>>, delay: Duration) {
    let changed = async {
        if types.changed().await.is_err() {
            // There will be none.
            pending::<()>().await;
        }
    };
    // It is tried again whichever of the two it was.
    tokio::time::timeout(delay, changed).await.ok();
}

fn parts<'a>(sink: &Sink, events: &'a [Event]) -> std::slice::Chunks<'a, Event> {
    events.chunks(sink.events_at_once().min(events.len()).max(1))
}
