//! Marks the span of an error-level event as failed and records the error as OpenTelemetry's
//! exception event (<https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/>).

use crate::ErrorChain;
use crate::logs::RegisteredDispatch;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TraceContextExt};
use std::error::Error;
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

const EVENT_NAME: &str = "exception";
const TYPE: &str = "exception.type";
const MESSAGE: &str = "exception.message";
const STACKTRACE: &str = "exception.stacktrace";
/// The field that holds the error, by the habit of this project and of `#[instrument(err)]`.
const ERROR_FIELD: &str = "error";
/// The field of the panic hook that holds the frames.
const BACKTRACE_FIELD: &str = "backtrace";
/// How much of an error's Debug text is looked at to find the name of its type.
const MAX_TYPE_BYTES: usize = 64;
/// What one attribute may hold; receivers cut or refuse larger ones.
const MAX_ATTRIBUTE_BYTES: usize = 16 * 1024;

/// The layer that records errors. Its filter lets error-level events through and nothing else.
pub(crate) struct ExceptionLayer {
    dispatch: RegisteredDispatch,
}

impl ExceptionLayer {
    pub(crate) fn new(dispatch: RegisteredDispatch) -> Self {
        Self { dispatch }
    }
}

impl<S> Layer<S> for ExceptionLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &tracing::Dispatch) {
        self.dispatch.register(dispatch);
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        // An event emitted while another is formatted makes tracing-subscriber forget what the
        // filters said about the outer one, which then comes here whatever its level.
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let Some(span) = ctx.event_span(event) else { return };
        let Some(context) = self.dispatch.context_of(&span) else {
            return;
        };
        let span = context.span();
        if !span.is_recording() {
            return;
        }
        let mut exception = Exception::default();
        event.record(&mut exception);
        span.set_status(Status::error(exception.description()));
        span.add_event(EVENT_NAME, exception.attributes(event.metadata()));
    }
}

/// What an event says about an error.
#[derive(Default)]
struct Exception {
    text: String,
    kind: Option<String>,
    chain: Vec<String>,
    backtrace: Option<String>,
    others: Vec<KeyValue>,
}

impl Exception {
    /// What failed and why, on one line, for the span's status.
    fn description(&self) -> String {
        let parts = std::iter::once(&self.text)
            .chain(&self.chain)
            .filter(|part| !part.is_empty());
        bounded(parts.map(String::as_str).collect::<Vec<_>>().join(": "))
    }

    fn attributes(self, metadata: &Metadata<'_>) -> Vec<KeyValue> {
        let mut attributes = self.others;
        let message = self.chain.first().unwrap_or(&self.text).clone();
        attributes.push(KeyValue::new(MESSAGE, bounded(message)));
        attributes.extend(self.kind.map(|kind| KeyValue::new(TYPE, kind)));
        let stacktrace = self
            .backtrace
            .or_else(|| (self.chain.len() > 1).then(|| self.chain.join("\nCaused by: ")));
        attributes.extend(stacktrace.map(|text| KeyValue::new(STACKTRACE, bounded(text))));
        attributes.push(KeyValue::new("message", bounded(self.text)));
        attributes.push(KeyValue::new("target", metadata.target().to_owned()));
        attributes.extend(
            metadata
                .file()
                .map(|file| KeyValue::new("code.file.path", file.to_owned())),
        );
        attributes.extend(
            metadata
                .line()
                .map(|line| KeyValue::new("code.line.number", i64::from(line))),
        );
        attributes
    }

    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.text = text,
            ERROR_FIELD => self.chain = vec![text],
            BACKTRACE_FIELD => self.backtrace = Some(text),
            name => self.others.push(KeyValue::new(name, bounded(text))),
        }
    }
}

impl Visit for Exception {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push(KeyValue::new(field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push(KeyValue::new(field.name(), value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.others.push(KeyValue::new(field.name(), value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if field.name() == ERROR_FIELD {
            self.kind = type_name(value);
            self.chain = ErrorChain(value).messages();
        } else {
            self.text(field, ErrorChain(value).to_string());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }
}

fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_ATTRIBUTE_BYTES));
    text
}

/// The name an error's derived Debug begins with: its type's or its variant's. An error that is
/// only seen as `dyn Error` has no other name.
fn type_name(error: &dyn Error) -> Option<String> {
    let mut beginning = Beginning(String::new());
    // Stopping the formatter early is what the error is for.
    let stopped = write!(beginning, "{error:?}").is_err();
    let text = beginning.0;
    let end = text
        .find(|character: char| !character.is_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let is_name = name.starts_with(|first: char| first.is_uppercase());
    let is_debug = rest.starts_with('(') || rest.starts_with(" {") || (rest.is_empty() && !stopped);
    (is_name && is_debug).then(|| name.to_owned())
}

/// Keeps the beginning of what is written and stops the writer behind it.
struct Beginning(String);

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TYPE_BYTES - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("failed")]
        Unit,
        #[error("failed")]
        Named { _long: String },
        #[error("failed")]
        Tuple(#[source] std::io::Error),
    }

    #[test]
    fn an_error_is_called_by_the_name_its_debug_begins_with() {
        let io = || std::io::Error::other("oh");
        let cases: [(&dyn Error, Option<&str>); 5] = [
            (&Failure::Unit, Some("Unit")),
            (
                &Failure::Named {
                    _long: "x".repeat(500),
                },
                Some("Named"),
            ),
            (&Failure::Tuple(io()), Some("Tuple")),
            (&io(), Some("Custom")),
            (&*Box::<dyn Error + Send + Sync>::from("Failed to say what"), None),
        ];
        for (error, expected) in cases {
            assert_eq!(type_name(error).as_deref(), expected, "{error:?}");
        }
    }
}
