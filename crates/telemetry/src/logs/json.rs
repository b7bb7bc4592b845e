//! One JSON object a line, with the names of OpenTelemetry's log data model for non-OTLP formats
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/>).

use super::escape::escape;
use super::fields::{FieldValue, ValueKind};
use super::{LineHead, for_each_span_fields};
use std::borrow::Cow;
use tracing::Subscriber;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Names that belong to the line itself.
const RESERVED: [&str; 7] = [
    "timestamp",
    "level",
    "target",
    "message",
    "trace_id",
    "span_id",
    "trace_flags",
];
/// Stands before the name of an event's field that is taken already.
const FIELD_PREFIX: &str = "field.";
/// Stands before the name of a span's field that the event or a nearer span has as well.
const SPAN_PREFIX: &str = "span.";

/// Appends the line, newline included. `names` is working memory and must be empty.
pub(super) fn write<'a, S>(
    head: &LineHead<'_>,
    span: Option<&SpanRef<'a, S>>,
    names: &mut Vec<Cow<'static, str>>,
    line: &mut String,
) where
    S: Subscriber + LookupSpan<'a>,
{
    line.push_str("{\"timestamp\":\"");
    // RFC 3339 in UTC with microseconds; writing to a String cannot fail.
    let timed = SystemTime.format_time(&mut Writer::new(line));
    debug_assert!(timed.is_ok());
    line.push_str("\",\"level\":\"");
    line.push_str(head.metadata.level().as_str());
    line.push_str("\",\"target\":\"");
    escape(head.metadata.target(), line);
    line.push_str("\",\"message\":\"");
    line.push_str(head.fields.message());
    line.push('"');
    write_ids(head, line);
    let mut object = Fields { names, line };
    head.fields
        .plain()
        .for_each(|field| object.push(FIELD_PREFIX, field));
    for_each_span_fields(span, |fields| {
        fields.all().for_each(|field| object.push(SPAN_PREFIX, field))
    });
    line.push_str("}\n");
}

fn write_ids(head: &LineHead<'_>, line: &mut String) {
    let Some(ids) = &head.ids else { return };
    for (name, value) in [
        ("trace_id", ids.trace_id()),
        ("span_id", ids.span_id()),
        ("trace_flags", ids.flags()),
    ] {
        line.push_str(",\"");
        line.push_str(name);
        line.push_str("\":\"");
        line.push_str(value);
        line.push('"');
    }
}

/// The fields of the object so far. A name stands in it once, or readers would choose one of the
/// values as they please (<https://www.rfc-editor.org/rfc/rfc8259#section-4>).
struct Fields<'a> {
    names: &'a mut Vec<Cow<'static, str>>,
    line: &'a mut String,
}

impl Fields<'_> {
    fn push(&mut self, prefix: &str, field: FieldValue<'_>) {
        let mut name = Cow::Borrowed(field.name);
        while self.is_taken(&name) {
            name = Cow::Owned(format!("{prefix}{name}"));
        }
        self.line.push_str(",\"");
        escape(&name, self.line);
        self.line.push_str("\":");
        match field.kind {
            ValueKind::Literal => self.line.push_str(field.text),
            ValueKind::Text => {
                self.line.push('"');
                self.line.push_str(field.text);
                self.line.push('"');
            }
        }
        self.names.push(name);
    }

    fn is_taken(&self, name: &str) -> bool {
        RESERVED.contains(&name) || self.names.iter().any(|taken| taken == name)
    }
}
