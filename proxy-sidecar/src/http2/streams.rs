//! How many streams a connection has, and for how long it has had none.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Counts the streams of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(watch::Sender<usize>);

/// A stream that counts until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStream(watch::Sender<usize>);

impl Streams {
    /// Counts one more.
    pub(super) fn open(&self) -> OpenStream {
        self.0.send_modify(|open| *open += 1);
        OpenStream(self.0.clone())
    }

    /// Counts one more, unless there are `most`.
    pub(super) fn open_within(&self, most: usize) -> Option<OpenStream> {
        let add = |open: &mut usize| {
            let has_room = *open < most;
            *open += usize::from(has_room);
            has_room
        };
        self.0.send_if_modified(add).then(|| OpenStream(self.0.clone()))
    }

    pub(super) fn are_none(&self) -> bool {
        *self.0.borrow() == 0
    }

    /// Waits until there has been no stream for `limit`, or none at all by `first`.
    pub(super) async fn idle(&self, first: Instant, limit: Duration) {
        let mut open = self.0.subscribe();
        let mut deadline = first;
        loop {
            let is_idle = *open.borrow_and_update() == 0;
            // It cannot fail: the sender is at hand.
            match is_idle {
                true if timeout_at(deadline, open.changed()).await.is_err() => return,
                true => {}
                false => open.changed().await.unwrap_or_default(),
            }
            deadline = Instant::now() + limit;
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idleness_begins_anew_with_every_stream() {
        let (streams, began) = (Streams::default(), Instant::now());
        let limit = Duration::from_secs(60);
        let use_it = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let stream = streams.open();
            tokio::time::sleep(Duration::from_secs(600)).await;
            drop(stream);
            tokio::time::sleep(Duration::from_secs(59)).await;
            drop(streams.open());
        };
        tokio::join!(streams.idle(began + Duration::from_secs(10), limit), use_it);
        assert_eq!(began.elapsed(), Duration::from_secs(5 + 600 + 59 + 60));
        streams.idle(Instant::now(), limit).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5 + 600 + 59 + 60));
    }

    #[test]
    fn no_more_streams_are_opened_than_there_may_be() {
        let streams = Streams::default();
        let first = streams.open_within(1);
        assert!(first.is_some() && streams.open_within(1).is_none());
        drop(first);
        assert!(streams.are_none() && streams.open_within(1).is_some());
    }
}
