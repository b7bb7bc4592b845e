//! Messages for all sessions of a route: from the replica that holds their source, through the leader, to every sidecar that
//! serves the route.

use super::sidecars::{Asked, Sidecars};
use crate::metrics::Metrics;
use futures::future::join_all;
use heddle_crds::sse_subscription::Reason;
use heddle_route_config::protocol::{Broadcast, BroadcastError, BroadcastResult};
use heddle_telemetry::{ContinueTrace as _, TraceParent};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a sidecar may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Broadcasts under way at the same time.
const BROADCASTS_LIMIT: usize = 32;

/// How many pods are named in a message.
const NAMED_PODS: usize = 5;

/// Whom messages have reached: they are queued for every session.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reached {
    pub(crate) sidecars: usize,
    pub(crate) sessions: u64,
}

/// Why messages have not reached every ready sidecar of a route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unreached {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// Whether it would be no use to try again.
    pub(crate) is_final: bool,
}

impl Unreached {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            is_final: false,
        }
    }
}

/// What relays messages to sidecars, on the leader. Clones share it.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(super) sidecars: Sidecars,
    pub(super) metrics: Metrics,
    permits: Arc<Semaphore>,
}

impl Relay {
    pub(crate) fn new(sidecars: Sidecars, metrics: Metrics) -> Self {
        Self {
            sidecars,
            metrics,
            permits: Arc::new(Semaphore::new(BROADCASTS_LIMIT)),
        }
    }

    /// Sends messages to the sidecars of a route, and waits until all of those in ready pods have queued them.
    pub(crate) async fn relay(&self, mut broadcast: Broadcast) -> Result<Reached, Unreached> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let spans = continue_traces(&mut broadcast);
        let result = match self.sidecars.ask(broadcast) {
            Ok(asked) => judge(join_all(asked.into_iter().map(answer)).await),
            Err(unreached) => Err(unreached),
        };
        self.metrics.count_broadcast(match &result {
            Ok(_) => "reached",
            Err(unreached) => unreached.reason.as_str(),
        });
        drop(spans);
        result
    }
}

/// A span for each message that has a trace, in which it goes on.
fn continue_traces(broadcast: &mut Broadcast) -> Vec<tracing::Span> {
    let (namespace, route) = (broadcast.namespace.as_str(), broadcast.route.as_str());
    let mut spans = Vec::new();
    for message in &mut broadcast.messages {
        let parent = message.traceparent.as_deref();
        let Some(parent) = parent.and_then(|parent| parent.parse::<TraceParent>().ok()) else {
            continue;
        };
        let span = tracing::info_span!(parent: None, "ws_route.broadcast", namespace, route, id = message.id);
        // Without telemetry there is no trace to go on with.
        if span.continue_from(&parent).is_ok()
            && let Some(own) = TraceParent::of(&span)
        {
            message.traceparent = Some(own.to_string());
        }
        spans.push(span);
    }
    spans
}

/// What one sidecar has answered.
struct Answered {
    pod: String,
    /// Whether it counts.
    is_ready: bool,
    result: Result<u64, Silence>,
}

/// Why a sidecar has queued nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Silence {
    NotConnected,
    NoAnswer,
    Said(BroadcastError),
}

async fn answer(asked: Asked) -> Answered {
    let Asked {
        pod,
        is_ready,
        answer,
    } = asked;
    let result = match answer {
        None => Err(Silence::NotConnected),
        Some(answer) => match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(BroadcastResult {
                error: None,
                sessions,
                ..
            })) => Ok(sessions),
            Ok(Ok(BroadcastResult {
                error: Some(error), ..
            })) => Err(Silence::Said(error)),
            Ok(Err(_)) => Err(Silence::NotConnected),
            Err(_) => Err(Silence::NoAnswer),
        },
    };
    Answered {
        pod,
        is_ready,
        result,
    }
}

/// All sidecars in ready pods must have queued the messages. Those of others, which may be about to end, need not.
fn judge(answers: Vec<Answered>) -> Result<Reached, Unreached> {
    let mut reached = Reached::default();
    let mut failed = Vec::new();
    for Answered {
        pod,
        is_ready,
        result,
    } in answers
    {
        match result {
            Ok(sessions) => {
                reached.sidecars += 1;
                reached.sessions += sessions;
            }
            Err(silence) if is_ready => failed.push((pod, silence)),
            Err(_) => {}
        }
    }
    match failed.is_empty() {
        true => Ok(reached),
        false => Err(unreached(&failed)),
    }
}

fn unreached(failed: &[(String, Silence)]) -> Unreached {
    let named = failed.iter().take(NAMED_PODS).map(|(pod, silence)| {
        let why = match silence {
            Silence::NotConnected => "is not connected",
            Silence::NoAnswer => "does not answer",
            Silence::Said(BroadcastError::RouteUnknown) => "does not serve the route yet",
            Silence::Said(BroadcastError::MessageTooLong) => {
                "takes no message of this length on the route (limits.maxMessageBytes)"
            }
            Silence::Said(BroadcastError::Busy) => "has too many messages to queue",
            Silence::Said(BroadcastError::Other) => "has refused the messages",
        };
        format!("the sidecar of pod {pod} {why}")
    });
    let mut message = named.collect::<Vec<_>>().join("; ");
    if let Some(more @ 1..) = failed.len().checked_sub(NAMED_PODS) {
        message = format!("{message}; and {more} more");
    }
    let is_too_long =
        |(_, silence): &(String, Silence)| *silence == Silence::Said(BroadcastError::MessageTooLong);
    Unreached {
        reason: Reason::SinkFailing,
        message,
        is_final: failed.iter().all(is_too_long),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(pod: &str, is_ready: bool, result: Result<u64, Silence>) -> Answered {
        Answered {
            pod: pod.into(),
            is_ready,
            result,
        }
    }

    #[test]
    fn every_ready_pod_counts_and_pods_that_are_not_ready_do_not() {
        let reached = judge(vec![
            answered("a", true, Ok(2)),
            answered("b", false, Ok(3)),
            answered("c", false, Err(Silence::NoAnswer)),
        ]);
        let expected = Reached {
            sidecars: 2,
            sessions: 5,
        };
        assert_eq!(reached, Ok(expected));
        let unreached = judge(vec![
            answered("a", true, Ok(2)),
            answered("b", true, Err(Silence::NoAnswer)),
        ]);
        let unreached = unreached.unwrap_err();
        assert_eq!(unreached.message, "the sidecar of pod b does not answer");
        assert!(!unreached.is_final);
    }

    #[test]
    fn what_is_too_long_everywhere_is_not_tried_again_and_few_pods_are_named() {
        let too_long = || Err(Silence::Said(BroadcastError::MessageTooLong));
        let all: Vec<_> = (0..7)
            .map(|number| answered(&format!("p{number}"), true, too_long()))
            .collect();
        let unreached = judge(all).unwrap_err();
        assert!(unreached.is_final);
        assert!(unreached.message.ends_with("; and 2 more"), "{unreached:?}");
        let mixed = vec![
            answered("a", true, too_long()),
            answered("b", true, Err(Silence::NotConnected)),
        ];
        assert!(!judge(mixed).unwrap_err().is_final);
    }
}
