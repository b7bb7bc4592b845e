//! Our subscriber and those it is compared with, each set up as its documentation says.

use anyhow::{Context, Result};
use heddle_telemetry::{LogFormat, LogOutput, Telemetry, TelemetrySettings};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use serde_json::Value;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Dispatch, info_span, level_filters::LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// A subscriber that writes lines.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) is_ours: bool,
    pub(super) ids: Ids,
    pub(super) dispatch: Dispatch,
    /// Lives as long as what it belongs to.
    _telemetry: Option<Telemetry>,
}

/// Where the ids of the trace stand in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// `trace_id`, `span_id` and `trace_flags` at top level, OpenTelemetry's names.
    Complete,
    /// Somewhere else, or not all of them.
    Partial,
    Absent,
}

impl fmt::Display for Ids {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Complete => "complete, at top level",
            Self::Partial => "elsewhere or incomplete",
            Self::Absent => "none",
        })
    }
}

/// All of them; the first is what the others are compared with.
pub(super) fn all() -> Result<Vec<Subject>> {
    Ok(vec![
        peer("tracing-subscriber, JSON", |writer| {
            Dispatch::new(Registry::default().with(plain(writer)))
        }),
        ours("heddle-telemetry, spans off", |settings| {
            settings.span_filter = "off".to_owned()
        })?,
        peer("tracing-subscriber, JSON + OpenTelemetry", |writer| {
            Dispatch::new(
                Registry::default()
                    .with(opentelemetry_layer())
                    .with(plain(writer)),
            )
        }),
        ours("heddle-telemetry", |_| {})?,
        peer("json-subscriber + OpenTelemetry", |writer| {
            let layer = json_subscriber::fmt::layer().with_opentelemetry_ids(true);
            let layer = layer.with_writer(move || writer.clone());
            Dispatch::new(
                Registry::default()
                    .with(opentelemetry_layer())
                    .with(layer.with_filter(LevelFilter::INFO)),
            )
        }),
    ])
}

fn plain<S>(writer: Lines) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer()
        .json()
        .with_writer(move || writer.clone())
        .with_filter(LevelFilter::INFO)
}

fn opentelemetry_layer<S>() -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let tracer: SdkTracer = SdkTracerProvider::builder().build().tracer("bench");
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_filter(LevelFilter::INFO)
}

fn peer(name: &'static str, build: impl Fn(Lines) -> Dispatch) -> Subject {
    let seen = Lines::default();
    let ids = ids_in(&build(seen.clone()), &seen);
    Subject {
        name,
        is_ours: false,
        ids,
        dispatch: build(Lines(None)),
        _telemetry: None,
    }
}

fn ours(name: &'static str, change: impl Fn(&mut TelemetrySettings)) -> Result<Subject> {
    let mut settings = TelemetrySettings::new("heddle-bench", env!("CARGO_PKG_VERSION"));
    settings.log_format = LogFormat::Json;
    change(&mut settings);
    let build = |lines: Lines| {
        heddle_telemetry::build(settings.clone(), LogOutput::writer(lines))
            .context("failed to build telemetry")
    };
    let seen = Lines::default();
    let (dispatch, _observed) = build(seen.clone())?;
    let ids = ids_in(&dispatch, &seen);
    let (dispatch, telemetry) = build(Lines(None))?;
    Ok(Subject {
        name,
        is_ours: true,
        ids,
        dispatch,
        _telemetry: Some(telemetry),
    })
}

/// Looks where a line of this subscriber has its ids.
fn ids_in(dispatch: &Dispatch, seen: &Lines) -> Ids {
    tracing::dispatcher::with_default(dispatch, || info_span!("outer").in_scope(|| super::event(1)));
    let text = seen.text();
    let line: Value = serde_json::from_str(&text).unwrap_or_default();
    let complete = ["trace_id", "span_id", "trace_flags"]
        .iter()
        .all(|name| line[name].is_string());
    let anywhere = text.to_lowercase().replace('_', "").contains("traceid");
    match (complete, anywhere) {
        (true, _) => Ids::Complete,
        (false, true) => Ids::Partial,
        (false, false) => Ids::Absent,
    }
}

/// Where lines are written: memory, or nowhere.
#[derive(Clone)]
struct Lines(Option<Arc<Mutex<Vec<u8>>>>);

impl Default for Lines {
    fn default() -> Self {
        Self(Some(Arc::default()))
    }
}

impl Lines {
    fn text(&self) -> String {
        let bytes = self
            .0
            .as_ref()
            .map(|bytes| bytes.lock().unwrap_or_else(PoisonError::into_inner).clone());
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(bytes) = &self.0 {
            bytes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ours_has_complete_ids() {
        let ids: Vec<_> = all().unwrap().iter().map(|subject| subject.ids).collect();
        assert_eq!(
            ids,
            [Ids::Absent, Ids::Absent, Ids::Absent, Ids::Complete, Ids::Partial]
        );
    }
}
