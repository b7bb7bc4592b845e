//! Has events go to all sessions of a WsRoute.

use super::super::cloud_event::{self, Origin};
use super::super::event::Event;
use super::Failure;
use crate::broadcaster::Broadcaster;
use crate::config_stream::Unreached;
use heddle_crds::sse_subscription::MessageFormat;
use heddle_route_config::protocol::{
    Broadcast, BroadcastMessage, MESSAGES_LIMIT, TEXT_BYTES_LIMIT, TEXTS_BYTES_LIMIT,
};
use std::time::Duration;

/// A route whose sessions get events.
pub(crate) struct WsRouteSink {
    pub(crate) broadcaster: Broadcaster,
    pub(crate) namespace: String,
    pub(crate) route: String,
    pub(crate) format: MessageFormat,
    pub(crate) timeout: Duration,
}

impl WsRouteSink {
    pub(super) async fn send(&self, origin: &Origin, events: &[Event]) -> Result<(), Failure> {
        let mut messages = Vec::with_capacity(events.len());
        for event in events {
            messages.push(self.message(origin, event)?);
        }
        let sent = tokio::time::timeout(self.timeout, self.broadcast(origin, messages)).await;
        sent.unwrap_or_else(|_| {
            let limit = self.timeout.as_millis();
            Err(Failure::Unreachable(format!(
                "the sessions of WsRoute {} were not reached within {limit} ms",
                self.route
            )))
        })
    }

    /// Sends messages in pieces as large as broadcasts may be.
    async fn broadcast(&self, origin: &Origin, messages: Vec<BroadcastMessage>) -> Result<(), Failure> {
        for messages in pieces(messages) {
            let broadcast = Broadcast {
                number: 0,
                namespace: self.namespace.clone(),
                route: self.route.clone(),
                source: origin.source.to_string(),
                messages,
            };
            self.broadcaster.broadcast(broadcast).await.map_err(failure)?;
        }
        Ok(())
    }

    fn message(&self, origin: &Origin, event: &Event) -> Result<BroadcastMessage, Failure> {
        let (bytes, digest) = match self.format {
            MessageFormat::Data => (event.data.to_vec(), None),
            MessageFormat::CloudEvent => (whole(origin, event), Some(event.digest())),
        };
        if bytes.len() > TEXT_BYTES_LIMIT {
            let length = bytes.len();
            return Err(Failure::Refused(format!(
                "event {} makes a message of {length} bytes; sessions get at most {TEXT_BYTES_LIMIT}",
                event.id
            )));
        }
        Ok(BroadcastMessage {
            id: event.id.to_string(),
            // Streams of events are UTF-8, and so is JSON.
            text: String::from_utf8_lossy(&bytes).into_owned(),
            digest,
            traceparent: event.traceparent.as_deref().map(str::to_owned),
        })
    }
}

/// The event as CloudEvents' JSON.
fn whole(origin: &Origin, event: &Event) -> Vec<u8> {
    // What transcoding has made of the data is for others.
    let event = Event {
        protobuf: None,
        ..event.clone()
    };
    let mut bytes = Vec::new();
    cloud_event::write_json(&mut bytes, origin, &event, None);
    bytes
}

fn failure(unreached: Unreached) -> Failure {
    let Unreached {
        reason,
        message,
        is_final,
    } = unreached;
    match is_final {
        true => Failure::Refused(message),
        false => Failure::NotReady { reason, message },
    }
}

