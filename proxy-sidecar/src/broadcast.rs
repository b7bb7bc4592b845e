//! Messages for all sessions of a route, as the operator sends them.

use crate::live::LiveRoute;
use crate::shared::Shared;
use heddle_route_config::RouteId;
use heddle_route_config::protocol::{
    Broadcast, BroadcastError, BroadcastMessage, BroadcastResult, TEXT_BYTES_LIMIT,
};
use heddle_telemetry::{ContinueTrace as _, TraceParent};
use heddle_ws_session::broadcast::{self as session, Reach};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::timeout;

/// Messages of a route that are known again when they come again.
const REMEMBERED_LIMIT: usize = 4096;

/// How long sessions may take to look before a broadcast is answered all the same: they have it queued.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// Which messages of a route have been queued lately.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// With keys that nobody outside knows, so that no two that differ are taken for one on purpose.
    hasher: RandomState,
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Remembered {
    /// Whether it is new. It is none from now on.
    fn remember(&mut self, source: &str, message: &BroadcastMessage) -> bool {
        // Not by the id alone: a source that began anew may have given it to something else.
        let BroadcastMessage { id, text, digest, .. } = message;
        let hash = match digest {
            Some(digest) => self.hasher.hash_one((source, id, true, digest)),
            None => self.hasher.hash_one((source, id, false, text)),
        };
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED_LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

/// Queues the messages that have not been before for every session that the route has now.
pub(crate) fn queue(shared: &Shared, broadcast: &Broadcast) -> Result<Reach, BroadcastError> {
    let id = RouteId {
        namespace: broadcast.namespace.clone(),
        name: broadcast.route.clone(),
    };
    let routes = shared.routes();
    let live = routes.get(&id).ok_or(BroadcastError::RouteUnknown)?;
    let most = longest(live);
    let mut messages = broadcast.messages.iter();
    if messages.any(|message| message.text.len() > most) {
        return Err(BroadcastError::MessageTooLong);
    }
    let new = new_messages(live, broadcast);
    let texts = new.iter().map(|message| session::Broadcast::text(&message.text));
    let reach = live.control.broadcast(texts.collect());
    for message in new {
        trace(&id, message, reach.sessions);
    }
    Ok(reach)
}

/// The most bytes of a message.
fn longest(live: &LiveRoute) -> usize {
    let of_route = live.route.limits.max_message_bytes;
    let of_route = of_route.and_then(|limit| usize::try_from(limit).ok());
    of_route.map_or(TEXT_BYTES_LIMIT, |limit| limit.min(TEXT_BYTES_LIMIT))
}

fn new_messages<'a>(live: &LiveRoute, broadcast: &'a Broadcast) -> Vec<&'a BroadcastMessage> {
    let remembered = &live.sessions.remembered;
    let mut remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    let messages = broadcast.messages.iter();
    messages
        .filter(|message| remembered.remember(&broadcast.source, message))
        .collect()
}

/// Goes on with the trace of a message, if it has one.
fn trace(route: &RouteId, message: &BroadcastMessage, sessions: usize) {
    let parent = message.traceparent.as_deref();
    let Some(parent) = parent.and_then(|parent| parent.parse::<TraceParent>().ok()) else {
        return;
    };
    let span = tracing::info_span!(parent: None, "websocket broadcast", otel.kind = "consumer");
    // A disabled span continues nothing, and the line below then has no ids.
    span.continue_from(&parent).ok();
    let RouteId { namespace, name } = route;
    let id = message.id.as_str();
    span.in_scope(|| {
        tracing::info!(
            namespace,
            route = name,
            id,
            sessions,
            "message queued for all sessions"
        )
    });
}

/// Waits until sessions have had their turn, so that a source that is faster than they are waits for them.
pub(crate) async fn pace(number: u64, mut reach: Reach) -> BroadcastResult {
    // Those that take longer have it queued.
    timeout(LOOK_TIMEOUT, reach.looked()).await.ok();
    BroadcastResult {
        number,
        sessions: reach.sessions as u64,
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_ws_session::{Endpoint, SessionContext, SessionControl};
    use std::pin::pin;
    use std::sync::Arc;

    fn message(id: &str, text: &str) -> BroadcastMessage {
        BroadcastMessage {
            id: id.into(),
            text: text.into(),
            ..BroadcastMessage::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_do_not_look_hold_up_the_answer_for_a_while_only() {
        let context = SessionContext {
            rules: Arc::default(),
            control: SessionControl::new(),
            traffic: Arc::default(),
        };
        let control = context.control.clone();
        let end = || Endpoint::new(tokio::io::duplex(1).0);
        let _stuck = heddle_ws_session::run(end(), end(), context);
        let reach = control.broadcast(vec![session::Broadcast::text("for all")]);
        let mut answer = pin!(pace(7, reach));
        timeout(LOOK_TIMEOUT / 2, &mut answer)
            .await
            .expect_err("it may still look");
        let result = timeout(LOOK_TIMEOUT, answer).await.expect("an answer");
        assert_eq!((result.sessions, result.error), (1, None));
    }

    #[test]
    fn a_message_that_comes_again_is_known_by_source_id_and_text() {
        let mut remembered = Remembered::default();
        assert!(remembered.remember("a", &message("1", "x")));
        assert!(!remembered.remember("a", &message("1", "x")));
        let again = BroadcastMessage {
            traceparent: Some("00-1".into()),
            ..message("1", "x")
        };
        assert!(!remembered.remember("a", &again));
        assert!(remembered.remember("b", &message("1", "x")));
        assert!(remembered.remember("a", &message("2", "x")));
        assert!(remembered.remember("a", &message("1", "y")));
    }

    #[test]
    fn a_message_with_a_digest_is_known_by_that_whatever_its_text_says() {
        let mut remembered = Remembered::default();
        let with = |digest: &str, text| BroadcastMessage {
            digest: Some(digest.into()),
            ..message("1", text)
        };
        assert!(remembered.remember("a", &with("x", "at noon")));
        assert!(!remembered.remember("a", &with("x", "at one")));
        assert!(remembered.remember("a", &with("y", "at one")));
        assert!(
            remembered.remember("a", &message("1", "x")),
            "a text is no digest"
        );
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut remembered = Remembered::default();
        for number in 0..=REMEMBERED_LIMIT {
            assert!(remembered.remember("a", &message(&number.to_string(), "")));
        }
        assert_eq!(remembered.hashes.len(), REMEMBERED_LIMIT);
        assert!(!remembered.remember("a", &message("1", "")));
        assert!(
            remembered.remember("a", &message("0", "")),
            "the oldest is forgotten"
        );
    }
}
