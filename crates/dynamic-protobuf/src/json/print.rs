//! Wire bytes to JSON, in one pass.
//!
//! The quick way writes each field as it stands on the wire, and checks as it goes that this is what the message says: single
//! fields occur once, lists stand together, oneofs have one member, keys of maps are unique. Where that does not hold, the
//! output is dropped and the careful way taken, which gathers each field's occurrences first.

mod careful;
mod chunked;
mod fields;
mod maps;
mod scalar;
mod text;
mod well_known;

use super::error::{JsonError, JsonErrorKind, Step, Stop, stop};
use super::out::Out;
use super::seen::SeenStack;
use crate::limits::Limits;
use crate::schema::tables::{FieldTable, MessageTable, Tables};
use crate::schema::{MessageDescriptor, WellKnown};
pub use chunked::ChunkedJsonPrinter;
pub(super) use maps::hash;

/// How JSON is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrintOptions {
    /// By which of their names fields are written.
    pub names: FieldNames,
    /// How enum values are written.
    pub enums: EnumForm,
    /// Whether fields that are not set are written.
    pub zeros: ZeroFields,
    /// What a message may cost.
    pub limits: Limits,
}

/// By which of their names fields are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldNames {
    /// `lowerCamelCase`, or what `json_name` says.
    #[default]
    Json,
    /// As in the `.proto` file.
    Proto,
}

/// How enum values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnumForm {
    /// By name; those without a name by number.
    #[default]
    Name,
    /// By number.
    Number,
}

/// Whether fields without presence are written when they are zero or empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroFields {
    /// They are left out.
    #[default]
    Omit,
    /// They are written; fields that know whether they are set are left out all the same.
    Show,
}

/// Writes a message as JSON behind what `out` holds, with default options.
///
/// # Errors
/// When the bytes are not a message of this type or hold what JSON cannot express; `out` is then as it was.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Schema, json};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/duration.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let duration = schema.message("google.protobuf.Duration").ok_or("no such message")?;
/// let mut text = Vec::new();
/// json::to_json(duration, &[0x08, 0x05], &mut text)?;
/// assert_eq!(text, br#""5s""#);
/// # Ok(())
/// # }
/// ```
pub fn to_json(message: MessageDescriptor<'_>, wire: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    JsonPrinter::default().print(message, wire, out)
}

/// Writes messages as JSON, one after another, reusing what it allocated for the one before.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Schema, json};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/type.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let option = schema.message("google.protobuf.EnumValue").ok_or("no such message")?;
/// let mut printer = json::JsonPrinter::new(json::PrintOptions {
///     zeros: json::ZeroFields::Show,
///     ..json::PrintOptions::default()
/// });
/// let mut text = Vec::new();
/// for wire in [&b"\x0a\x01A"[..], b"\x0a\x01B\x10\x01"] {
///     text.clear();
///     printer.print(option, wire, &mut text)?;
/// }
/// assert_eq!(text, br#"{"name":"B","number":1,"options":[]}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct JsonPrinter {
    options: PrintOptions,
    scratch: Scratch,
}

/// What printing needs beside input and output, kept between messages.
#[derive(Debug, Default)]
struct Scratch {
    /// Bits of the fields that were seen, of the messages under way that have more than 64.
    seen: SeenStack,
    /// Hashes of the keys of maps under way.
    keys: Vec<u64>,
    /// Occurrences of fields, of the messages under way.
    occurrences: Vec<careful::Occurrence>,
}

impl JsonPrinter {
    /// A printer with these options.
    pub fn new(options: PrintOptions) -> Self {
        Self {
            options,
            scratch: Scratch::default(),
        }
    }

    /// Writes a message as JSON behind what `out` holds.
    ///
    /// The text is that of the message which these bytes decode to: the last value of a field counts, parts of a message
    /// merge. Fields stand in the order of the wire, or by number where that needed sorting out. Of values that a later
    /// one replaces only strings are checked.
    ///
    /// # Errors
    /// When the bytes are not a message of this type, hold what JSON cannot express or exceed a limit; `out` is then as
    /// it was.
    pub fn print(
        &mut self,
        message: MessageDescriptor<'_>,
        wire: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let limits = self.options.limits;
        if wire.len() > limits.bytes.min(crate::wire::MAX_MESSAGE_BYTES) {
            return Err(JsonError::new(JsonErrorKind::TooLarge, 0));
        }
        let start = out.len();
        let mut printing = Printing {
            tables: message.schema().tables(),
            wire,
            out: Out::after(std::mem::take(out), expected_length(wire).min(limits.bytes)),
            end_limit: start.saturating_add(limits.bytes),
            options: self.options,
            depth: limits.depth.min(super::MAX_DEPTH),
            elements: limits.elements,
            mode: Mode::Quick,
            scratch: &mut self.scratch,
        };
        let result = printing.root(message.table(), start);
        let mut bytes = printing.out.into_bytes();
        if result.is_err() {
            bytes.truncate(start);
        }
        *out = bytes;
        result
    }
}

