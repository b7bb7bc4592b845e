//! Messages of the proxy's own, for all sessions of a control at once.
//!
//! They are kept once, however many sessions there are, in a backlog that each session reads at its own pace. Who joins
//! later gets what comes later. A session that takes nothing for so long that a message it has not read is dropped from the
//! backlog misses that message, and goes on with the next.

use crate::frame;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The most messages that are kept for sessions that have not taken them.
pub const BACKLOG_MESSAGES: usize = 1024;

/// The most bytes of them, of which there is one message at least.
pub const BACKLOG_BYTES: usize = 4 << 20;

/// A message, as a frame for clients. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broadcast {
    /// Whole, without a mask and without extensions.
    frame: Bytes,
    header_bytes: usize,
}

/// Whom messages were queued for.
#[derive(Debug)]
pub struct Reach {
    /// How many sessions there were.
    pub sessions: usize,
    looked: Option<oneshot::Receiver<()>>,
}

/// What one session got of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BroadcastVolume {
    /// Messages.
    pub messages: u32,
    /// Their bytes, frame headers included.
    pub bytes: u64,
    /// Messages that it did not take in time or before it ended, or that could not be had in its encoding.
    pub missed: u32,
}

/// The messages of a control.
#[derive(Debug, Default)]
pub(crate) struct Backlog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Kept>,
    bytes: usize,
    /// The number of the message to come; those that are kept are the ones before it.
    next: u64,
    sessions: usize,
    rounds: VecDeque<Round>,
}

#[derive(Debug)]
struct Kept {
    broadcast: Broadcast,
    /// How many sessions have yet to take it.
    left: usize,
}

/// Messages that were queued together.
#[derive(Debug)]
struct Round {
    /// The number of the message behind the last.
    end: u64,
    /// How many sessions have yet to look.
    left: usize,
    /// Told by being dropped.
    _looked: oneshot::Sender<()>,
}

/// Where a session is.
#[derive(Debug)]
pub(crate) struct Place {
    /// The message that it takes next.
    next: u64,
    /// It has looked when this was the message to come.
    looked: u64,
}

impl Broadcast {
    /// A text message.
    pub fn text(text: &str) -> Self {
        let (frame, header_bytes) = frame::text(text);
        Self {
            frame: frame.into(),
            header_bytes,
        }
    }

    /// The frame.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Its payload: the text.
    pub fn payload(&self) -> Bytes {
        self.frame.slice(self.header_bytes..)
    }
}

impl Reach {
    pub(crate) fn has_somebody_to_look(&self) -> bool {
        self.looked.is_some()
    }

    /// Waits until every session has looked: it has taken the messages, or does not take anything at the moment, or has
    /// ended. Whoever queues no more before that makes nobody miss a message who reads.
    pub async fn looked(&mut self) {
        if let Some(looked) = &mut self.looked {
            // Nothing is ever sent.
            let (Ok(()) | Err(_)) = looked.await;
        }
    }
}

impl Backlog {
    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole at every moment, also when somebody panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, broadcasts: Vec<Broadcast>) -> Reach {
        let mut state = self.state();
        let sessions = state.sessions;
        if sessions == 0 || broadcasts.is_empty() {
            return Reach {
                sessions,
                looked: None,
            };
        }
        for broadcast in broadcasts {
            state.push(broadcast);
        }
        let (sender, receiver) = oneshot::channel();
        let round = Round {
            end: state.next,
            left: sessions,
            _looked: sender,
        };
        state.rounds.push_back(round);
        Reach {
            sessions,
            looked: Some(receiver),
        }
    }

    pub(crate) fn join(&self) -> Place {
        let mut state = self.state();
        state.sessions += 1;
        Place {
            next: state.next,
            looked: state.next,
        }
    }

    /// Notes that the session has looked. Whether there is something for it.
    pub(crate) fn look(&self, place: &mut Place) -> bool {
        let mut state = self.state();
        state.look(place);
        place.next < state.next
    }

    /// The next message for a session, and how many it has missed before that.
    pub(crate) fn take(&self, place: &mut Place) -> (Option<Broadcast>, u64) {
        let mut state = self.state();
        let first = state.first();
        let missed = first.saturating_sub(place.next);
        place.next += missed;
        let index = (place.next - first) as usize;
        let taken = state.messages.get_mut(index).map(|kept| {
            kept.left -= 1;
            kept.broadcast.clone()
        });
        place.next += u64::from(taken.is_some());
        state.forget_taken();
        (taken, missed)
    }

    /// Passes over all there is. How many messages that are.
    pub(crate) fn skip(&self, place: &mut Place) -> u64 {
        let mut state = self.state();
        let skipped = state.next - place.next;
        state.skip(place);
        skipped
    }

    pub(crate) fn leave(&self, place: &mut Place) {
        let mut state = self.state();
        state.look(place);
        state.skip(place);
        state.sessions -= 1;
    }
}

impl State {
    /// The number of the oldest that is kept.
    fn first(&self) -> u64 {
        self.next - self.messages.len() as u64
    }

