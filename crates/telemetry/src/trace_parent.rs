//! A place in a trace, as it travels between processes: the `traceparent` and `tracestate` of
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/).

mod carriers;
mod parse;
mod spans;

pub use parse::InvalidTraceParent;
pub use spans::{ContinueTrace, ContinueTraceError};

use crate::settings::TraceSampler;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use std::fmt;

/// The ids of one span, its trace and its sampling flags, with the trace state of vendors.
///
/// Its text form is the `traceparent` header: `00-<32 hex>-<16 hex>-<2 hex>`. Ids are never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent {
    context: SpanContext,
}

impl TraceParent {
    /// The span that is entered here and now; `None` outside every span.
    pub fn current() -> Option<Self> {
        Self::of_context(&Context::current())
    }

    /// The given span; `None` when no telemetry is installed or a filter disabled the span.
    ///
    /// This starts the span: a remote parent must have been set before.
    pub fn of(span: &tracing::Span) -> Option<Self> {
        Self::of_context(&tracing_opentelemetry::OpenTelemetrySpanExt::context(span))
    }

    /// A place of its own, below `parent` or in a new trace, for what is not worth a span because nothing is exported.
    /// It is sampled if `sampler` would have a span there recorded.
    pub fn below(parent: Option<&Self>, sampler: TraceSampler) -> Self {
        let ids = RandomIdGenerator::default();
        let above = parent.map(|parent| &parent.context);
        let trace_id = above.map_or_else(|| ids.new_trace_id(), SpanContext::trace_id);
        let flags = TraceFlags::default().with_sampled(sampler.samples(above, trace_id));
        let state = above.map_or(TraceState::NONE, |above| above.trace_state().clone());
        let context = SpanContext::new(trace_id, ids.new_span_id(), flags, true, state);
        Self { context }
    }

    fn of_context(context: &Context) -> Option<Self> {
        let context = context.span().span_context().clone();
        context.is_valid().then_some(Self { context })
    }

    /// The trace's id: 32 lower-case hexadecimal digits.
    pub fn trace_id_hex(&self) -> String {
        self.context.trace_id().to_string()
    }

    /// The span's id: 16 lower-case hexadecimal digits.
    pub fn span_id_hex(&self) -> String {
        self.context.span_id().to_string()
    }

    /// Whether the process that owns the span may have recorded it.
    pub fn is_sampled(&self) -> bool {
        self.context.is_sampled()
    }

    /// The `tracestate` that goes with it; empty when there is none.
    pub fn trace_state(&self) -> String {
        self.context.trace_state().header()
    }

    /// The same place with another trace state. An invalid one is dropped, as the standard asks:
    /// it must not cost the trace its parent.
    pub fn with_trace_state(self, header: &str) -> Self {
        let state = parse::trace_state(header).unwrap_or(TraceState::NONE);
        Self::new(self.context, state)
    }

    fn new(context: SpanContext, state: TraceState) -> Self {
        let context = SpanContext::new(
            context.trace_id(),
            context.span_id(),
            context.trace_flags(),
            true,
            state,
        );
        Self { context }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { context } = self;
        write!(
            formatter,
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        )
    }
}
