//! Text to messages.
//!
//! One pass over the text writes the message in its wire format, from which the receiving [`Message`] is decoded: so maps, lists in
//! pieces and defaults come out as they do everywhere else.

mod bracketed;
mod cursor;
mod scalar;
mod skip;
mod string;
mod wire_out;

use super::error::{ParseError, ParseErrorKind};
use super::names;
use crate::limits::Limits;
use crate::message::Message;
use crate::schema::tables::MessageTable;
use crate::schema::{FieldDescriptor, Kind, MessageDescriptor};
use bracketed::Bracketed;
use bytes::Bytes;
use cursor::Cursor;
use wire_out::WireOut;

/// How text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// What becomes of fields that the schema does not know.
    pub unknown_names: UnknownNames,
    /// What text may cost; the receiving message has its own limits besides.
    pub limits: Limits,
}

/// What becomes of fields and extensions that the schema does not know. Names that a message reserves are skipped in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownNames {
    /// They are an error.
    #[default]
    Refuse,
    /// They are skipped, whatever their values are; so are fields that have a number for a name.
    Ignore,
}

/// Reads `text` in place of what the message held. Required fields may be missing; [`Message::check_required`] asks for them.
///
/// # Errors
/// When the text is no message of the type or exceeds the limits; the message is empty then.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Message, Schema, text};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/type.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let mut message = Message::new(schema.message("google.protobuf.Enum").ok_or("no such message")?);
/// let options = text::ParseOptions::default();
/// text::parse("name: 'Color' enumvalue { name: 'RED' } syntax: SYNTAX_PROTO3", &mut message, &options)?;
/// let error = text::parse("name: 'Color'\nenumvalue { name: RED }", &mut message, &options).unwrap_err();
/// assert_eq!(error.to_string(), "2:19: expected a string in enumvalue.name");
/// # Ok(())
/// # }
/// ```
pub fn parse(
    text: impl AsRef<[u8]>,
    message: &mut Message,
    options: &ParseOptions,
) -> Result<(), ParseError> {
    let text = text.as_ref();
    let parsed = to_wire(text, message.descriptor(), options).and_then(|wire| {
        message
            .decode_shared(Bytes::from(wire))
            .map_err(|error| ParseError::of_message(&error, text.len()))
    });
    parsed.map_err(|error| {
        message.clear();
        error.located(text)
    })
}

fn to_wire(
    text: &[u8],
    message: MessageDescriptor<'_>,
    options: &ParseOptions,
) -> Result<Vec<u8>, ParseError> {
    if text.len() > options.limits.bytes {
        return Err(ParseError::new(ParseErrorKind::TooLarge, 0));
    }
    let mut parser = Parser {
        cursor: Cursor::new(text),
        out: WireOut::default(),
        seen: Vec::new(),
        options,
        depth: options.limits.depth.min(super::MAX_DEPTH),
        elements: options.limits.elements,
    };
    parser.message(message, End::OfText)?;
    Ok(parser.out.into_bytes())
}

type Step<T = ()> = Result<T, ParseError>;

/// What ends a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    OfText,
    Delimiter(u8),
}

struct Parser<'p> {
    cursor: Cursor<'p>,
    out: WireOut,
    /// Bits of the fields that are set already, by slot, of the messages under way.
    seen: Vec<u64>,
    options: &'p ParseOptions,
    /// How many more levels may nest.
    depth: u32,
    /// How many more elements there may be.
    elements: usize,
}

/// A message under way.
#[derive(Clone, Copy)]
struct Open<'s> {
    descriptor: MessageDescriptor<'s>,
    /// Where its bits begin in [`Parser::seen`].
    seen_at: usize,
}

impl<'s> Open<'s> {
    fn table(self) -> &'s MessageTable {
        self.descriptor.table()
    }
}

