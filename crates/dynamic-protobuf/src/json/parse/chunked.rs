//! JSON to wire bytes in chunks, for messages that are larger than memory.
//!
//! Lengths of messages that are open are never needed: a message that is the value of a single field may stand on the wire
//! in several parts, which decoders merge. So what is complete is written at once, inside short messages that lead to it.

mod frames;
mod items;
mod scan;

use super::{Gap, ParseOptions, Parsing, Scratch};
use crate::json::error::{JsonError, JsonErrorKind, Place, Step, Stop, stop};
use crate::json::out::Out;
use crate::json::seen::Seen;
use crate::schema::MessageDescriptor;
use crate::schema::tables::{FieldTable, MessageTable, Tables};
use scan::Scan;

/// Reads one message from JSON while its text arrives in chunks of any size.
///
/// Held are the single value, list element or map entry that is not complete yet, 8 bytes for each key of a map that is
/// open, and the nesting: at most [`Limits::allocation`](crate::Limits::allocation). Messages in single fields, lists and
/// maps are not held, however large; well-known types are, as a whole.
/// [`Limits::bytes`](crate::Limits::bytes) counts the whole input and the whole output.
///
/// What is written decodes to the same message as what [`JsonParser`](super::JsonParser) writes, though the bytes differ:
/// a message in a single field comes in several occurrences, which merge, and a packed list in several records. Text that
/// one refuses the other refuses too, with the same error. There is one exception: two keys of a map that are different
/// but have the same 64-bit hash count as equal here.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Schema, json};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/type.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let message = schema.message("google.protobuf.EnumValue").ok_or("no such message")?;
/// let mut parser = json::ChunkedJsonParser::new(message, json::ParseOptions::default());
/// let mut wire = Vec::new();
/// for chunk in [r#"{"name":"AB"#, r#"C","num"#, r#"ber":1}"#] {
///     parser.push(chunk.as_bytes(), &mut wire)?;
///     // Here `wire` can be sent on, and cleared.
/// }
/// parser.finish(&mut wire)?;
/// assert_eq!(wire, b"\x0a\x03ABC\x10\x01");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChunkedJsonParser<'s> {
    tables: &'s Tables,
    options: ParseOptions,
    scratch: Scratch,
    frames: Vec<Frame<'s>>,
    scan: Scan,
    /// What is not read yet.
    pending: Vec<u8>,
    /// Where `pending` begins in the input.
    offset: usize,
    /// The same as line and column.
    place: Place,
    /// How much was written in all.
    written: usize,
    depth: u32,
    elements: usize,
    finished: bool,
    /// Records of the innermost message, until they are written; empty between chunks.
    records: Vec<u8>,
}

/// Something that is open.
#[derive(Debug)]
struct Frame<'s> {
    what: What<'s>,
    next: Next,
    /// The field that it is the value of.
    field: Option<&'s FieldTable>,
    /// How many elements or entries were read.
    count: usize,
}

#[derive(Debug)]
enum What<'s> {
    Message {
        table: &'s MessageTable,
        seen: Seen,
        /// Whether the message is on the wire already.
        written: bool,
    },
    List,
    /// Where its keys begin among those noted.
    Map {
        keys: usize,
    },
    /// A root that JSON writes in a way of its own: it is held whole.
    Whole {
        table: &'s MessageTable,
    },
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// What opens the root.
    Opening,
    FirstOrEnd,
    Item,
    CommaOrEnd,
}

/// How a step went.
enum Progress {
    Went,
    NeedsMore,
}

impl<'s> ChunkedJsonParser<'s> {
    /// A parser of one message of this type.
    pub fn new(message: MessageDescriptor<'s>, options: ParseOptions) -> Self {
        let mut parser = Self {
            tables: message.schema().tables(),
            options,
            scratch: Scratch::default(),
            frames: Vec::new(),
            scan: Scan::default(),
            pending: Vec::new(),
            offset: 0,
            place: Place::START,
            written: 0,
            depth: options.limits.depth.min(crate::json::MAX_DEPTH),
            elements: options.limits.elements,
            finished: false,
            records: Vec::new(),
        };
        let table = message.table();
        let what = if is_whole(table) {
            What::Whole { table }
        } else {
            // The root is one level.
            parser.depth = parser.depth.saturating_sub(1);
            What::Message {
                table,
                seen: parser.scratch.seen.open(table),
                written: true,
            }
        };
        parser.frames.push(Frame {
            what,
            next: Next::Opening,
            field: None,
            count: 0,
        });
        parser
    }

