//! What the connection to the operator is to say, for as long as it takes until that can be sent.

use heddle_route_config::protocol::{Acknowledgement, BroadcastResult, Hello, ToOperator};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Acknowledgements that wait to be sent. More come about only while nobody takes them, and then the newest count.
const ACKNOWLEDGEMENTS_LIMIT: usize = 64;

/// Answers to broadcasts that wait to be sent. Whoever waits for one that is forgotten asks again.
const ANSWERS_LIMIT: usize = 256;

/// What the connection's task is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    state: Mutex<ToldState>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct ToldState {
    /// Nothing is connected before there is one. It has the newest acknowledgement in it.
    pub(super) hello: Option<Hello>,
    /// Each is sent, in their order.
    pub(super) acknowledgements: VecDeque<Acknowledgement>,
    pub(super) answers: VecDeque<BroadcastResult>,
}

impl Told {
    pub(super) fn state(&self) -> MutexGuard<'_, ToldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to begin streams with.
    pub(super) fn begin(&self, hello: Hello) {
        self.state().hello = Some(hello);
        self.changed.notify_one();
    }

    /// An acknowledgement for the stream that there is, and what to begin later ones with.
    pub(super) fn acknowledge(&self, hello: Hello, acknowledgement: Acknowledgement) {
        let mut state = self.state();
        state.hello = Some(hello);
        push(
            &mut state.acknowledgements,
            acknowledgement,
            ACKNOWLEDGEMENTS_LIMIT,
        );
        drop(state);
        self.changed.notify_one();
    }

    /// An answer for the stream that there is.
    pub(super) fn answer(&self, result: BroadcastResult) {
        push(&mut self.state().answers, result, ANSWERS_LIMIT);
        self.changed.notify_one();
    }

    /// Waits for what to begin a stream with.
    pub(super) async fn hello(&self) -> Hello {
        loop {
            if let Some(hello) = self.take_hello() {
                return hello;
            }
            self.changed.notified().await;
        }
    }

    fn take_hello(&self) -> Option<Hello> {
        let mut state = self.state();
        let hello = state.hello.clone()?;
        // The newest acknowledgement is in it, and older ones mean nothing to another stream.
        state.acknowledgements.clear();
        state.answers.clear();
        Some(hello)
    }

    /// Waits for what to send next.
    pub(super) async fn line(&self) -> ToOperator {
        loop {
            if let Some(line) = self.state().take_line() {
                return line;
            }
            self.changed.notified().await;
        }
    }
}

impl ToldState {
    fn take_line(&mut self) -> Option<ToOperator> {
        let acknowledged = self.acknowledgements.pop_front().map(ToOperator::Acknowledged);
        acknowledged.or_else(|| self.answers.pop_front().map(ToOperator::Broadcast))
    }
}

/// Forgets the oldest where there is no room.
fn push<T>(waiting: &mut VecDeque<T>, next: T, limit: usize) {
    if waiting.len() == limit {
        waiting.pop_front();
    }
    waiting.push_back(next);
}
