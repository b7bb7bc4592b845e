//! JSON to wire bytes, in one pass over borrowed text.
//!
//! Lengths are not known before their messages end, so a gap is left for each, as wide as the last one of such a message
//! was; where that was wrong the bytes are moved.

mod any;
mod chunked;
mod fields;
mod lexer;
mod maps;
mod number;
mod scalar;
mod text;
mod well_known;

pub use chunked::ChunkedJsonParser;

use super::error::{JsonError, JsonErrorKind, Step, Stop, stop};
use super::out::Out;
use super::seen::SeenStack;
use crate::limits::Limits;
use crate::schema::MessageDescriptor;
use crate::schema::tables::{MessageTable, Tables};
use crate::wire;
use fields::Members;

/// How JSON is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// What happens to fields and enum values that the schema lacks.
    pub unknown: UnknownFields,
    /// What a message may cost.
    pub limits: Limits,
}

/// What happens to fields and enum values that the schema lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// They are errors.
    #[default]
    Refuse,
    /// They are passed over, though they have to be valid JSON.
    Ignore,
}

/// Reads a message from JSON and appends its wire bytes to `out`, with default options.
///
/// # Errors
/// When the text is not JSON or not a message of this type; `out` is then as it was.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Schema, json};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/duration.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let duration = schema.message("google.protobuf.Duration").ok_or("no such message")?;
/// let mut wire = Vec::new();
/// json::from_json(duration, br#""5s""#, &mut wire)?;
/// assert_eq!(wire, [0x08, 0x05]);
/// # Ok(())
/// # }
/// ```
pub fn from_json(message: MessageDescriptor<'_>, text: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    JsonParser::default().parse(message, text, out)
}

/// Reads messages from JSON, one after another, reusing what it allocated for the one before.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Schema, json};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/type.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let value = schema.message("google.protobuf.EnumValue").ok_or("no such message")?;
/// let mut parser = json::JsonParser::new(json::ParseOptions::default());
/// let mut wire = Vec::new();
/// for text in [r#"{"name":"A"}"#, r#"{"name": "B", "number": 1e0}"#] {
///     wire.clear();
///     parser.parse(value, text.as_bytes(), &mut wire)?;
/// }
/// assert_eq!(wire, b"\x0a\x01B\x10\x01");
///
/// let error = parser.parse(value, b"{\n  \"number\": 1.5}", &mut wire).unwrap_err();
/// assert_eq!(error.path(), "number");
/// assert_eq!(error.line_and_column(), Some((2, 13)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct JsonParser {
    options: ParseOptions,
    scratch: Scratch,
}

/// How many message types have a memory of how long they were.
const HINTS: usize = 64;

/// What parsing needs beside input and output, kept between messages.
#[derive(Debug)]
struct Scratch {
    seen: SeenStack,
    /// Hashes of the keys of maps under way.
    keys: Vec<u64>,
    /// The last string that had escapes.
    text: Vec<u8>,
    /// By message type: how many bytes its last length took.
    hints: [u8; HINTS],
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            seen: SeenStack::default(),
            keys: Vec::new(),
            text: Vec::new(),
            hints: [1; HINTS],
        }
    }
}

impl JsonParser {
    /// A parser with these options.
    pub fn new(options: ParseOptions) -> Self {
        Self {
            options,
            scratch: Scratch::default(),
        }
    }

    /// Reads a message from JSON and appends its wire bytes to `out`.
    ///
    /// Fields are written in the order of the text, lists packed as the schema says. Required fields of proto2 may be
    /// missing.
    ///
    /// # Errors
    /// When the text is not JSON, not a message of this type, or exceeds a limit; `out` is then as it was.
    pub fn parse(
        &mut self,
        message: MessageDescriptor<'_>,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let limits = self.options.limits;
        if text.len() > limits.bytes {
            return Err(JsonError::new(JsonErrorKind::TooLarge, 0));
        }
        let start = out.len();
        let mut parsing = Parsing {
            tables: message.schema().tables(),
            text,
            pos: 0,
            out: Out::after(std::mem::take(out), text.len() + 64),
            end_limit: start.saturating_add(limits.bytes.min(wire::MAX_MESSAGE_BYTES)),
            options: self.options,
            depth: limits.depth.min(super::MAX_DEPTH),
            elements: limits.elements,
            scratch: &mut self.scratch,
        };
        let result = parsing.root(message);
        let mut bytes = parsing.out.into_bytes();
        if result.is_err() {
            bytes.truncate(start);
        }
        *out = bytes;
        result
    }
}