    /// Takes the next part of the text, and appends to `out` what can be written by now.
    ///
    /// # Errors
    /// When the text cannot be part of a message of this type, or a limit is exceeded. What was written before is part
    /// of a message that cannot be completed.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
        self.run(chunk, out, false)
    }

    /// Says that the text is complete, and appends the rest to `out`.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and when the text ends inside the message.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        self.run(&[], out, true)
    }

    fn run(&mut self, chunk: &[u8], out: &mut Vec<u8>, last: bool) -> Result<(), JsonError> {
        let arrived = self.offset + self.pending.len();
        let limits = self.options.limits;
        if std::mem::replace(&mut self.finished, true) {
            return Err(JsonError::new(JsonErrorKind::Finished, arrived));
        }
        if chunk.len() > limits.bytes.saturating_sub(arrived) {
            return Err(JsonError::new(JsonErrorKind::TooLarge, limits.bytes));
        }
        self.pending.extend_from_slice(chunk);
        let start = out.len();
        let left = limits.bytes.saturating_sub(self.written);
        let mut run = Run {
            parsing: Parsing {
                tables: self.tables,
                text: &self.pending,
                pos: 0,
                out: Out::after(std::mem::take(&mut self.records), chunk.len() + 64),
                end_limit: left,
                options: self.options,
                depth: self.depth,
                elements: self.elements,
                scratch: &mut self.scratch,
            },
            tables: self.tables,
            frames: &mut self.frames,
            scan: &mut self.scan,
            wire: Out::after(std::mem::take(out), chunk.len() + 64),
            packed: None,
            last,
        };
        let result = run.all();
        let used = run.parsing.pos;
        let held = run.frames.len() * size_of::<Frame<'_>>() + run.parsing.text.len()
            - used.min(run.parsing.text.len());
        (self.depth, self.elements) = (run.parsing.depth, run.parsing.elements);
        self.records = run.parsing.out.into_bytes();
        *out = run.wire.into_bytes();
        self.records.clear();
        self.written += out.len() - start;
        if let Err(error) = result {
            let mut place = self.place;
            place.pass(self.pending.get(..error.offset()).unwrap_or(&self.pending));
            return Err(error.shifted(self.offset).at_place(place));
        }
        self.place.pass(self.pending.get(..used).unwrap_or_default());
        self.pending.drain(..used);
        self.offset += used;
        self.scan.moved(used);
        if held > limits.allocation {
            return Err(JsonError::new(JsonErrorKind::ValueTooLarge, self.offset).at_place(self.place));
        }
        if self.written > limits.bytes {
            return Err(JsonError::new(JsonErrorKind::TooLarge, self.offset).at_place(self.place));
        }
        self.finished = last;
        Ok(())
    }
}

/// The work on one chunk. Records of the innermost message are gathered in `parsing.out`, and move to `wire` inside the
/// messages that lead to it.
struct Run<'r, 's> {
    parsing: Parsing<'r>,
    tables: &'s Tables,
    frames: &'r mut Vec<Frame<'s>>,
    scan: &'r mut Scan,
    wire: Out,
    /// The packed list that is being gathered.
    packed: Option<Gap>,
    /// Whether no more will come.
    last: bool,
}

impl<'r, 's: 'r> Run<'r, 's> {
    fn all(&mut self) -> Result<(), JsonError> {
        loop {
            match self.step() {
                Ok(Progress::Went) => {}
                Ok(Progress::NeedsMore) => break,
                Err(stop) => return Err(self.placed(stop)),
            }
        }
        self.flush();
        if self.last && !self.frames.is_empty() {
            let end = self.parsing.text.len();
            return Err(self.placed(stop(JsonErrorKind::Truncated, end)));
        }
        Ok(())
    }

    /// The error with the place of the open frames.
    #[cold]
    fn placed(&self, mut stop: Stop) -> JsonError {
        for frame in self.frames.iter().rev() {
            if let Some(field) = frame.field {
                stop = stop.in_field(&field.name);
            }
        }
        stop.into_error()
    }

    fn step(&mut self) -> Step<Progress> {
        self.parsing.space();
        if self.parsing.pos >= self.parsing.text.len() {
            return Ok(Progress::NeedsMore);
        }
        let Some(frame) = self.frames.last() else {
            return Err(self.parsing.fail(JsonErrorKind::TrailingData));
        };
        if let What::Whole { table } = frame.what {
            return self.whole_root(table);
        }
        let closing = if matches!(frame.what, What::List) {
            b']'
        } else {
            b'}'
        };
        match (frame.next, self.parsing.peek()) {
            (Next::Opening, b'{') => {
                self.parsing.pos += 1;
                self.expect(Next::FirstOrEnd);
            }
            (Next::Opening, _) => return Err(self.parsing.expected("an object")),
            (Next::FirstOrEnd | Next::CommaOrEnd, byte) if byte == closing => {
                self.parsing.pos += 1;
                self.close_frame()?;
            }
            (Next::CommaOrEnd, b',') => {
                self.parsing.pos += 1;
                self.expect(Next::Item);
            }
            (Next::CommaOrEnd, _) => {
                return Err(self.no_comma());
            }
            (Next::FirstOrEnd | Next::Item, _) => return self.item(),
        }
        Ok(Progress::Went)
    }

    /// The error of something that is neither a comma nor the end of what is open.
    #[cold]
    fn no_comma(&self) -> Stop {
        self.parsing
            .expected(match self.frames.last().map(|frame| &frame.what) {
                Some(What::List) => "a comma or the end of the array",
                _ => "a comma or the end of the object",
            })
    }

    fn expect(&mut self, next: Next) {
        if let Some(frame) = self.frames.last_mut() {
            frame.next = next;
        }
    }
}

impl<'s> Frame<'s> {
    /// The field by which an open message is part of the one around it.
    fn chain_field(&self) -> Option<&'s FieldTable> {
        match self.what {
            What::Message { .. } => self.field,
            _ => None,
        }
    }
}

/// Whether the type is held whole, since its text is not an object of its fields.
fn is_whole(table: &MessageTable) -> bool {
    table.well_known.is_some()
}
