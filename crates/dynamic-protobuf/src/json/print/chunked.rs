//! Wire bytes to JSON in chunks, for messages that are larger than memory: what is open is a stack of frames, and only the
//! record that is not complete yet is held.

mod frames;
mod lists;
mod records;

use super::{Mode, PrintOptions, Printing, Scratch};
use crate::error::DecodeErrorKind;
use crate::json::error::{JsonError, JsonErrorKind, Step, Stop};
use crate::json::out::Out;
use crate::json::seen::Seen;
use crate::schema::MessageDescriptor;
use crate::schema::tables::{Entry, FieldTable, MessageTable, Tables};

/// Messages, map entries and packed lists of at most so many bytes are waited for and transcoded whole, unless told otherwise.
const HOLD_BYTES: usize = 64 << 10;

/// Writes one message as JSON while its wire bytes arrive in chunks of any size.
///
/// Held are the record that is not complete yet (single values, well-known types and MessageSets as a whole, other
/// messages up to 64 KiB), 8 bytes for each key of the maps that are open, and the nesting: at most
/// [`Limits::allocation`](crate::Limits::allocation). [`Limits::bytes`](crate::Limits::bytes) counts the whole input and
/// the whole output.
///
/// The text is the one that [`JsonPrinter`](super::JsonPrinter) writes, provided that in messages of more than 64 KiB
/// fields stand together, as every encoder writes them: single fields and keys of maps once, elements of a list and
/// entries of a map one after another. Other messages cannot be written without all of their bytes at once, and are
/// refused with [`JsonErrorKind::NotInOrder`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Schema, json};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/type.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let message = schema.message("google.protobuf.EnumValue").ok_or("no such message")?;
/// let mut printer = json::ChunkedJsonPrinter::new(message, json::PrintOptions::default());
/// let mut text = Vec::new();
/// for chunk in [&b"\x0a\x03AB"[..], b"C\x10", b"\x01"] {
///     printer.push(chunk, &mut text)?;
///     // Here `text` can be sent on, and cleared.
/// }
/// printer.finish(&mut text)?;
/// assert_eq!(text, br#"{"name":"ABC","number":1}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChunkedJsonPrinter<'s> {
    tables: &'s Tables,
    options: PrintOptions,
    scratch: Scratch,
    frames: Vec<Frame<'s>>,
    /// What is not written yet.
    pending: Vec<u8>,
    /// Where `pending` begins in the input.
    offset: usize,
    /// How much was written in all.
    written: usize,
    depth: u32,
    elements: usize,
    /// Messages, map entries and packed lists of at most so many bytes are waited for.
    hold: usize,
    finished: bool,
}

/// Something that is open.
#[derive(Debug)]
struct Frame<'s> {
    what: What<'s>,
    /// Where it ends at the latest, counted from the start of the input.
    bound: usize,
    /// The number of the group that it is; groups end with a tag.
    group: Option<u32>,
    /// The field that it is the value of, and which of its elements.
    field: Option<(&'s FieldTable, Option<usize>)>,
}

#[derive(Debug)]
enum What<'s> {
    Message {
        table: &'s MessageTable,
        seen: Seen,
        /// The list or map whose records came last.
        open: Option<Open<'s>>,
        /// Whether nothing was written yet.
        empty: bool,
    },
    /// An entry of a map, of which the key is written.
    Entry {
        value: &'s FieldTable,
        written: bool,
    },
    Packed {
        field: &'s FieldTable,
    },
    /// A message that JSON writes in a way of its own: it is held whole.
    Whole {
        table: &'s MessageTable,
    },
    /// What the schema does not know.
    Unknown,
}

/// A list or map under way.
#[derive(Debug)]
struct Open<'s> {
    field: &'s FieldTable,
    elements: usize,
    /// Where its keys begin among those noted.
    keys: usize,
}

/// How a step went.
enum Progress {
    Went,
    NeedsMore,
    Done,
}

/// A record whose tag and length are there.
#[derive(Clone, Copy)]
struct Head {
    tag: u32,
    entry: Entry,
    /// Where the value begins, with its length.
    value: usize,
    /// Where the body begins, without its length.
    body: usize,
    /// Where the record ends; `None` for a group of which not all is there.
    end: Option<usize>,
}

impl<'s> ChunkedJsonPrinter<'s> {
    /// A printer of one message of this type.
    pub fn new(message: MessageDescriptor<'s>, options: PrintOptions) -> Self {
        let mut printer = Self {
            tables: message.schema().tables(),
            options,
            scratch: Scratch::default(),
            frames: Vec::new(),
            pending: Vec::new(),
            offset: 0,
            written: 0,
            depth: options.limits.depth.min(crate::json::MAX_DEPTH),
            elements: options.limits.elements,
            hold: HOLD_BYTES,
            finished: false,
        };
        let table = message.table();
        let what = if is_whole(table) {
            What::Whole { table }
        } else {
            // The root is one level, which is left when it is done.
            printer.depth = printer.depth.saturating_sub(1);
            What::Message {
                table,
                seen: printer.scratch.seen.open(table),
                open: None,
                empty: true,
            }
        };
        printer.frames.push(Frame {
            what,
            bound: usize::MAX,
            group: None,
            field: None,
        });
        printer
    }

