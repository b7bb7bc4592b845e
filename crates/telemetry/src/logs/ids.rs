//! Finds the trace ids of the span an event belongs to.

use opentelemetry::trace::{SpanContext, TraceContextExt};
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use tracing::dispatcher::WeakDispatch;
use tracing::{Dispatch, Metadata, Subscriber};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// OpenTelemetry's SDK reports about itself under targets that begin so. It may do it while it
/// holds a lock of the very span whose ids we would ask it for.
const SDK_TARGET: &str = "opentelemetry";

const TRACE_ID_DIGITS: usize = 32;
const SPAN_ID_DIGITS: usize = 16;
const FLAGS_DIGITS: usize = 2;

/// Ids of a span as they stand in a line. Once known they are kept in the span's extensions.
#[derive(Clone, Copy)]
pub(super) struct TraceIds {
    digits: [u8; TRACE_ID_DIGITS + SPAN_ID_DIGITS + FLAGS_DIGITS],
}

impl TraceIds {
    fn new(context: &SpanContext) -> Self {
        let mut text = String::with_capacity(TRACE_ID_DIGITS + SPAN_ID_DIGITS + FLAGS_DIGITS);
        let (trace_id, span_id, flags) = (
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8(),
        );
        // Writing to a String cannot fail.
        let written = write!(text, "{trace_id}{span_id}{flags:02x}");
        debug_assert!(written.is_ok());
        let mut digits = [b'0'; TRACE_ID_DIGITS + SPAN_ID_DIGITS + FLAGS_DIGITS];
        for (digit, byte) in digits.iter_mut().zip(text.bytes()) {
            *digit = byte;
        }
        Self { digits }
    }

    pub(super) fn trace_id(&self) -> &str {
        Self::text(&self.digits[..TRACE_ID_DIGITS])
    }

    pub(super) fn span_id(&self) -> &str {
        Self::text(&self.digits[TRACE_ID_DIGITS..][..SPAN_ID_DIGITS])
    }

    pub(super) fn flags(&self) -> &str {
        Self::text(&self.digits[TRACE_ID_DIGITS + SPAN_ID_DIGITS..])
    }

    fn text(digits: &[u8]) -> &str {
        // They are ASCII digits by construction.
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

/// The dispatcher that the layers of this crate belong to. The OpenTelemetry layer answers
/// questions about spans only through it, and inside an event the current one cannot be had.
#[derive(Clone, Default)]
pub(crate) struct RegisteredDispatch(Arc<OnceLock<WeakDispatch>>);

impl RegisteredDispatch {
    pub(crate) fn register(&self, dispatch: &Dispatch) {
        // Several layers share this; they are told the same dispatcher.
        self.0.get_or_init(|| dispatch.downgrade());
    }

    pub(crate) fn upgrade(&self) -> Option<Dispatch> {
        self.0.get()?.upgrade()
    }

    /// The ids of the nearest span that has some: one that the span filter hides has none.
    pub(super) fn ids_of_event<'a, S>(
        &self,
        span: &SpanRef<'a, S>,
        metadata: &Metadata<'_>,
    ) -> Option<TraceIds>
    where
        S: Subscriber + LookupSpan<'a>,
    {
        let may_start_span = !metadata.target().starts_with(SDK_TARGET);
        span.scope()
            .find_map(|span| self.ids_of_span(&span, may_start_span))
    }

    fn ids_of_span<'a, S>(&self, span: &SpanRef<'a, S>, may_start_span: bool) -> Option<TraceIds>
    where
        S: Subscriber + LookupSpan<'a>,
    {
        let known = span.extensions().get::<TraceIds>().copied();
        if known.is_some() || !may_start_span {
            return known;
        }
        let context = self.context_of(span)?;
        let ids = TraceIds::new(context.span().span_context());
        span.extensions_mut().replace(ids);
        Some(ids)
    }

    /// The OpenTelemetry context of a span, which is started by the question.
    pub(crate) fn context_of<'a, S>(&self, span: &SpanRef<'a, S>) -> Option<opentelemetry::Context>
    where
        S: Subscriber + LookupSpan<'a>,
    {
        let context = tracing_opentelemetry::get_otel_context(&span.id(), &self.upgrade()?)?;
        context.span().span_context().is_valid().then_some(context)
    }
}
