//! Wire bytes to JSON in chunks, for messages that are larger than memory: what is open is a stack of frames, and only the
//! record that is not complete yet is held.

use super::fields::accepts;
use super::scalar::read_bits;
use super::{Mode, PrintOptions, Printing, Scratch, Span, ZeroFields};
use crate::error::DecodeErrorKind;
use crate::json::error::{JsonError, JsonErrorKind, Step, Stop, stop};
use crate::json::out::Out;
use crate::json::seen::Seen;
use crate::schema::MessageDescriptor;
use crate::schema::tables::{Entry, FieldTable, MessageTable, Op, Tables};
use crate::wire::{self, WireType};

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

    /// Takes the record that begins here.
    fn record(&mut self, end: usize, more: bool) -> Step<Progress> {
        let Some(frame) = self.frames.last() else {
            return Ok(Progress::Done);
        };
        let (group, bound) = (frame.group, frame.bound);
        let bytes = self.printing.upto(end);
        let mut pos = self.pos;
        let tag = match wire::read_tag(bytes, &mut pos) {
            Err(DecodeErrorKind::Truncated) if self.may_grow(more) => return Ok(Progress::NeedsMore),
            other => other.map_err(|kind| stop(kind, self.pos))?,
        };
        if tag & 7 == WireType::EndGroup as u32 {
            if group != Some(tag >> 3) {
                return Err(stop(DecodeErrorKind::UnexpectedEndGroup, self.pos));
            }
            self.pos = pos;
            return self.close_frame();
        }
        let entry = self.entry(tag);
        match self.head(tag, entry, pos, bytes) {
            Err(DecodeErrorKind::Truncated) if self.may_grow(more) => Ok(Progress::NeedsMore),
            Err(kind) => Err(stop(kind, self.pos)),
            // It reaches past its message, whatever comes.
            Ok(head)
                if head
                    .end
                    .is_some_and(|end| end > bound.saturating_sub(self.offset)) =>
            {
                Err(stop(DecodeErrorKind::Truncated, self.pos))
            }
            Ok(head) => self.dispatch(head),
        }
    }

    /// Whether what is cut off may yet come.
    fn may_grow(&self, more: bool) -> bool {
        more && !self.last
    }

    fn entry(&self, tag: u32) -> Entry {
        match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { table, .. }) => {
                Some(table.entry(tag >> 3)).filter(|entry| accepts(*entry, tag))
            }
            Some(What::Entry { value, .. }) => Some(value.entry).filter(|entry| entry.tag == tag),
            _ => None,
        }
        .unwrap_or(Entry::UNKNOWN)
    }

    /// Reads the length of the value at `pos`.
    fn head(&self, tag: u32, entry: Entry, pos: usize, bytes: &[u8]) -> Result<Head, DecodeErrorKind> {
        let mut end = pos;
        let mut head = Head {
            tag,
            entry,
            value: pos,
            body: pos,
            end: None,
        };
        match WireType::of_tag(tag) {
            Some(WireType::Len) => {
                let length = usize::try_from(wire::varint(bytes, &mut end)?).unwrap_or(usize::MAX);
                head.body = end;
                head.end = Some(end.saturating_add(length));
            }
            Some(WireType::StartGroup) => match wire::skip_value(bytes, &mut end, tag, self.printing.depth) {
                Err(DecodeErrorKind::Truncated) => {}
                other => head.end = other.map(|()| Some(end))?,
            },
            _ => {
                wire::skip_value(bytes, &mut end, tag, self.printing.depth)?;
                head.end = Some(end);
            }
        }
        Ok(head)
    }

    fn dispatch(&mut self, head: Head) -> Step<Progress> {
        let whole = head.end.filter(|end| *end <= self.printing.wire.len());
        let field = self.field(head.entry);
        match (field, whole) {
            // A key behind its value, or a second one.
            (None, _) if self.in_entry() && head.tag >> 3 == 1 => Err(Stop::Irregular),
            (None, Some(end)) => {
                self.pos = end;
                Ok(Progress::Went)
            }
            (None, None) => self.open_unknown(head),
            (Some(field), Some(end)) => self.whole_record(field, head, end),
            (Some(field), None) => self.part_record(field, head),
        }
    }

    fn in_entry(&self) -> bool {
        matches!(
            self.frames.last().map(|frame| &frame.what),
            Some(What::Entry { .. })
        )
    }

    /// The field that an entry belongs to.
    fn field(&self, entry: Entry) -> Option<&'s FieldTable> {
        if entry.op == Op::Unknown {
            return None;
        }
        match &self.frames.last()?.what {
            What::Message { table, .. } => self.tables.fields_of(table).get(usize::from(entry.slot)),
            What::Entry { value, .. } => Some(value),
            _ => None,
        }
    }

    fn open_unknown(&mut self, head: Head) -> Step<Progress> {
        self.printing.enter(self.pos)?;
        self.push_frame(What::Unknown, head, None);
        Ok(Progress::Went)
    }

    fn push_frame(&mut self, what: What<'s>, head: Head, field: Option<(&'s FieldTable, Option<usize>)>) {
        let outer = self.frames.last().map_or(usize::MAX, |frame| frame.bound);
        let (bound, group) = match head.end {
            Some(end) => (self.offset.saturating_add(end), None),
            None => (outer, Some(head.tag >> 3)),
        };
        self.pos = head.body;
        self.frames.push(Frame {
            what,
            bound,
            group,
            field,
        });
    }

    /// Takes a record that is not complete, if it is one that can be taken in parts.
    fn part_record(&mut self, field: &'s FieldTable, head: Head) -> Step<Progress> {
        let length = head.end.map_or(usize::MAX, |end| end - head.body);
        let in_parts = match field.kind {
            _ if field.entry.is(Entry::MAP) => {
                self.entry_value(field).is_some_and(|value| self.is_open(value))
            }
            kind if kind.is_message() => self.is_open(field),
            // Packed lists have a length, and single numbers are always whole.
            kind => kind.is_packable(),
        };
        if self.last {
            return Err(stop(DecodeErrorKind::Truncated, self.pos));
        }
        if !in_parts || length <= self.hold {
            let held = length.min(self.printing.wire.len() - head.value);
            let most = self.printing.options.limits.allocation;
            if held > most || (head.end.is_some() && length > most) {
                return Err(stop(JsonErrorKind::ValueTooLarge, self.pos));
            }
            return Ok(Progress::NeedsMore);
        }
        if self.in_entry() {
            return self.open_entry_value(field, head);
        }
        if field.entry.is(Entry::REPEATED) {
            return self.open_part_of_list(field, head);
        }
        self.printing.enter(self.pos)?;
        self.begin(field)?;
        let at = self.printing.out.at();
        self.printing.key(field);
        self.member_written(at);
        self.open_message(field, head, None);
        Ok(Progress::Went)
    }

    fn entry_value(&self, map: &FieldTable) -> Option<&'s FieldTable> {
        match self.tables.fields_of(self.tables.message(map.entry.sub)) {
            [_, value] => Some(value),
            _ => None,
        }
    }

    /// Whether the field's messages can be taken in parts.
    fn is_open(&self, field: &FieldTable) -> bool {
        field.kind.is_message() && !is_whole(self.tables.message(field.entry.sub))
    }

    fn open_message(&mut self, field: &'s FieldTable, head: Head, index: Option<usize>) {
        let table = self.tables.message(field.entry.sub);
        let what = What::Message {
            table,
            seen: self.printing.scratch.seen.open(table),
            open: None,
            empty: true,
        };
        self.push_frame(what, head, Some((field, index)));
    }

    fn open_part_of_list(&mut self, field: &'s FieldTable, head: Head) -> Step<Progress> {
        let map = field.entry.is(Entry::MAP);
        let packed = !map && !field.kind.is_message();
        if map {
            // The key has to be there before anything is written.
            return self.open_entry(field, head);
        }
        self.begin_list(field)?;
        let index = self.element_count();
        if packed {
            self.push_frame(What::Packed { field }, head, Some((field, None)));
            return Ok(Progress::Went);
        }
        self.printing.enter(self.pos)?;
        self.printing.element(self.pos)?;
        let at = self.printing.out.at();
        self.printing.out.byte(b',');
        self.element_written(at);
        self.open_message(field, head, Some(index));
        Ok(Progress::Went)
    }

    /// Opens an entry of a map whose key is there, and writes the key.
    fn open_entry(&mut self, field: &'s FieldTable, head: Head) -> Step<Progress> {
        let [key, value] = self.tables.fields_of(self.tables.message(field.entry.sub)) else {
            return Err(stop(DecodeErrorKind::InvalidTag, self.pos));
        };
        let span = match self.entry_key(key, head.body) {
            Err(DecodeErrorKind::Truncated) => return Ok(Progress::NeedsMore),
            found => found.map_err(|kind| stop(kind, head.body))?,
        };
        // An entry may lack its key, which is then zero or empty.
        let after = span.map_or(head.body, |span| span.end);
        self.begin_list(field)?;
        let index = self.element_count();
        self.printing.element(self.pos)?;
        let at = self.printing.out.at();
        self.printing.out.byte(b',');
        match span {
            Some(span) => {
                let found = self.printing.read_key(key, span)?;
                self.printing.note_key(found, span.start)?;
                self.printing.write_key(key, found, span.end)?;
            }
            None => self.printing.absent_key(key, head.body)?,
        }
        self.printing.out.byte(b':');
        self.element_written(at);
        let written = false;
        self.push_frame(What::Entry { value, written }, head, Some((field, Some(index))));
        self.pos = after;
        Ok(Progress::Went)
    }

    /// Where the key of the entry that begins here stands, if it comes first.
    fn entry_key(&self, key: &FieldTable, pos: usize) -> Result<Option<Span>, DecodeErrorKind> {
        let bytes = self.printing.wire;
        if pos > bytes.len() {
            return Err(DecodeErrorKind::Truncated);
        }
        let mut end = pos;
        if wire::read_tag(bytes, &mut end)? != key.entry.tag {
            return Ok(None);
        }
        let start = end;
        wire::skip_value(bytes, &mut end, key.entry.tag, 0)?;
        Ok(Some(Span { start, end }))
    }

    fn open_entry_value(&mut self, value: &'s FieldTable, head: Head) -> Step<Progress> {
        self.mark_entry_value()?;
        self.printing.enter(self.pos)?;
        self.open_message(value, head, None);
        Ok(Progress::Went)
    }

    /// Notes that the entry's value comes, which it may do once.
    fn mark_entry_value(&mut self) -> Step {
        match self.frames.last_mut().map(|frame| &mut frame.what) {
            Some(What::Entry { written, .. }) if !*written => *written = true,
            _ => return Err(Stop::Irregular),
        }
        Ok(())
    }

    /// Writes a record that is all there.
    fn whole_record(&mut self, field: &'s FieldTable, head: Head, end: usize) -> Step<Progress> {
        if self.in_entry() {
            self.mark_entry_value()?;
            self.orderly(|printing| {
                printing
                    .entry_value(field, printing.upto(end), head.value)
                    .map(drop)
            })?;
        } else if field.entry.is(Entry::REPEATED) {
            self.whole_part_of_list(field, head, end)
                .map_err(|stop| stop.in_field(&field.name))?;
        } else if self.is_value(field, head) {
            self.begin(field).map_err(|stop| stop.in_field(&field.name))?;
            let at = self.printing.out.at();
            self.orderly(|printing| printing.singular(field, printing.upto(end), head.value).map(drop))
                .map_err(|stop| stop.in_field(&field.name))?;
            self.member_written(at);
        }
        self.pos = end;
        self.printing.check_length(end)?;
        Ok(Progress::Went)
    }

    /// Whether the record is a value of the field: a closed enum's number without a name is not.
    fn is_value(&self, field: &FieldTable, head: Head) -> bool {
        if field.entry.op != Op::EnumClosed {
            return true;
        }
        let mut pos = head.value;
        read_bits(field.kind, self.printing.wire, &mut pos).is_ok_and(|bits| self.printing.names(field, bits))
    }

    fn whole_part_of_list(&mut self, field: &'s FieldTable, head: Head, end: usize) -> Step {
        let packed = field.kind.is_packable() && head.tag & 7 == WireType::Len as u32;
        if packed && head.body == end {
            return Ok(());
        }
        self.begin_list(field)?;
        let index = self.element_count();
        let at = self.printing.out.at();
        let written = if field.entry.is(Entry::MAP) {
            self.whole_entry(
                field,
                Span {
                    start: head.body,
                    end,
                },
            )
        } else {
            self.orderly(|printing| {
                let bytes = printing.upto(end);
                if packed {
                    printing.packed(field, bytes, head.value).map(drop)
                } else {
                    printing.list_element(field, bytes, head.value).map(drop)
                }
            })
        };
        written.map_err(|stop| stop.in_element(index))?;
        self.element_written(at);
        Ok(())
    }

    fn whole_entry(&mut self, field: &'s FieldTable, span: Span) -> Step {
        let [key, value] = self.tables.fields_of(self.tables.message(field.entry.sub)) else {
            return Err(stop(DecodeErrorKind::InvalidTag, self.pos));
        };
        self.orderly(|printing| {
            if printing.mode == Mode::Quick {
                return printing.entry(key, value, span);
            }
            if let Some(entry) = printing.map_entry([key, value], span)? {
                printing.note_key(entry.key, span.start)?;
                printing.map_member([key, value], &entry)?;
            }
            Ok(())
        })
    }

    /// Writes in the quick way, or in the careful one where that does not do.
    fn orderly(&mut self, mut write: impl FnMut(&mut Printing<'r>) -> Step) -> Step {
        let printing = &mut self.printing;
        let before = (printing.depth, printing.elements);
        let (at, keys) = (printing.out.at(), printing.scratch.keys.len());
        let seen = printing.scratch.seen.mark();
        let written = write(printing);
        if !matches!(written, Err(Stop::Irregular)) {
            return written;
        }
        printing.out.back_to(at);
        printing.scratch.keys.truncate(keys);
        printing.scratch.seen.back_to(seen);
        (printing.depth, printing.elements) = before;
        printing.mode = Mode::Careful;
        let written = write(printing);
        printing.mode = Mode::Quick;
        written
    }

    /// Begins a field other than the list that is open: it must not have begun before.
    fn begin(&mut self, field: &FieldTable) -> Step {
        self.close_list()?;
        let Some(What::Message { seen, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) else {
            return Err(Stop::Irregular);
        };
        let stack = &mut self.printing.scratch.seen;
        if stack.first(seen, field.entry) && stack.first_of_oneof(seen, field.entry) {
            Ok(())
        } else {
            Err(stop(JsonErrorKind::NotInOrder, self.pos))
        }
    }

    /// Goes on with the list or map that is open, or begins another.
    fn begin_list(&mut self, field: &'s FieldTable) -> Step {
        if self
            .open_list()
            .is_some_and(|open| open.field.number == field.number)
        {
            return Ok(());
        }
        self.begin(field)?;
        let at = self.printing.out.at();
        self.printing.key(field);
        self.member_written(at);
        let keys = self.printing.scratch.keys.len();
        if let Some(What::Message { open, .. }) = self.frames.last_mut().map(|frame| &mut frame.what) {
            *open = Some(Open {
                field,
                elements: 0,
                keys,
            });
        }
        Ok(())
    }

    fn open_list(&mut self) -> Option<&mut Open<'s>> {
        match self.frames.last_mut().map(|frame| &mut frame.what) {
            Some(What::Message { open, .. }) => open.as_mut(),
            _ => None,
        }
    }

    fn element_count(&mut self) -> usize {
        self.open_list().map_or(0, |open| open.elements)
    }

    /// After what was written since `at`: the first comma of a message becomes its brace.
    fn member_written(&mut self, at: usize) {
        let written = self.printing.out.at() > at;
        if let Some(What::Message { empty, .. }) = self.frames.last_mut().map(|frame| &mut frame.what)
            && written
            && std::mem::replace(empty, false)
        {
            self.printing.out.set(at, b'{');
        }
    }

    /// After what was written since `at`: the first comma of a list becomes its bracket.
    fn element_written(&mut self, at: usize) {
        if self.printing.out.at() == at {
            return;
        }
        let Some(open) = self.open_list() else { return };
        open.elements += 1;
        let opening = if open.field.entry.is(Entry::MAP) {
            b'{'
        } else {
            b'['
        };
        if open.elements == 1 {
            self.printing.out.set(at, opening);
        }
    }

    /// Ends the list or map that is open, if one is.
    fn close_list(&mut self) -> Step {
        let open = match self.frames.last_mut().map(|frame| &mut frame.what) {
            Some(What::Message { open, .. }) => open.take(),
            _ => None,
        };
        let Some(open) = open else { return Ok(()) };
        let map = open.field.entry.is(Entry::MAP);
        let (opening, closing) = if map { (b'{', b'}') } else { (b'[', b']') };
        if open.elements == 0 {
            self.printing.out.byte(opening);
        }
        self.printing.out.byte(closing);
        if map {
            let ended = self.printing.end_keys(open.keys);
            return ended.map_err(|_| stop(JsonErrorKind::NotInOrder, self.pos).in_field(&open.field.name));
        }
        Ok(())
    }

    /// Ends the innermost frame.
    fn close_frame(&mut self) -> Step<Progress> {
        self.close_list()?;
        let Some(frame) = self.frames.pop() else {
            return Ok(Progress::Done);
        };
        match frame.what {
            What::Message {
                table, seen, empty, ..
            } => {
                self.close_message(table, &seen, empty);
                self.printing.depth += 1;
            }
            What::Entry {
                value,
                written: false,
            } => self.orderly(|printing| printing.absent_value(value))?,
            // An empty message is still to be written.
            What::Whole { table } => self.whole_message(
                table,
                Span {
                    start: self.pos,
                    end: self.pos,
                },
            )?,
            What::Unknown => self.printing.depth += 1,
            What::Entry { .. } | What::Packed { .. } => {}
        }
        Ok(if self.frames.is_empty() {
            Progress::Done
        } else {
            Progress::Went
        })
    }

    fn close_message(&mut self, table: &'s MessageTable, seen: &Seen, empty: bool) {
        let at = self.printing.out.at();
        if self.printing.options.zeros == ZeroFields::Show {
            self.printing.zeros(table, seen);
        }
        self.printing.scratch.seen.close(seen);
        if empty && self.printing.out.at() == at {
            self.printing.out.byte(b'{');
        } else if empty {
            self.printing.out.set(at, b'{');
        }
        self.printing.out.byte(b'}');
    }

    fn whole_root(&mut self, table: &'s MessageTable, end: usize, more: bool) -> Step<Progress> {
        if more {
            return Ok(Progress::NeedsMore);
        }
        self.whole_message(table, Span { start: self.pos, end })?;
        self.pos = end;
        self.frames.clear();
        Ok(Progress::Done)
    }

    fn whole_message(&mut self, table: &'s MessageTable, span: Span) -> Step {
        self.orderly(|printing| printing.message(table, &[span]))
    }

    /// Writes the elements of a packed list that are there.
    fn packed_part(&mut self, field: &'s FieldTable, end: usize, more: bool) -> Step<Progress> {
        let bytes = self.printing.upto(end);
        while self.pos < end {
            let mut after = self.pos;
            let bits = match read_bits(field.kind, bytes, &mut after) {
                Err(DecodeErrorKind::Truncated) if self.may_grow(more) => return Ok(Progress::NeedsMore),
                other => other.map_err(|kind| stop(kind, self.pos))?,
            };
            self.printing.element(self.pos)?;
            if field.entry.op != Op::EnumClosed || self.printing.names(field, bits) {
                self.packed_element(field, bits);
            }
            self.pos = after;
            self.printing.check_length(self.pos)?;
        }
        Ok(if more { Progress::NeedsMore } else { Progress::Went })
    }

    fn packed_element(&mut self, field: &FieldTable, bits: u64) {
        let at = self.printing.out.at();
        self.printing.out.byte(b',');
        self.printing.number(field.kind, field.entry.sub, bits);
        let depth = self.frames.len().saturating_sub(2);
        if let Some(What::Message { open: Some(open), .. }) =
            self.frames.get_mut(depth).map(|frame| &mut frame.what)
        {
            open.elements += 1;
            if open.elements == 1 {
                self.printing.out.set(at, b'[');
            }
        }
    }
}

/// Whether the type is held whole, since its text is not an object of its fields.
fn is_whole(table: &MessageTable) -> bool {
    table.well_known.is_some() || table.message_set
}