/// Names and quotes make JSON about twice as long as the wire.
fn expected_length(wire: &[u8]) -> usize {
    wire.len().saturating_mul(2) + 64
}

/// Which of both ways is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Quick,
    Careful,
}

/// A part of the wire: one occurrence of a message, without tag and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// The printing of one message.
struct Printing<'a> {
    tables: &'a Tables,
    wire: &'a [u8],
    out: Out,
    /// Where the output must end at the latest.
    end_limit: usize,
    options: PrintOptions,
    /// How many more levels may nest.
    depth: u32,
    /// How many more elements there may be.
    elements: usize,
    mode: Mode,
    scratch: &'a mut Scratch,
}

impl<'a> Printing<'a> {
    fn root(&mut self, table: &'a MessageTable, start: usize) -> Result<(), JsonError> {
        let whole = [Span {
            start: 0,
            end: self.wire.len(),
        }];
        let (depth, elements) = (self.depth, self.elements);
        let mut result = self.message(table, &whole);
        if matches!(result, Err(Stop::Irregular)) {
            self.out.back_to(start);
            (self.depth, self.elements, self.mode) = (depth, elements, Mode::Careful);
            result = self.message(table, &whole);
        }
        let result = result.and_then(|()| self.check_length(self.wire.len()));
        let Scratch {
            seen,
            keys,
            occurrences,
        } = &mut *self.scratch;
        seen.clear();
        keys.clear();
        occurrences.clear();
        result.map_err(Stop::into_error)
    }

    /// Writes a message; several spans are occurrences that merge.
    fn message(&mut self, table: &'a MessageTable, spans: &[Span]) -> Step {
        let offset = spans.first().map_or(0, |span| span.start);
        self.enter(offset)?;
        match table.well_known {
            None => self.object(table, spans)?,
            Some(well_known) => self.well_known(well_known, spans)?,
        }
        self.depth += 1;
        Ok(())
    }

    /// Goes one level down.
    #[inline(always)]
    fn enter(&mut self, offset: usize) -> Step {
        match self.depth.checked_sub(1) {
            Some(depth) => self.depth = depth,
            None => return Err(stop(JsonErrorKind::TooDeep, offset)),
        }
        Ok(())
    }

    /// Writes a message as an object.
    fn object(&mut self, table: &'a MessageTable, spans: &[Span]) -> Step {
        let start = self.out.at();
        self.members(table, spans)?;
        self.close(start, b'{', b'}');
        Ok(())
    }

    /// Writes the members of a message, each with a comma before it.
    fn members(&mut self, table: &'a MessageTable, spans: &[Span]) -> Step {
        match (self.mode, spans) {
            (Mode::Quick, [span]) => self.fields(table, *span),
            (Mode::Quick, _) => Err(Stop::Irregular),
            (Mode::Careful, _) => self.careful(table, spans),
        }
    }

    /// Turns members with commas before them into an object or array: the first comma becomes what opens it.
    #[inline(always)]
    fn close(&mut self, start: usize, opening: u8, closing: u8) {
        if self.out.at() == start {
            self.out.byte(opening);
        } else {
            self.out.set(start, opening);
        }
        self.out.byte(closing);
    }

    /// The field's name with comma and colon.
    #[inline(always)]
    fn key(&mut self, field: &FieldTable) {
        match self.options.names {
            FieldNames::Json => self.out.put(&field.json_key),
            FieldNames::Proto => self.out.put(&field.proto_key),
        }
    }

    /// Counts one element of a list or map.
    #[inline(always)]
    fn element(&mut self, offset: usize) -> Step {
        match self.elements.checked_sub(1) {
            Some(elements) => self.elements = elements,
            None => return Err(stop(JsonErrorKind::TooManyElements, offset)),
        }
        Ok(())
    }

    /// Checks the size of the output.
    #[inline(always)]
    fn check_length(&self, offset: usize) -> Step {
        if self.out.at() > self.end_limit {
            return Err(stop(JsonErrorKind::TooLarge, offset));
        }
        Ok(())
    }

    /// The wire up to `end`: offsets stay those of the whole.
    #[inline(always)]
    fn upto(&self, end: usize) -> &'a [u8] {
        self.wire.get(..end).unwrap_or(self.wire)
    }

    fn message_of(&self, field: &FieldTable) -> &'a MessageTable {
        self.tables.message(field.entry.sub)
    }
}

/// Whether `null` is a value of the field and not its absence.
pub(super) fn holds_null(tables: &Tables, field: &FieldTable) -> bool {
    match field.kind {
        crate::Kind::Enum => tables.enumeration(field.entry.sub).null_value,
        kind if kind.is_message() => tables.message(field.entry.sub).well_known == Some(WellKnown::Value),
        _ => false,
    }
}
