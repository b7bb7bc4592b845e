//! Ties spans of this process to spans of others.

use super::TraceParent;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use thiserror::Error;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

/// Why a span does not continue the trace it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContinueTraceError {
    /// The span was entered, or its ids were asked for, before its parent was set.
    #[error("failed to continue the trace: the span has started; set its parent before it is entered")]
    AlreadyStarted,
    /// The installed subscriber is not one of this crate.
    #[error("failed to continue the trace: no telemetry is installed")]
    NotInstalled,
    /// The span filter does not let this span through.
    #[error("failed to continue the trace: the span is disabled by the span filter")]
    Disabled,
}

/// Lets a span of this process continue a trace of another.
pub trait ContinueTrace {
    /// Makes the span a child of `parent`. To be called before the span is entered.
    ///
    /// # Errors
    /// [`ContinueTraceError`]; the span then belongs to the trace it was made in.
    fn continue_from(&self, parent: &TraceParent) -> Result<(), ContinueTraceError>;

    /// Refers to a span of another trace that is related without being the parent, for example the
    /// one that asked for the work this span does. Without telemetry this does nothing.
    fn link_to(&self, other: &TraceParent);
}

impl ContinueTrace for tracing::Span {
    fn continue_from(&self, parent: &TraceParent) -> Result<(), ContinueTraceError> {
        let parent = Context::new().with_remote_span_context(parent.context.clone());
        self.set_parent(parent).map_err(|error| match error {
            SetParentError::AlreadyStarted => ContinueTraceError::AlreadyStarted,
            SetParentError::LayerNotFound => ContinueTraceError::NotInstalled,
            SetParentError::SpanDisabled => ContinueTraceError::Disabled,
        })
    }

    fn link_to(&self, other: &TraceParent) {
        self.add_link(other.context.clone());
    }
}