    fn push(&mut self, broadcast: Broadcast) {
        self.bytes += broadcast.frame.len();
        self.next += 1;
        self.messages.push_back(Kept {
            broadcast,
            left: self.sessions,
        });
        while self.messages.len() > BACKLOG_MESSAGES
            || (self.bytes > BACKLOG_BYTES && self.messages.len() > 1)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.messages.pop_front() {
            self.bytes -= first.broadcast.frame.len();
        }
    }

    fn forget_taken(&mut self) {
        while self.messages.front().is_some_and(|first| first.left == 0) {
            self.drop_first();
        }
    }

    fn look(&mut self, place: &mut Place) {
        for round in &mut self.rounds {
            round.left -= usize::from(round.end > place.looked);
        }
        place.looked = self.next;
        self.rounds.retain(|round| round.left > 0);
    }

    fn skip(&mut self, place: &mut Place) {
        let first = self.first();
        let index = place.next.saturating_sub(first) as usize;
        for kept in self.messages.iter_mut().skip(index) {
            kept.left -= 1;
        }
        place.next = self.next;
        self.forget_taken();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn texts<const N: usize>(texts: [&str; N]) -> Vec<Broadcast> {
        texts.map(Broadcast::text).into()
    }

    fn kept(backlog: &Backlog) -> (usize, usize) {
        let state = backlog.state();
        (state.messages.len(), state.bytes)
    }

    fn take_all(backlog: &Backlog, place: &mut Place) -> (Vec<String>, u64) {
        let (mut taken, mut missed_all) = (Vec::new(), 0);
        loop {
            let (broadcast, missed) = backlog.take(place);
            missed_all += missed;
            let Some(broadcast) = broadcast else { break };
            taken.push(String::from_utf8(broadcast.payload().to_vec()).unwrap());
        }
        (taken, missed_all)
    }

    #[test]
    fn each_session_takes_what_was_queued_while_it_was_there_and_nothing_is_kept_for_nobody() {
        let backlog = Backlog::default();
        assert_eq!(backlog.push(texts(["nobody"])).sessions, 0);
        let mut first = backlog.join();
        assert_eq!(backlog.push(texts(["a", "b"])).sessions, 1);
        let mut second = backlog.join();
        assert_eq!(backlog.push(texts(["c"])).sessions, 2);
        assert_eq!(take_all(&backlog, &mut second), (vec!["c".into()], 0));
        assert_eq!(backlog.state().messages.len(), 3);
        assert_eq!(
            take_all(&backlog, &mut first),
            (vec!["a".into(), "b".into(), "c".into()], 0)
        );
        assert_eq!(kept(&backlog), (0, 0));
        backlog.push(texts(["d"]));
        backlog.leave(&mut first);
        assert_eq!(backlog.state().messages.len(), 1);
        backlog.leave(&mut second);
        assert_eq!((kept(&backlog), backlog.state().sessions), ((0, 0), 0));
    }

    #[test]
    fn a_session_that_does_not_read_misses_the_oldest_and_takes_the_rest() {
        let backlog = Backlog::default();
        let mut place = backlog.join();
        for number in 0..BACKLOG_MESSAGES + 3 {
            backlog.push(vec![Broadcast::text(&number.to_string())]);
        }
        let (taken, missed) = take_all(&backlog, &mut place);
        assert_eq!((taken.len(), missed), (BACKLOG_MESSAGES, 3));
        assert_eq!(taken[0], "3");
        let large = "x".repeat(BACKLOG_BYTES / 2);
        backlog.push(texts([large.as_str(), large.as_str()]));
        let (taken, missed) = take_all(&backlog, &mut place);
        assert_eq!((taken.len(), missed), (1, 1), "headers count too");
        let huge = "x".repeat(BACKLOG_BYTES + 1);
        backlog.push(texts([huge.as_str()]));
        assert_eq!(take_all(&backlog, &mut place).0.len(), 1, "one is kept at least");
    }

    async fn is_ready(reach: &mut Reach) -> bool {
        tokio::time::timeout(Duration::ZERO, reach.looked()).await.is_ok()
    }

    #[tokio::test]
    async fn a_round_is_over_when_all_that_were_there_have_looked_or_left() {
        let backlog = Backlog::default();
        let (mut first, mut second) = (backlog.join(), backlog.join());
        let mut round = backlog.push(texts(["a"]));
        let mut late = backlog.join();
        let mut another = backlog.push(texts(["b"]));
        assert!(backlog.look(&mut first));
        assert!(!is_ready(&mut round).await);
        backlog.leave(&mut second);
        assert!(is_ready(&mut round).await);
        assert!(!is_ready(&mut another).await);
        assert!(backlog.look(&mut late));
        assert!(is_ready(&mut another).await);
        assert!(backlog.state().rounds.is_empty());
        assert!(
            is_ready(&mut backlog.push(Vec::new())).await,
            "nothing to look at"
        );
    }
}
