//! An event on its way from the source to its sinks.

use bytes::Bytes;
use k8s_openapi::jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of the digest that tells events of the same id apart.
const DIGEST_BYTES: usize = 8;

/// What an event costs besides its data and names: this struct, its place in a queue, and what allocators add.
const OVERHEAD_BYTES: usize = 256;

/// An event as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// What identifies it at the sinks, the same whenever the source sends it.
    pub(crate) id: Arc<str>,
    /// The stream's last event id after this event: where to go on when it is acknowledged.
    pub(crate) last_event_id: Arc<str>,
    pub(crate) type_: Arc<str>,
    /// UTF-8.
    pub(crate) data: Bytes,
    /// The same as a message, for sinks, when it has been transcoded.
    pub(crate) protobuf: Option<Protobuf>,
    pub(crate) received_at: Instant,
    pub(crate) time: Timestamp,
    /// The W3C `traceparent` of the event's trace.
    pub(crate) traceparent: Option<Arc<str>>,
}

/// Data as a protobuf message.
#[derive(Clone, Debug)]
pub(crate) struct Protobuf {
    pub(crate) wire: Bytes,
    /// The URI of its schema.
    pub(crate) schema: Arc<str>,
}

impl Event {
    /// Bytes that it takes up in memory, as far as they matter for the budget.
    pub(crate) fn cost(&self) -> usize {
        self.data.len() + self.id.len() + OVERHEAD_BYTES
    }

    /// Of what the source said, and so the same when it sends the event again, unlike time and trace, which are those of its receipt.
    pub(crate) fn digest(&self) -> String {
        digest(&self.type_, &self.data)
    }
}

/// Gives events ids that are the same when the source sends them again.
///
/// An event that sets the stream's last event id to a new value has that as its own. Others follow one that did, and a
/// source that resumes sends them in the same order after it: their id is that one's, their number since, and a digest.
/// Before any id there is nothing that a source could resume from, and so nothing that could come twice: the id is made
/// unique by a word for this connection.
#[derive(Debug)]
pub(crate) struct Identities {
    last_event_id: Arc<str>,
    followers: u64,
    connection: String,
}

impl Identities {
    /// For a stream that goes on after `last_event_id`, which is empty at the beginning.
    pub(crate) fn new(last_event_id: Arc<str>) -> Self {
        Self {
            last_event_id,
            followers: 0,
            connection: format!("{:016x}", rand::random::<u64>()),
        }
    }

    /// Another connection was opened: without an id, what it sends has nothing to do with what was sent before.
    pub(crate) fn reconnected(&mut self) {
        self.followers = 0;
        self.connection = format!("{:016x}", rand::random::<u64>());
    }

    /// The last event id, as of the newest event.
    pub(crate) fn last_event_id(&self) -> &Arc<str> {
        &self.last_event_id
    }

    /// The last event id has changed without an event.
    pub(crate) fn pass(&mut self, last_event_id: &str) {
        if *last_event_id != *self.last_event_id {
            self.last_event_id = last_event_id.into();
            self.followers = 0;
        }
    }

    /// The id of the next event, after which the stream's last event id is `last_event_id`.
    pub(crate) fn next(&mut self, last_event_id: &str, type_: &str, data: &[u8]) -> Arc<str> {
        if !last_event_id.is_empty() && *last_event_id != *self.last_event_id {
            self.last_event_id = last_event_id.into();
            self.followers = 0;
            return Arc::clone(&self.last_event_id);
        }
        self.pass(last_event_id);
        self.followers += 1;
        let digest = digest(type_, data);
        match last_event_id {
            "" => format!("{}+{}", self.connection, self.followers).into(),
            _ => format!("{last_event_id}+{}-{digest}", self.followers).into(),
        }
    }
}

fn digest(type_: &str, data: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update((type_.len() as u64).to_be_bytes());
    hash.update(type_);
    hash.update(data);
    let mut text = String::new();
    for byte in &hash.finalize()[..DIGEST_BYTES] {
        // Writing to a String has no way to fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(identities: &mut Identities, events: &[(&str, &str)]) -> Vec<Arc<str>> {
        events
            .iter()
            .map(|(id, data)| identities.next(id, "message", data.as_bytes()))
            .collect()
    }

    #[test]
    fn an_event_that_comes_again_after_a_resumption_has_the_same_id() {
        let stream = [("1", "a"), ("1", "b"), ("1", "b"), ("2", "c")];
        let first = ids(&mut Identities::new("".into()), &stream);
        assert_eq!(*first[0], *"1");
        assert_eq!(*first[3], *"2");
        let again = ids(&mut Identities::new("1".into()), &stream[1..]);
        assert_eq!(first[1..], again);
        let mut unique = first.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), first.len(), "{first:?}");
    }

    #[test]
    fn events_without_any_id_never_share_one() {
        let mut identities = Identities::new("".into());
        let mut all = ids(&mut identities, &[("", "a"), ("", "a")]);
        identities.reconnected();
        all.extend(ids(&mut identities, &[("", "a")]));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn an_empty_id_begins_anew() {
        let mut identities = Identities::new("7".into());
        ids(&mut identities, &[("", "a")]);
        assert_eq!(**identities.last_event_id(), *"");
    }
}
