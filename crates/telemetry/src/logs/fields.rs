//! Collects the fields of an event or a span, rendered once, for either line format.

use super::escape::Escaped;
use crate::ErrorChain;
use crate::export::START_FIELD;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::ops::Range;
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Record};

/// The name tracing gives to an event's text.
const MESSAGE: &str = "message";
/// What tracing-log adds to an event that came from the `log` crate; it ends up in the metadata.
const LOG_FIELDS: [&str; 4] = ["log.target", "log.module_path", "log.file", "log.line"];
/// What tells OpenTelemetry about a span; in a line it is noise.
const OTEL_FIELDS: [&str; 5] = [
    START_FIELD,
    "otel.name",
    "otel.kind",
    "otel.status_code",
    "otel.status_description",
];

/// Fields by name, their values rendered behind one another in one text.
#[derive(Debug, Default)]
pub(super) struct FieldBuffer {
    text: String,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    name: &'static str,
    value: Range<usize>,
    kind: ValueKind,
}

/// How a rendered value stands in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// The inside of a string, escaped already.
    Text,
    /// A number, `true` or `false`.
    Literal,
}

/// A field of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldValue<'a> {
    pub(super) name: &'static str,
    pub(super) text: &'a str,
    pub(super) kind: ValueKind,
}

impl FieldBuffer {
    pub(super) fn record_event(&mut self, event: &Event<'_>) {
        event.record(&mut Recorder {
            buffer: self,
            hidden: &LOG_FIELDS,
        });
    }

    pub(super) fn record_span(&mut self, attributes: &Attributes<'_>) {
        attributes.record(&mut Recorder {
            buffer: self,
            hidden: &OTEL_FIELDS,
        });
    }

    pub(super) fn record_later(&mut self, values: &Record<'_>) {
        values.record(&mut Recorder {
            buffer: self,
            hidden: &OTEL_FIELDS,
        });
    }

    /// The event's text, escaped; empty when it has none.
    pub(super) fn message(&self) -> &str {
        self.all()
            .find(|field| field.name == MESSAGE)
            .map_or("", |field| field.text)
    }

    /// The fields beside the message.
    pub(super) fn plain(&self) -> impl Iterator<Item = FieldValue<'_>> {
        self.all().filter(|field| field.name != MESSAGE)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = FieldValue<'_>> {
        self.slots.iter().map(|slot| FieldValue {
            name: slot.name,
            text: &self.text[slot.value.clone()],
            kind: slot.kind,
        })
    }

    /// Takes over the fields of `added`, in place of those of the same name. What was replaced is
    /// forgotten, so a span that is updated for ever does not grow.
    pub(super) fn replace(&mut self, added: &Self) {
        let mut merged = Self::default();
        let is_kept = |field: &FieldValue<'_>| !added.slots.iter().any(|slot| slot.name == field.name);
        for field in self.all().filter(is_kept).chain(added.all()) {
            let start = merged.text.len();
            merged.text.push_str(field.text);
            merged.slots.push(Slot {
                name: field.name,
                value: start..merged.text.len(),
                kind: field.kind,
            });
        }
        *self = merged;
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.slots.clear();
    }

    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    fn push(&mut self, name: &'static str, kind: ValueKind, value: fmt::Arguments<'_>) {
        let start = self.text.len();
        let mut escaped = Escaped::new(&mut self.text);
        if escaped.write_fmt(value).is_err() {
            // A foreign Display gave up half-way; what it wrote so far is better than nothing.
            self.text.push_str("… [failed to format]");
        } else {
            escaped.finish();
        }
        // `r#type` is how Rust spells a field called `type`.
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.slots.push(Slot {
            name,
            value: start..self.text.len(),
            kind,
        });
    }
}

struct Recorder<'a> {
    buffer: &'a mut FieldBuffer,
    hidden: &'static [&'static str],
}

impl Recorder<'_> {
    fn push(&mut self, field: &Field, kind: ValueKind, value: fmt::Arguments<'_>) {
        if !self.hidden.contains(&field.name()) {
            self.buffer.push(field.name(), kind, value);
        }
    }
}

impl Visit for Recorder<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity. Debug writes large and small numbers with an exponent.
        let kind = if value.is_finite() {
            ValueKind::Literal
        } else {
            ValueKind::Text
        };
        self.push(field, kind, format_args!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, ValueKind::Literal, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, ValueKind::Literal, format_args!("{value}"));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        // Readers take numbers beyond 64 bits for floating point and lose digits.
        self.push(field, ValueKind::Text, format_args!("{value}"));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.push(field, ValueKind::Text, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, ValueKind::Literal, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, ValueKind::Text, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.push(field, ValueKind::Text, format_args!("{}", ErrorChain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, ValueKind::Text, format_args!("{value:?}"));
    }
}