fn pieces(messages: Vec<BroadcastMessage>) -> Vec<Vec<BroadcastMessage>> {
    let mut pieces: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.text.len();
        match pieces.last_mut() {
            Some(piece) if piece.len() < MESSAGES_LIMIT && bytes <= TEXTS_BYTES_LIMIT => piece.push(message),
            _ => {
                bytes = message.text.len();
                pieces.push(vec![message]);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcaster::NoWay;
    use crate::sse_subscription::watcher::event::Protobuf;
    use bytes::Bytes;
    use heddle_crds::sse_subscription::Reason;
    use k8s_openapi::jiff::Timestamp;
    use serde_json::{Value, json};
    use std::time::Instant;
    use tokio::sync::watch;

    fn message(format: MessageFormat, event: &Event) -> BroadcastMessage {
        let sink = WsRouteSink {
            broadcaster: Broadcaster::new(Err(NoWay::Sidecars), watch::channel("".into()).1),
            namespace: "shop".into(),
            route: "chat".into(),
            format,
            timeout: Duration::from_secs(1),
        };
        let origin = Origin::new("/apis/heddle.dev", "https://forge.example/events");
        sink.message(&origin, event).unwrap()
    }

    fn event() -> Event {
        Event {
            id: "7".into(),
            last_event_id: "7".into(),
            type_: "push".into(),
            data: Bytes::from_static(br#"{"a":1}"#),
            protobuf: None,
            received_at: Instant::now(),
            time: Timestamp::UNIX_EPOCH,
            traceparent: None,
        }
    }

    #[test]
    fn an_event_that_is_received_again_has_the_same_digest_and_another_one_has_not() {
        let digest = |event: Event| message(MessageFormat::CloudEvent, &event).digest.unwrap();
        let first = digest(event());
        let again = Event {
            time: Timestamp::from_second(7).unwrap(),
            traceparent: Some("00-1-2-01".into()),
            ..event()
        };
        let whole = message(MessageFormat::CloudEvent, &again);
        assert_ne!(whole.text, message(MessageFormat::CloudEvent, &event()).text);
        assert_eq!(whole.digest, Some(first.clone()));
        let other_data = Event {
            data: Bytes::from_static(b"{}"),
            ..event()
        };
        // Where the one ends and the other begins counts too.
        let other_border = Event {
            type_: "push{".into(),
            data: Bytes::from_static(br#""a":1}"#),
            ..event()
        };
        for other in [other_data, other_border] {
            assert_ne!(digest(other), first);
        }
        let data = message(MessageFormat::Data, &event());
        assert_eq!(data.digest, None, "its text is enough");
    }

    #[test]
    fn messages_hold_the_data_as_it_came_where_it_is_transcoded_for_others() {
        let event = Event {
            protobuf: Some(Protobuf {
                wire: Bytes::from_static(b"\x08\x01"),
                schema: "tag:a#b".into(),
            }),
            ..event()
        };
        let text = |format| message(format, &event).text;
        assert_eq!(text(MessageFormat::Data), r#"{"a":1}"#);
        let whole: Value = serde_json::from_str(&text(MessageFormat::CloudEvent)).unwrap();
        assert_eq!(whole["data"], json!({ "a": 1 }));
        assert_eq!(whole["datacontenttype"], "application/json");
        for name in ["data_base64", "dataschema"] {
            assert_eq!(whole.get(name), None, "{name}");
        }
    }

    fn messages(count: usize, bytes: usize) -> Vec<BroadcastMessage> {
        let message = |id: usize| BroadcastMessage {
            id: id.to_string(),
            text: "x".repeat(bytes),
            ..BroadcastMessage::default()
        };
        (0..count).map(message).collect()
    }

    #[test]
    fn what_can_never_be_taken_is_refused_and_everything_else_is_waited_for() {
        let waits = Unreached::new(Reason::RouteNotFound, "not there");
        let expected = Failure::NotReady {
            reason: Reason::RouteNotFound,
            message: "not there".into(),
        };
        assert_eq!(failure(waits.clone()), expected);
        let hopeless = Unreached {
            is_final: true,
            ..waits
        };
        assert_eq!(failure(hopeless), Failure::Refused("not there".into()));
    }

    #[test]
    fn pieces_keep_the_order_and_both_limits() {
        for (count, bytes, expected) in [
            (1, 0, vec![1]),
            (
                MESSAGES_LIMIT * 2 + 1,
                10,
                vec![MESSAGES_LIMIT, MESSAGES_LIMIT, 1],
            ),
            (9, TEXT_BYTES_LIMIT, vec![4, 4, 1]),
            (0, 0, vec![]),
        ] {
            let all = messages(count, bytes);
            let pieces = pieces(all.clone());
            assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            assert_eq!(pieces.concat(), all);
        }
    }
}
