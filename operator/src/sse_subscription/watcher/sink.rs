//! Where events go, ready to be used.

pub(crate) mod http;
pub(crate) mod idl_repo;
pub(crate) mod ws_route;

use self::http::HttpSink;
use super::cloud_event::{Fault, Origin};
use super::event::Event;
use heddle_crds::sse_subscription::Reason;
use heddle_telemetry::{ContinueTrace, TraceParent};
use idl_repo::IdlRepoSink;
use std::sync::Arc;
use std::time::Duration;
use tracing::Span;
use ws_route::WsRouteSink;

/// A place that events go to.
pub(crate) struct Sink {
    /// As the specification calls it.
    pub(crate) name: Arc<str>,
    pub(crate) target: Target,
}

/// What kind of place it is.
pub(crate) enum Target {
    Http(Box<HttpSink>),
    IdlRepo(Box<IdlRepoSink>),
    WsRoute(Box<WsRouteSink>),
    Log,
}

/// Why events were not acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// These events are not wanted, and trying again would not help.
    Refused(String),
    /// The sink answered that it cannot take them now.
    Unavailable {
        message: String,
        retry_after: Option<Duration>,
    },
    /// The sink did not answer.
    Unreachable(String),
    /// What the sink is about is not there, or not as far yet.
    NotReady { reason: Reason, message: String },
    /// The sink never wants an event again.
    Gone(String),
}

impl Failure {
    /// What to tell people.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Refused(message)
            | Self::Unavailable { message, .. }
            | Self::NotReady { message, .. }
            | Self::Unreachable(message)
            | Self::Gone(message) => message,
        }
    }

    /// What conditions say.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::NotReady { reason, .. } => *reason,
            _ => Reason::SinkFailing,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Sink {
    /// The most events of one [`Sink::send`].
    pub(crate) fn events_at_once(&self) -> usize {
        match &self.target {
            Target::Http(sink) => sink.events_at_once(),
            Target::IdlRepo(_) | Target::WsRoute(_) | Target::Log => usize::MAX,
        }
    }

    /// Delivers events in one piece. Ok when they are acknowledged.
    pub(crate) async fn send(
        &self,
        origin: &Origin,
        events: &[Event],
        fault: Option<&Fault>,
    ) -> Result<(), Failure> {
        match &self.target {
            Target::Http(sink) => sink.send(origin, events, fault).await,
            Target::IdlRepo(sink) => sink.send(origin, events).await,
            Target::WsRoute(sink) => sink.send(origin, events).await,
            Target::Log => {
                for event in events {
                    log(origin, event, fault);
                }
                Ok(())
            }
        }
    }
}

fn log(origin: &Origin, event: &Event, fault: Option<&Fault>) {
    let span = span(event);
    let _in_trace = span.enter();
    let (source, id, type_, bytes) = (&*origin.source, &*event.id, &*event.type_, event.data.len());
    match fault {
        None => tracing::info!(source, id, type_, bytes, "event received"),
        Some(Fault { sink, error }) => {
            tracing::warn!(
                source,
                id,
                type_,
                bytes,
                sink = sink.as_deref(),
                error,
                "event not delivered"
            );
        }
    }
}

/// In the event's trace, if it has one.
fn span(event: &Event) -> Span {
    let parent = event.traceparent.as_deref();
    let Some(parent) = parent.and_then(|parent| parent.parse::<TraceParent>().ok()) else {
        return Span::none();
    };
    let span = tracing::info_span!(parent: None, "sse event.log");
    // Without telemetry, as in some tests, there is no trace to go on with.
    span.continue_from(&parent).ok();
    span
}
