//! Bounds what all reviews that are under way may hold: each connection may bring a large one, and there may be many.

use super::BODY_LIMIT;
use hyper::body::Body;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The most bytes of reviews that are under way: as many as eight of the largest, or some thousand of usual pods. What is
/// made of them takes several times as much.
const BYTES: usize = 8 * BODY_LIMIT;

/// How long a review waits for others to end before it is turned away.
const WAIT: Duration = Duration::from_secs(2);

/// What is left for reviews.
#[derive(Debug)]
pub(crate) struct InFlight(Semaphore);

impl Default for InFlight {
    fn default() -> Self {
        Self(Semaphore::new(BYTES))
    }
}

impl InFlight {
    /// Room for a review, by the length that it says it has, until the permit is dropped. Nothing if there is none in time.
    pub(super) async fn room(&self, body: &impl Body) -> Option<SemaphorePermit<'_>> {
        // What is longer is not read to its end.
        let limit = u64::try_from(BODY_LIMIT).unwrap_or(u64::MAX);
        let bytes = body.size_hint().upper().unwrap_or(limit).min(limit);
        let permit = self.0.acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX));
        tokio::time::timeout(WAIT, permit).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::FutureExt as _;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use std::convert::Infallible;

    fn of(bytes: usize) -> Full<Bytes> {
        Full::new(vec![0; bytes].into())
    }

    #[tokio::test]
    async fn reviews_hold_no_more_together_than_they_may_and_wait_for_room_for_a_while() {
        let in_flight = InFlight::default();
        // Nobody knows the length of these.
        let unknown = || StreamBody::new(futures::stream::empty::<Result<Frame<Bytes>, Infallible>>());
        let mut held = Vec::new();
        for _ in 0..BYTES / BODY_LIMIT {
            held.push(in_flight.room(&unknown()).await.unwrap());
        }
        assert!(in_flight.room(&of(1)).await.is_none());
        let large = of(2 * BODY_LIMIT);
        let mut waiting = std::pin::pin!(in_flight.room(&large));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        held.pop();
        let room = waiting.await;
        assert!(room.is_some(), "one has ended meanwhile");
        let few = of(1);
        let waiting = in_flight.room(&few);
        assert!(futures::poll!(std::pin::pin!(waiting)).is_pending());
        drop(room);
        assert!(in_flight.room(&of(BODY_LIMIT)).await.is_some());
    }

    #[tokio::test]
    async fn a_review_takes_the_room_that_it_needs_and_no_more() {
        let in_flight = InFlight::default();
        let few = of(BODY_LIMIT / 4);
        let mut held = Vec::new();
        while let Some(Some(room)) = in_flight.room(&few).now_or_never() {
            held.push(room);
        }
        assert_eq!(held.len(), BYTES / BODY_LIMIT * 4);
    }
}
