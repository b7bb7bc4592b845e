//! JSON to wire bytes in chunks, for messages that are larger than memory.
//!
//! Lengths of messages that are open are never needed: a message that is the value of a single field may stand on the wire
//! in several parts, which decoders merge. So what is complete is written at once, inside short messages that lead to it.

mod scan;

use super::{Gap, ParseOptions, Parsing, Scratch};
use crate::json::error::{JsonError, JsonErrorKind, Place, Step, Stop, stop};
use crate::json::out::Out;
use crate::json::seen::Seen;
use crate::schema::MessageDescriptor;
use crate::schema::tables::{Entry, FieldTable, MessageTable, Tables};
use crate::wire::{self, WireType};
use scan::{Scan, Unit};

/// Reads one message from JSON while its text arrives in chunks of any size.
///
/// Held are the single value, list element or map entry that is not complete yet, 8 bytes for each key of a map that is
/// open, and the nesting: at most [`Limits::allocation`](crate::Limits::allocation). Messages in single fields, lists and
/// maps are not held, however large; well-known types are, as a whole.
/// [`Limits::bytes`](crate::Limits::bytes) counts the whole input and the whole output.
///
/// What is written decodes to the same message as what [`JsonParser`](super::JsonParser) writes, though the bytes differ:
/// a message in a single field comes in several occurrences, which merge, and a packed list in several records. Text that
/// one refuses the other refuses too, with one exception: two keys of a map that are different but have the same 64-bit
/// hash count as equal here.
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
            if !matches!(frame.what, What::Message { .. }) {
                stop = stop.in_element(frame.count);
            }
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
                return Err(self.parsing.expected("a comma or the end of an object or array"));
            }
            (Next::FirstOrEnd | Next::Item, _) => return self.item(),
        }
        Ok(Progress::Went)
    }

    fn expect(&mut self, next: Next) {
        if let Some(frame) = self.frames.last_mut() {
            frame.next = next;
        }
    }

    /// Reads the member, element or entry that begins here, if it is all there.
    fn item(&mut self) -> Step<Progress> {
        let unit = match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { .. }) => Unit::Name,
            Some(What::Map { .. }) => Unit::Member,
            _ => Unit::Value,
        };
        let (Some(end), Some(frame)) = (self.scanned(unit), self.frames.last()) else {
            return Ok(Progress::NeedsMore);
        };
        match (&frame.what, frame.field) {
            (What::List, Some(field)) => {
                self.list_element(field)?;
                self.end_item(end)?;
            }
            (What::Map { .. }, Some(field)) => {
                self.parsing.map_entry(field)?;
                self.end_item(end)?;
            }
            _ => return self.member(end),
        }
        self.parsing.check_length()?;
        Ok(Progress::Went)
    }

    /// Where the unit that begins here ends.
    fn scanned(&mut self, unit: Unit) -> Option<usize> {
        let Parsing { text, pos, .. } = self.parsing;
        self.scan.find_end(text, pos, unit, self.last)
    }

    /// After a unit was read: that it was all of it.
    fn end_item(&mut self, end: usize) -> Step {
        if self.parsing.pos != end {
            return Err(self.parsing.expected("a comma or the end of an object or array"));
        }
        self.scan.reset();
        if let Some(frame) = self.frames.last_mut() {
            frame.count += 1;
            frame.next = Next::CommaOrEnd;
        }
        Ok(())
    }

    fn list_element(&mut self, field: &'s FieldTable) -> Step {
        if !field.entry.is(Entry::PACKED) {
            return self.parsing.list_element(field);
        }
        if self.packed.is_none() {
            self.parsing.out.varint(u64::from(field.entry.tag));
            self.packed = Some(self.parsing.open(1));
        }
        self.parsing.packed_element(field)
    }

    /// Reads the member whose name ends, with its colon, before `value`.
    fn member(&mut self, value: usize) -> Step<Progress> {
        let start = self.parsing.pos;
        let Some(Frame {
            what: What::Message { table, .. },
            ..
        }) = self.frames.last()
        else {
            return Ok(Progress::NeedsMore);
        };
        let table = *table;
        let field = self.name(table)?;
        debug_assert_eq!(self.parsing.pos, value);
        let Some(end) = self.scanned(Unit::Member) else {
            if let Some(field) = field
                && self.opens(table, field)
            {
                self.mark(field, start)?;
                self.scan.reset();
                self.open_frame(field)
                    .map_err(|stop| stop.in_field(&field.name))?;
                return Ok(Progress::Went);
            }
            // The value has to be there as a whole, so the name is read again then.
            self.parsing.pos = start;
            return Ok(Progress::NeedsMore);
        };
        match field {
            None => self.parsing.skip()?,
            Some(field) => self
                .value(table, field, start)
                .map_err(|stop| stop.in_field(&field.name))?,
        }
        self.end_item(end)?;
        self.parsing.check_length()?;
        Ok(Progress::Went)
    }

    fn name(&mut self, table: &'s MessageTable) -> Step<Option<&'s FieldTable>> {
        let scanned = self.parsing.scan_string()?;
        let slot = table.names.find(self.parsing.unescaped(&scanned)?);
        self.parsing.expect(b':', "a colon")?;
        match slot {
            Some(slot) => Ok(self.tables.fields_of(table).get(slot as usize)),
            None => self.parsing.unknown_field(&scanned).map(|()| None),
        }
    }

    /// Whether the value that begins here is taken in parts.
    fn opens(&self, table: &MessageTable, field: &FieldTable) -> bool {
        match self.parsing.peek() {
            b'{' if field.entry.is(Entry::MAP) => true,
            b'[' => field.entry.is(Entry::REPEATED) && !field.entry.is(Entry::MAP),
            b'{' => {
                field.kind.is_message()
                    && !field.entry.is(Entry::REPEATED)
                    && !table.message_set
                    && !is_whole(self.tables.message(field.entry.sub))
            }
            _ => false,
        }
    }

    /// Notes that the field occurs with a value.
    fn mark(&mut self, field: &FieldTable, at: usize) -> Step {
        let stack = &mut self.parsing.scratch.seen;
        let Some(What::Message { seen, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) else {
            return Ok(());
        };
        let kind = if !stack.first(seen, field.entry) {
            JsonErrorKind::DuplicateField
        } else if !stack.first_of_oneof(seen, field.entry) {
            JsonErrorKind::OneofSetTwice
        } else {
            return Ok(());
        };
        Err(stop(kind, at).in_field(&field.name))
    }

    /// Reads a value that is all there.
    fn value(&mut self, table: &'s MessageTable, field: &'s FieldTable, at: usize) -> Step {
        let Some(What::Message { seen, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) else {
            return Ok(());
        };
        self.parsing.field(table, field, seen, at)
    }

    /// Goes into the message, list or map that begins here.
    fn open_frame(&mut self, field: &'s FieldTable) -> Step {
        let what = if field.entry.is(Entry::MAP) {
            What::Map {
                keys: self.parsing.scratch.keys.len(),
            }
        } else if field.entry.is(Entry::REPEATED) {
            What::List
        } else {
            // What was gathered belongs to the message around it.
            self.flush();
            self.parsing.enter()?;
            let table = self.tables.message(field.entry.sub);
            What::Message {
                table,
                seen: self.parsing.scratch.seen.open(table),
                written: false,
            }
        };
        self.expect(Next::CommaOrEnd);
        self.parsing.pos += 1;
        self.frames.push(Frame {
            what,
            next: Next::FirstOrEnd,
            field: Some(field),
            count: 0,
        });
        Ok(())
    }

    /// Ends the innermost frame.
    fn close_frame(&mut self) -> Step {
        match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { .. }) => self.flush_message(),
            Some(What::Map { keys }) => {
                let keys = *keys;
                self.parsing.unique_keys(keys)?;
            }
            _ => self.close_packed(),
        }
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        if let What::Message { seen, .. } = frame.what {
            self.parsing.scratch.seen.close(&seen);
            self.parsing.depth += 1;
        }
        Ok(())
    }

    /// Writes what is left of the innermost message; if nothing was written yet, that it is there.
    fn flush_message(&mut self) {
        let written = match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { written, .. }) => *written,
            _ => true,
        };
        if !written || self.parsing.out.at() > 0 {
            self.wrap();
        }
    }

    fn flush(&mut self) {
        self.close_packed();
        if self.parsing.out.at() > 0 {
            self.wrap();
        }
    }

    fn close_packed(&mut self) {
        let Some(gap) = self.packed.take() else { return };
        self.parsing.close(gap);
    }

    /// Moves the gathered records to the wire, inside the messages that are open.
    fn wrap(&mut self) {
        let chain = || self.frames.iter().filter_map(|frame| frame.chain_field());
        let mut lengths: Vec<usize> = Vec::new();
        let mut length = self.parsing.out.at();
        for field in chain().rev() {
            lengths.push(length);
            let tag = wire::varint_len(u64::from(field.entry.tag));
            length += if field.kind == crate::Kind::Group {
                2 * tag
            } else {
                tag + wire::varint_len(length as u64)
            };
        }
        for (field, length) in chain().zip(lengths.iter().rev()) {
            self.wire.varint(u64::from(field.entry.tag));
            if field.kind != crate::Kind::Group {
                self.wire.varint(*length as u64);
            }
        }
        self.wire.put(self.parsing.out.since(0));
        for field in chain().rev().filter(|field| field.kind == crate::Kind::Group) {
            self.wire
                .varint(u64::from(wire::tag(field.number, WireType::EndGroup)));
        }
        self.parsing.out.back_to(0);
        for frame in self.frames.iter_mut() {
            if let What::Message { written, .. } = &mut frame.what {
                *written = true;
            }
        }
    }

    fn whole_root(&mut self, table: &'s MessageTable) -> Step<Progress> {
        let Some(end) = self.scanned(Unit::Value) else {
            return Ok(Progress::NeedsMore);
        };
        self.parsing.message(table)?;
        self.end_item(end)?;
        self.flush();
        self.frames.clear();
        Ok(Progress::Went)
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
