//! One line for the eye: time, level, target, message, fields, and the beginning of the trace id.

use super::escape::escape;
use super::fields::{FieldBuffer, FieldValue, ValueKind};
use super::{LineHead, for_each_span_fields};
use std::fmt::{self, Write as _};
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Digits of a trace id that tell the traces of one sitting apart.
const SHORT_TRACE_ID_DIGITS: usize = 8;
/// Where the time of day begins in RFC 3339, and how much of it a person reads: `12:34:56.789`.
const TIME_OF_DAY: std::ops::Range<usize> = 11..23;

/// Whether a line may hold colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    On,
    Off,
}

#[derive(Clone, Copy)]
enum Style {
    Dim,
    Bold,
    Level(Level),
}

/// Appends the line, newline included.
pub(super) fn write<'a, S>(
    head: &LineHead<'_>,
    span: Option<&SpanRef<'a, S>>,
    colour: Colour,
    line: &mut String,
) where
    S: Subscriber + LookupSpan<'a>,
{
    let level = *head.metadata.level();
    colour.paint(line, Style::Dim, push_time);
    line.push(' ');
    colour.paint(line, Style::Level(level), |line| {
        push(line, format_args!("{level:>5}"))
    });
    line.push(' ');
    colour.paint(line, Style::Dim, |line| escape(head.metadata.target(), line));
    line.push_str("  ");
    colour.paint(line, Style::Bold, |line| {
        push_unquoted(head.fields.message(), line)
    });
    push_fields(head.fields, colour, line);
    for_each_span_fields(span, |fields| push_fields(fields, colour, line));
    if let Some(ids) = &head.ids {
        let short = &ids.trace_id()[..SHORT_TRACE_ID_DIGITS];
        line.push(' ');
        colour.paint(line, Style::Dim, |line| push(line, format_args!("trace={short}")));
    }
    line.push('\n');
}

fn push_time(line: &mut String) {
    let start = line.len();
    let timed = SystemTime.format_time(&mut Writer::new(line));
    debug_assert!(timed.is_ok(), "writing to a String cannot fail");
    let time = line
        .get(start + TIME_OF_DAY.start..start + TIME_OF_DAY.end)
        .unwrap_or_default()
        .to_owned();
    line.truncate(start);
    line.push_str(&time);
}

fn push_fields(fields: &FieldBuffer, colour: Colour, line: &mut String) {
    for field in fields.plain() {
        line.push(' ');
        colour.paint(line, Style::Dim, |line| {
            escape(field.name, line);
            line.push('=');
        });
        push_value(field, line);
    }
}

/// Text that could be taken for more than one value is quoted.
fn push_value(field: FieldValue<'_>, line: &mut String) {
    let is_one_word = !field.text.is_empty() && !field.text.contains([' ', '=', '"', '\\']);
    if field.kind == ValueKind::Literal || is_one_word {
        line.push_str(field.text);
    } else {
        push(line, format_args!("\"{}\"", field.text));
    }
}

/// The message is not quoted, so its quotes need no escape; what could end the line keeps its own.
fn push_unquoted(escaped: &str, line: &mut String) {
    let mut rest = escaped;
    while let Some(index) = rest.find('\\') {
        line.push_str(&rest[..index]);
        match rest.as_bytes().get(index + 1) {
            Some(b'"') => line.push('"'),
            Some(b'\\') => line.push('\\'),
            _ => line.push_str(rest.get(index..index + 2).unwrap_or_default()),
        }
        rest = rest.get(index + 2..).unwrap_or_default();
    }
    line.push_str(rest);
}

fn push(line: &mut String, text: fmt::Arguments<'_>) {
    let written = line.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

impl Colour {
    fn paint(self, line: &mut String, style: Style, content: impl FnOnce(&mut String)) {
        if self == Self::Off {
            return content(line);
        }
        line.push_str(style.start());
        content(line);
        line.push_str("\u{1b}[0m");
    }
}

impl Style {
    fn start(self) -> &'static str {
        match self {
            Self::Dim => "\u{1b}[2m",
            Self::Bold => "\u{1b}[1m",
            Self::Level(Level::ERROR) => "\u{1b}[31m",
            Self::Level(Level::WARN) => "\u{1b}[33m",
            Self::Level(Level::INFO) => "\u{1b}[32m",
            Self::Level(Level::DEBUG) => "\u{1b}[34m",
            Self::Level(_) => "\u{1b}[35m",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_end_where_they_began_and_can_be_off() {
        let painted = |colour: Colour| {
            let mut line = String::new();
            colour.paint(&mut line, Style::Level(Level::ERROR), |line| {
                line.push_str("ERROR")
            });
            line
        };
        assert_eq!(painted(Colour::Off), "ERROR");
        assert_eq!(painted(Colour::On), "\u{1b}[31mERROR\u{1b}[0m");
    }

    #[test]
    fn only_quotes_and_backslashes_lose_their_escape() {
        let mut line = String::new();
        push_unquoted(r#"a \"b\" \\n \n \u001b[0m"#, &mut line);
        assert_eq!(line, r#"a "b" \n \n \u001b[0m"#);
    }
}
