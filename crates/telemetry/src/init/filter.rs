//! Filters per layer: what is logged, and which spans exist, are two questions.

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::{Context, Filter};

/// Which part of a filter is wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A word alone is neither a level nor part of `target=level`. It would be taken for a target,
    /// and a mistyped level would silence everything.
    #[error("failed to understand {0:?}: expected off, error, warn, info, debug, trace or target=level")]
    UnknownLevel(String),
    /// A directive has the wrong shape.
    #[error("failed to understand a directive: expected level or target=level, as in info,kube=warn")]
    Directive(#[source] ParseError),
}

/// Parses directives, separated by commas.
pub(super) fn parse(text: &str) -> Result<EnvFilter, FilterError> {
    let directives = text
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty());
    let directives: Vec<&str> = directives.collect();
    for directive in &directives {
        let is_word = !directive.contains(['=', '[', ']', '{', '}']);
        if is_word && directive.parse::<LevelFilter>().is_err() {
            return Err(FilterError::UnknownLevel((*directive).to_owned()));
        }
    }
    // Without regular expressions a filter cannot take long, whatever is logged.
    EnvFilter::builder()
        .with_regex(false)
        .parse(directives.join(","))
        .map_err(FilterError::Directive)
}

/// Lets the events of one filter through, and every span of either: a line has the ids and fields
/// of its spans also where the spans are below the level of the log.
pub(super) struct LogFilter {
    events: EnvFilter,
    spans: EnvFilter,
}

impl LogFilter {
    pub(super) fn new(events: EnvFilter, spans: EnvFilter) -> Self {
        Self { events, spans }
    }
}

impl<S: Subscriber> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, ctx: &Context<'_, S>) -> bool {
        Filter::<S>::enabled(&self.events, metadata, ctx)
            || (metadata.is_span() && Filter::<S>::enabled(&self.spans, metadata, ctx))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Both are asked in any case: a filter learns of the spans it must follow only here.
        let events = Filter::<S>::callsite_enabled(&self.events, metadata);
        let spans = Filter::<S>::callsite_enabled(&self.spans, metadata);
        if events.is_always() || !metadata.is_span() {
            events
        } else if events.is_never() || spans.is_always() {
            spans
        } else {
            Interest::sometimes()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let events = Filter::<S>::max_level_hint(&self.events)?;
        Some(events.max(Filter::<S>::max_level_hint(&self.spans)?))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.events, attributes, id, ctx.clone());
        Filter::<S>::on_new_span(&self.spans, attributes, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        Filter::<S>::on_record(&self.events, id, values, ctx.clone());
        Filter::<S>::on_record(&self.spans, id, values, ctx);
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_enter(&self.events, id, ctx.clone());
        Filter::<S>::on_enter(&self.spans, id, ctx);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_exit(&self.events, id, ctx.clone());
        Filter::<S>::on_exit(&self.spans, id, ctx);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        Filter::<S>::on_close(&self.events, id.clone(), ctx.clone());
        Filter::<S>::on_close(&self.spans, id, ctx);
    }
}

/// Which events go with the spans of a [`SpanFilter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Events {
    /// Those of error level, wherever they come from.
    Errors,
    /// Those the span filter lets through, without the errors.
    BelowError,
}

/// Lets spans through, and some of the events.
pub(super) struct SpanFilter {
    spans: EnvFilter,
    events: Events,
}

impl SpanFilter {
    pub(super) fn new(spans: EnvFilter, events: Events) -> Self {
        Self { spans, events }
    }

    /// `None` where the span filter decides.
    fn decided(&self, metadata: &Metadata<'_>) -> Option<bool> {
        let is_error = *metadata.level() == Level::ERROR;
        match self.events {
            _ if metadata.is_span() => None,
            Events::Errors => Some(is_error),
            Events::BelowError => is_error.then_some(false),
        }
    }
}

impl<S: Subscriber> Filter<S> for SpanFilter {
    fn enabled(&self, metadata: &Metadata<'_>, ctx: &Context<'_, S>) -> bool {
        self.decided(metadata)
            .unwrap_or_else(|| Filter::<S>::enabled(&self.spans, metadata, ctx))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.decided(metadata) {
            Some(true) => Interest::always(),
            Some(false) => Interest::never(),
            None => Filter::<S>::callsite_enabled(&self.spans, metadata),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Never below error: a span filter of "off" does not hide errors.
        Some(Filter::<S>::max_level_hint(&self.spans)?.max(LevelFilter::ERROR))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.spans, attributes, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        Filter::<S>::on_record(&self.spans, id, values, ctx);
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_enter(&self.spans, id, ctx);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        Filter::<S>::on_exit(&self.spans, id, ctx);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        Filter::<S>::on_close(&self.spans, id, ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_with_levels_are_understood() {
        for text in [
            "info",
            "INFO",
            "off",
            "",
            "info,kube=warn",
            " warn , heddle_operator=debug,",
            "info,a::b=off,[run]=trace",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_mistyped_level_is_an_error_and_no_silence() {
        for text in ["wran", "info,heddle_operator", "kube=wran", "info,=debug="] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