    /// The same printer with another size up to which messages, map entries and packed lists are waited for and
    /// transcoded whole, in bytes; their fields need not be in order.
    pub fn hold_messages_up_to(mut self, bytes: usize) -> Self {
        self.hold = bytes;
        self
    }

    /// Takes the next bytes of the message, and appends to `out` what can be written by now.
    ///
    /// # Errors
    /// When the bytes cannot be part of a message of this type, when its fields are not in order, or a limit is
    /// exceeded. What was written before is the beginning of a text that cannot be ended.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
        self.run(chunk, out, false)
    }

    /// Says that the message is complete, and appends the rest to `out`.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and when the message ends inside a value.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        self.run(&[], out, true)
    }

    fn run(&mut self, chunk: &[u8], out: &mut Vec<u8>, last: bool) -> Result<(), JsonError> {
        let arrived = self.offset + self.pending.len();
        if std::mem::replace(&mut self.finished, true) {
            return Err(JsonError::new(JsonErrorKind::Finished, arrived));
        }
        let limits = self.options.limits;
        if chunk.len() > limits.bytes.saturating_sub(arrived) {
            return Err(JsonError::new(JsonErrorKind::TooLarge, limits.bytes));
        }
        self.pending.extend_from_slice(chunk);
        let start = out.len();
        let mut run = Run {
            printing: Printing {
                tables: self.tables,
                wire: &self.pending,
                out: Out::after(std::mem::take(out), chunk.len().saturating_mul(2) + 64),
                end_limit: start.saturating_add(limits.bytes.saturating_sub(self.written)),
                options: self.options,
                depth: self.depth,
                elements: self.elements,
                mode: Mode::Quick,
                scratch: &mut self.scratch,
            },
            tables: self.tables,
            frames: &mut self.frames,
            hold: self.hold,
            offset: self.offset,
            pos: 0,
            last,
        };
        let result = run.all();
        let used = run.pos;
        let open = !run.frames.is_empty();
        (self.depth, self.elements) = (run.printing.depth, run.printing.elements);
        *out = run.printing.out.into_bytes();
        self.written += out.len() - start;
        result?;
        if last && open {
            return Err(JsonError::new(DecodeErrorKind::Truncated, arrived));
        }
        self.pending.drain(..used);
        self.offset += used;
        if self.pending.len() > limits.allocation {
            return Err(JsonError::new(JsonErrorKind::ValueTooLarge, self.offset));
        }
        self.finished = last;
        Ok(())
    }
}

/// The work on one chunk.
struct Run<'r, 's> {
    printing: Printing<'r>,
    tables: &'s Tables,
    frames: &'r mut Vec<Frame<'s>>,
    hold: usize,
    /// Where the bytes at hand begin in the input.
    offset: usize,
    /// The place among the bytes at hand.
    pos: usize,
    /// Whether no more will come.
    last: bool,
}

impl<'r, 's: 'r> Run<'r, 's> {
    fn all(&mut self) -> Result<(), JsonError> {
        loop {
            match self.step() {
                Ok(Progress::Went) => {}
                Ok(Progress::NeedsMore | Progress::Done) => return Ok(()),
                Err(stop) => return Err(self.placed(stop)),
            }
        }
    }

    /// The error with the place of the open frames.
    #[cold]
    fn placed(&self, stop: Stop) -> JsonError {
        let mut stop = match stop {
            Stop::Irregular => Stop::Failed(JsonError::new(JsonErrorKind::NotInOrder, self.pos)),
            failed => failed,
        };
        for (field, index) in self.frames.iter().rev().filter_map(|frame| frame.field) {
            if let Some(index) = index {
                stop = stop.in_element(index);
            }
            stop = stop.in_field(&field.name);
        }
        stop.into_error().shifted(self.offset)
    }

    /// Takes one record, or as many elements as there are.
    fn step(&mut self) -> Step<Progress> {
        let Some(frame) = self.frames.last() else {
            return Ok(Progress::Done);
        };
        let bound = self.bound(frame);
        let more = bound.is_none();
        let end = bound.unwrap_or(self.printing.wire.len());
        if self.pos >= end && frame.group.is_none() && !more {
            return self.close_frame();
        }
        match frame.what {
            What::Whole { table } => self.whole_root(table, end, more),
            What::Packed { field } => self.packed_part(field, end, more),
            What::Unknown if frame.group.is_none() => {
                self.pos = end;
                Ok(if more { Progress::NeedsMore } else { Progress::Went })
            }
            What::Message { .. } | What::Entry { .. } | What::Unknown => self.record(end, more),
        }
    }

    /// Where the frame ends among the bytes at hand; `None` when that is not there yet.
    fn bound(&self, frame: &Frame<'_>) -> Option<usize> {
        let length = self.printing.wire.len();
        let bound = frame.bound.saturating_sub(self.offset);
        if bound <= length {
            return Some(bound);
        }
        // Without an end of its own a message ends with the input.
        (self.last && (frame.bound == usize::MAX)).then_some(length)
    }
}

/// Whether the type is held whole, since its text is not an object of its fields.
fn is_whole(table: &MessageTable) -> bool {
    table.well_known.is_some() || table.message_set
}
