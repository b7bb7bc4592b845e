//! Writes each event as one line, with the ids of its trace and the fields of its spans.

mod escape;
mod fields;
mod human;
mod ids;
mod json;
mod output;
mod queue;

pub use output::LogOutput;

pub(crate) use ids::RegisteredDispatch;
pub(crate) use queue::{LineQueue, LogWriter};

use crate::settings::LogFormat;
use fields::FieldBuffer;
use human::Colour;
use ids::TraceIds;
use std::borrow::Cow;
use std::cell::Cell;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// A line's buffer that grew beyond this is given back rather than kept for the next line.
const MAX_RETAINED_BYTES: usize = 64 * 1024;

/// The layer that writes events.
pub(crate) struct LogLayer {
    format: LineFormat,
    output: LogOutput,
    dispatch: RegisteredDispatch,
}

enum LineFormat {
    Json,
    Human(Colour),
}

/// What a line says about the event itself.
struct LineHead<'a> {
    metadata: &'a Metadata<'a>,
    ids: Option<TraceIds>,
    fields: &'a FieldBuffer,
}

/// The fields of a span, in its extensions.
struct SpanFields(FieldBuffer);

/// What formatting needs for one line; kept per thread, so that a line allocates nothing.
#[derive(Default)]
struct Scratch {
    fields: FieldBuffer,
    names: Vec<Cow<'static, str>>,
    line: String,
}

thread_local! {
    // Taken while in use: an event emitted while another is being formatted (a Debug that logs, a
    // panic hook) finds nothing here and makes its own.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl LogLayer {
    pub(crate) fn new(
        format: LogFormat,
        no_color: bool,
        output: LogOutput,
        dispatch: RegisteredDispatch,
    ) -> Self {
        let terminal = output.is_terminal();
        let colour = if terminal && !no_color {
            Colour::On
        } else {
            Colour::Off
        };
        let format = match format {
            LogFormat::Auto if terminal => LineFormat::Human(colour),
            LogFormat::Human => LineFormat::Human(colour),
            LogFormat::Auto | LogFormat::Json => LineFormat::Json,
        };
        Self {
            format,
            output,
            dispatch,
        }
    }

    fn write<S>(&self, event: &Event<'_>, ctx: &Context<'_, S>, scratch: &mut Scratch)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        scratch.fields.record_event(event);
        let span = ctx.event_span(event);
        let ids = span
            .as_ref()
            .and_then(|span| self.dispatch.ids_of_event(span, metadata));
        let head = LineHead {
            metadata,
            ids,
            fields: &scratch.fields,
        };
        match self.format {
            LineFormat::Json => json::write(&head, span.as_ref(), &mut scratch.names, &mut scratch.line),
            LineFormat::Human(colour) => human::write(&head, span.as_ref(), colour, &mut scratch.line),
        }
        self.output.write_line(&scratch.line);
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &tracing::Dispatch) {
        self.dispatch.register(dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = FieldBuffer::default();
        fields.record_span(attributes);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        // Values are formatted before the extensions are locked: their Debug is foreign code.
        let mut added = FieldBuffer::default();
        added.record_later(values);
        if let Some(span) = ctx.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut()
        {
            fields.replace(&added);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        self.write(event, &ctx, &mut scratch);
        if scratch.clear() <= MAX_RETAINED_BYTES {
            SCRATCH.set(Some(scratch));
        }
    }
}

impl Scratch {
    /// Empties the buffers and tells the bytes they hold on to.
    fn clear(&mut self) -> usize {
        self.fields.clear();
        self.names.clear();
        self.line.clear();
        self.fields.capacity() + self.line.capacity()
    }
}

/// The fields of the spans an event is in, from the nearest to the root.
fn for_each_span_fields<'a, S>(span: Option<&SpanRef<'a, S>>, mut visit: impl FnMut(&FieldBuffer))
where
    S: Subscriber + LookupSpan<'a>,
{
    for span in span.into_iter().flat_map(SpanRef::scope) {
        if let Some(SpanFields(fields)) = span.extensions().get() {
            visit(fields);
        }
    }
}