/// The parsing of one message.
struct Parsing<'a> {
    tables: &'a Tables,
    text: &'a [u8],
    pos: usize,
    out: Out,
    /// Where the output must end at the latest.
    end_limit: usize,
    options: ParseOptions,
    /// How many more levels may nest.
    depth: u32,
    /// How many more elements there may be.
    elements: usize,
    scratch: &'a mut Scratch,
}

/// Room for a length that is not known yet.
struct Gap {
    at: usize,
    width: usize,
}

impl<'a> Parsing<'a> {
    fn root(&mut self, message: MessageDescriptor<'a>) -> Result<(), JsonError> {
        let result = self.whole(message.table());
        self.scratch.seen.clear();
        self.scratch.keys.clear();
        result.map_err(|stop| stop.into_error().located(self.text))
    }

    fn whole(&mut self, table: &'a MessageTable) -> Step {
        self.space();
        self.message(table)?;
        self.space();
        self.check_length()?;
        if self.pos == self.text.len() {
            Ok(())
        } else {
            Err(self.fail(JsonErrorKind::TrailingData))
        }
    }

    /// Reads a message as the schema's type writes it, and appends its body.
    fn message(&mut self, table: &'a MessageTable) -> Step {
        self.enter()?;
        match table.well_known {
            None => self.members(table, Members::Fields)?,
            Some(well_known) => self.well_known(well_known, table)?,
        }
        self.depth += 1;
        Ok(())
    }

    /// Reads a message and appends it with its length.
    fn delimited(&mut self, index: u32) -> Step {
        let hint = index as usize % HINTS;
        let gap = self.open(usize::from(self.scratch.hints[hint]));
        self.message(self.tables.message(index))?;
        self.scratch.hints[hint] = self.close(gap) as u8;
        Ok(())
    }

    #[inline(always)]
    fn open(&mut self, width: usize) -> Gap {
        let at = self.out.at();
        self.out.room(width);
        self.out.advance(width);
        Gap { at, width }
    }

    /// Writes the length of what was written since, and returns how many bytes it took.
    #[inline(always)]
    fn close(&mut self, gap: Gap) -> usize {
        let start = gap.at + gap.width;
        let length = (self.out.at() - start) as u64;
        let width = wire::varint_len(length);
        if width != gap.width {
            self.out.shift(start, gap.at + width);
        }
        self.out.set_varint(gap.at, length);
        width
    }

    /// Goes one level down.
    #[inline(always)]
    fn enter(&mut self) -> Step {
        match self.depth.checked_sub(1) {
            Some(depth) => self.depth = depth,
            None => return Err(self.fail(JsonErrorKind::TooDeep)),
        }
        Ok(())
    }

    /// Counts one element of a list or map, and checks the size of the output.
    #[inline(always)]
    fn element(&mut self) -> Step {
        match self.elements.checked_sub(1) {
            Some(elements) => self.elements = elements,
            None => return Err(self.fail(JsonErrorKind::TooManyElements)),
        }
        self.check_length()
    }

    #[inline(always)]
    fn check_length(&self) -> Step {
        if self.out.at() > self.end_limit {
            return Err(self.fail(JsonErrorKind::TooLarge));
        }
        Ok(())
    }

    #[cold]
    fn fail(&self, kind: JsonErrorKind) -> Stop {
        stop(kind, self.pos)
    }
}
