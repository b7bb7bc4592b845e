//! The trace of a handshake: it continues the client's, and the backend's continues it.

use super::Arrival;
use crate::backend::LiveBackend;
use crate::fields::Fields;
use crate::live::LiveRoute;
use heddle_telemetry::{ContinueTrace as _, TraceParent};
use tracing::{Span, field};

/// The span of a handshake, and how others refer to it. Where nothing is exported there are ids alone: a span would be a
/// tenth of what a handshake costs.
#[derive(Debug)]
pub(crate) struct HandshakeTrace {
    span: Option<Span>,
    /// None if the span filter has no room for the span.
    parent: Option<TraceParent>,
}

impl HandshakeTrace {
    /// Begins the span, as a child of what the client says.
    pub(super) fn begin(fields: &Fields, route: &LiveRoute, arrival: &Arrival) -> Self {
        let above = of_fields(fields);
        if !arrival.shared.exports_spans {
            return Self {
                span: None,
                parent: Some(TraceParent::below(above.as_ref(), arrival.shared.sampler)),
            };
        }
        let span = tracing::info_span!(
            "websocket handshake",
            otel.kind = "server",
            route = %route.route.id,
            peer = %arrival.peer.ip(),
            backend = field::Empty,
        );
        if let Some(parent) = above {
            // A span that is disabled continues nothing; the client's own fields then go on as they are.
            span.continue_from(&parent).ok();
        }
        let parent = TraceParent::of(&span);
        Self {
            span: Some(span),
            parent,
        }
    }

    /// The span for what is logged about the handshake.
    pub(super) fn span(&self) -> Span {
        self.span.clone().unwrap_or_else(|| {
            let span = tracing::info_span!("websocket handshake");
            if let Some(parent) = &self.parent {
                span.continue_from(parent).ok();
            }
            span
        })
    }

    /// Has the backend continue from here.
    pub(super) fn continue_in(&self, fields: &mut Fields) {
        let Some(parent) = &self.parent else { return };
        fields.remove("traceparent");
        fields.remove("tracestate");
        fields.push("traceparent", parent.to_string());
        let state = parent.trace_state();
        if !state.is_empty() {
            fields.push("tracestate", state);
        }
    }

    pub(super) fn established(&self, backend: &LiveBackend) {
        if let Some(span) = &self.span {
            span.record("backend", backend.config.name.as_str());
        }
    }

    /// What the session continues.
    pub(super) fn parent(&self) -> Option<TraceParent> {
        self.parent.clone()
    }
}

fn of_fields(fields: &Fields) -> Option<TraceParent> {
    let text = std::str::from_utf8(fields.one("traceparent").ok()??).ok()?;
    let parent: TraceParent = text.parse().ok()?;
    let states: Vec<&str> = fields
        .all("tracestate")
        .map(|state| std::str::from_utf8(state))
        .collect::<Result<_, _>>()
        .unwrap_or_default();
    Some(parent.with_trace_state(&states.join(",")))
}