impl Parser<'_> {
    fn fail<T>(&self, kind: ParseErrorKind) -> Step<T> {
        Err(ParseError::new(kind, self.cursor.at()))
    }

    fn expected<T>(&self, what: &'static str) -> Step<T> {
        self.fail(ParseErrorKind::Expected(what))
    }

    /// Reads the fields of a message and what ends it.
    fn message(&mut self, descriptor: MessageDescriptor<'_>, end: End) -> Step {
        let open = Open {
            descriptor,
            seen_at: self.seen.len(),
        };
        let words = open.table().field_count().div_ceil(64);
        self.seen.resize(open.seen_at + words, 0);
        while !self.ends(end)? {
            self.field(open)?;
            self.separator();
            self.check_size()?;
        }
        self.seen.truncate(open.seen_at);
        Ok(())
    }

    /// Whether the message ends here; what ends it is then past.
    fn ends(&mut self, end: End) -> Step<bool> {
        match (self.cursor.peek(), end) {
            (None, End::OfText) => Ok(true),
            (None, End::Delimiter(_)) => self.fail(ParseErrorKind::Truncated),
            (Some(_), End::OfText) => Ok(false),
            (Some(_), End::Delimiter(delimiter)) => Ok(self.cursor.take(delimiter)),
        }
    }

    /// Moves past the comma or semicolon that may follow a field.
    fn separator(&mut self) {
        if !self.cursor.take(b',') {
            self.cursor.take(b';');
        }
    }

    /// Reads a field with its name.
    fn field(&mut self, open: Open<'_>) -> Step {
        let (message, start) = (open.descriptor, self.cursor.token_at());
        match self.cursor.peek() {
            Some(b'[') => match self.bracketed()? {
                Bracketed::TypeUrl(type_url) => self.expanded_any(open, &type_url, start),
                Bracketed::Extension(name) => match names::extension(message, &name) {
                    Some(field) => self.known_field(open, field, start),
                    None => self.unknown_field(ParseErrorKind::UnknownExtension, start),
                },
            },
            Some(b'0'..=b'9') => {
                self.number()?;
                self.unknown_field(ParseErrorKind::Expected("the name of a field"), start)
            }
            _ => {
                let Some(name) = self.cursor.identifier() else {
                    return self.expected("the name of a field");
                };
                match names::field(message, name) {
                    Some(field) => self.known_field(open, field, start),
                    None if message.is_reserved_name(name) => self.skip_value(),
                    None => self.unknown_field(ParseErrorKind::UnknownField, start),
                }
            }
        }
    }

    /// Reads past the value of a field that began at `start`, or refuses it.
    fn unknown_field(&mut self, refused: ParseErrorKind, start: usize) -> Step {
        match self.options.unknown_names {
            UnknownNames::Refuse => Err(ParseError::new(refused, start)),
            UnknownNames::Ignore => self.skip_value(),
        }
    }

    /// Reads the value of a field whose name stands at `start`.
    fn known_field(&mut self, open: Open<'_>, field: FieldDescriptor<'_>, start: usize) -> Step {
        let result = self.values(open, field, start);
        result.map_err(|error| error.in_field(names::name(field)))
    }

    fn values(&mut self, open: Open<'_>, field: FieldDescriptor<'_>, start: usize) -> Step {
        let colon = self.cursor.take(b':');
        if !colon && !field.kind().is_message() {
            return self.expected("a colon");
        }
        let repeated = field.is_list() || field.is_map();
        if self.cursor.peek() == Some(b'[') {
            return match repeated {
                true => self.list(field),
                false => self.fail(ParseErrorKind::UnexpectedList),
            };
        }
        if repeated {
            self.element()?;
        } else {
            self.take_slot(open, field, start)?;
        }
        self.tag_and_value(field)
    }

    /// Marks a field that is not repeated as set.
    fn take_slot(&mut self, open: Open<'_>, field: FieldDescriptor<'_>, start: usize) -> Step {
        let entry = field.table().entry;
        let seen = self.seen.get_mut(open.seen_at..).unwrap_or_default();
        let (word, bit) = (usize::from(entry.slot / 64), 1u64 << (entry.slot % 64));
        if seen.get(word).is_some_and(|word| word & bit != 0) {
            return Err(ParseError::new(ParseErrorKind::DuplicateField, start));
        }
        if let Some(oneof) = field.oneof() {
            let set =
                |(word, mask): &(u32, u64)| seen.get(*word as usize).is_some_and(|seen| seen & mask != 0);
            if oneof.table().masks.iter().any(set) {
                return Err(ParseError::new(ParseErrorKind::OneofSetTwice, start));
            }
        }
        if let Some(word) = seen.get_mut(word) {
            *word |= bit;
        }
        Ok(())
    }

    fn check_size(&self) -> Step {
        match self.out.len() > self.options.limits.bytes {
            true => self.fail(ParseErrorKind::TooLarge),
            false => Ok(()),
        }
    }

    /// Counts one element of a list or map.
    fn element(&mut self) -> Step {
        match self.elements.checked_sub(1) {
            Some(elements) => self.elements = elements,
            None => return self.fail(ParseErrorKind::TooManyElements),
        }
        self.check_size()
    }

    /// Reads a list in brackets.
    fn list(&mut self, field: FieldDescriptor<'_>) -> Step {
        self.cursor.take(b'[');
        if self.cursor.take(b']') {
            return Ok(());
        }
        let packed = field.is_packed().then(|| self.out.open_len(field.number()));
        loop {
            self.element()?;
            match packed {
                Some(_) => self.scalar(field)?,
                None => self.tag_and_value(field)?,
            }
            if self.cursor.take(b']') {
                break;
            }
            if !self.cursor.take(b',') {
                return self.expected("a comma or the end of the list");
            }
        }
        packed.into_iter().for_each(|at| self.out.close_len(at));
        Ok(())
    }

    fn tag_and_value(&mut self, field: FieldDescriptor<'_>) -> Step {
        if let Some(message) = field.message() {
            return self.submessage(field, message);
        }
        self.out.tag(field.number(), field.kind().wire_type());
        self.scalar(field)
    }

    fn submessage(&mut self, field: FieldDescriptor<'_>, message: MessageDescriptor<'_>) -> Step {
        let number = field.number();
        if field.kind() == Kind::Group {
            self.out.start_group(number);
            self.delimited(message)?;
            self.out.end_group(number);
        } else if field.containing_message().is_message_set() {
            let at = self.out.open_message_set_item(number);
            self.delimited(message)?;
            self.out.close_message_set_item(at);
        } else {
            let at = self.out.open_len(number);
            self.delimited(message)?;
            self.out.close_len(at);
        }
        Ok(())
    }

    /// Reads a message in braces or angle brackets.
    fn delimited(&mut self, message: MessageDescriptor<'_>) -> Step {
        let end = self.opening()?;
        self.message(message, end)?;
        self.depth += 1;
        Ok(())
    }

    /// Moves past what opens a message, one level down, and returns what closes it.
    fn opening(&mut self) -> Step<End> {
        let end = match self.cursor.peek() {
            Some(b'{') => End::Delimiter(b'}'),
            Some(b'<') => End::Delimiter(b'>'),
            _ => return self.expected("a message"),
        };
        match self.depth.checked_sub(1) {
            Some(depth) => self.depth = depth,
            None => return self.fail(ParseErrorKind::TooDeep),
        }
        self.cursor.advance();
        Ok(end)
    }
}
