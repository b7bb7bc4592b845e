//! Messages to text.

mod scalar;
mod unknown;
mod value;

use super::error::PrintError;
use super::names::{self, AnyFields};
use crate::limits::Limits;
use crate::message::{MapRef, Message, MessageRef, Value};
use crate::schema::FieldDescriptor;

/// How text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrintOptions {
    /// One field a line, or everything on one.
    pub layout: Layout,
    /// What becomes of fields that the schema does not know.
    pub unknown_fields: UnknownFields,
    /// How `Any` is written.
    pub any: AnyForm,
    /// How deep messages may nest, how long the text may become, and how much memory contents of `Any` may take.
    pub limits: Limits,
}

/// How text is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One field a line, messages indented by two spaces; ends with a line break.
    #[default]
    Lines,
    /// Everything on one line.
    SingleLine,
}

/// What becomes of fields that the schema does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// They are left out: no parser reads them back.
    #[default]
    Omit,
    /// They are written with their numbers as names; contents that could be messages as messages.
    Show,
}

/// How `Any` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnyForm {
    /// `[type.googleapis.com/pkg.Type] { … }` when the schema has the type and the content suits it; else as [`AnyForm::Raw`].
    #[default]
    Expanded,
    /// With its fields `type_url` and `value`.
    Raw,
}

/// The message as text: fields by ascending number, entries of maps by ascending key, extensions and expanded `Any` by their names
/// in brackets, groups by the name of their type.
///
/// # Errors
/// When the message nests deeper or the text would be longer than the limits allow.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Message, Schema, text};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # compiler.open_file("google/protobuf/duration.proto")?.open_file("google/protobuf/any.proto")?;
/// # let set = compiler.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let mut any = Message::new(schema.message("google.protobuf.Any").ok_or("no such message")?);
/// any.decode(b"\x0a\x2ctype.googleapis.com/google.protobuf.Duration\x12\x02\x08\x05")?;
/// let options = text::PrintOptions { layout: text::Layout::SingleLine, ..text::PrintOptions::default() };
/// let printed = text::to_text(any.as_ref(), &options)?;
/// assert_eq!(printed, "[type.googleapis.com/google.protobuf.Duration] { seconds: 5 }");
/// # Ok(())
/// # }
/// ```
pub fn to_text(message: MessageRef<'_>, options: &PrintOptions) -> Result<String, PrintError> {
    let mut out = String::new();
    print(message, options, &mut out)?;
    Ok(out)
}

/// [`to_text`] behind what `out` holds.
///
/// # Errors
/// As [`to_text`]; `out` is then as it was.
pub fn print(message: MessageRef<'_>, options: &PrintOptions, out: &mut String) -> Result<(), PrintError> {
    let start = out.len();
    let printed = Printer::after(out, options).message(message);
    if printed.is_err() {
        out.truncate(start);
    }
    printed
}

/// A value on one line: messages in braces, lists in brackets, maps as lists of their entries.
pub(super) fn value_to_text(value: Value<'_>, options: &PrintOptions) -> Result<String, PrintError> {
    let mut out = String::new();
    let options = PrintOptions {
        layout: Layout::SingleLine,
        ..*options
    };
    Printer::after(&mut out, &options).value(value)?;
    Ok(out)
}

type Step<T = ()> = Result<T, PrintError>;

struct Printer<'p> {
    out: &'p mut String,
    /// Where the text begins in `out`.
    start: usize,
    /// Where it must end at the latest.
    end_limit: usize,
    options: &'p PrintOptions,
    /// How many messages are open.
    indent: usize,
    /// How many more may be.
    depth: u32,
    /// How many more bytes contents of `Any` may take.
    memory: usize,
}

impl<'p> Printer<'p> {
    /// Writes behind what `out` holds.
    fn after(out: &'p mut String, options: &'p PrintOptions) -> Self {
        Self {
            start: out.len(),
            end_limit: out.len().saturating_add(options.limits.bytes),
            options,
            indent: 0,
            depth: options.limits.depth.min(super::MAX_DEPTH),
            memory: options.limits.allocation,
            out,
        }
    }

    /// Writes what is in a message.
    fn message(&mut self, message: MessageRef<'_>) -> Step {
        if self.options.any == AnyForm::Expanded && self.expanded_any(message)? {
            return Ok(());
        }
        for (field, value) in message.fields() {
            match value {
                Value::List(list) => list.iter().try_for_each(|element| self.field(field, element))?,
                Value::Map(map) => self.map(field, map)?,
                single => self.field(field, single)?,
            }
        }
        if self.options.unknown_fields == UnknownFields::Show {
            message
                .unknown_fields()
                .try_for_each(|run| self.unknown_run(run))?;
        }
        Ok(())
    }

    /// Writes a field with one value.
    fn field(&mut self, field: FieldDescriptor<'_>, value: Value<'_>) -> Step {
        self.begin();
        if field.is_extension() {
            self.bracketed(names::name(field));
        } else {
            self.out.push_str(names::name(field));
        }
        if let Value::Message(message) = value {
            self.block(|printer| printer.message(message))?;
        } else {
            self.out.push_str(": ");
            self.scalar(value);
        }
        self.end()
    }

    fn map(&mut self, field: FieldDescriptor<'_>, map: MapRef<'_>) -> Step {
        let Some((key_field, value_field)) = field.map_key().zip(field.map_value()) else {
            return Ok(());
        };
        for (key, value) in ascending(map) {
            self.begin();
            self.out.push_str(field.name());
            self.block(|printer| {
                printer.field(key_field, key)?;
                printer.field(value_field, value)
            })?;
            self.end()?;
        }
        Ok(())
    }

    fn bracketed(&mut self, name: &str) {
        self.out.push('[');
        self.out.push_str(name);
        self.out.push(']');
    }

    /// Writes a message in braces; what names it is written.
    fn block(&mut self, content: impl FnOnce(&mut Self) -> Step) -> Step {
        self.out.push(' ');
        self.braced(content)
    }

    fn braced(&mut self, content: impl FnOnce(&mut Self) -> Step) -> Step {
        self.depth = self.depth.checked_sub(1).ok_or(PrintError::TooDeep)?;
        self.indent += 1;
        self.out.push('{');
        if self.options.layout == Layout::Lines {
            self.out.push('\n');
        }
        content(self)?;
        self.indent -= 1;
        self.depth += 1;
        self.begin();
        self.out.push('}');
        Ok(())
    }

    /// Sets what follows apart from what is there.
    fn begin(&mut self) {
        match self.options.layout {
            Layout::Lines => self.out.extend(std::iter::repeat_n("  ", self.indent)),
            Layout::SingleLine if self.out.len() > self.start => self.out.push(' '),
            Layout::SingleLine => {}
        }
    }

    /// Ends a field.
    fn end(&mut self) -> Step {
        if self.options.layout == Layout::Lines {
            self.out.push('\n');
        }
        if self.out.len() > self.end_limit {
            return Err(PrintError::TooLarge);
        }
        Ok(())
    }

    /// Writes an `Any` by its content, and returns whether that was possible.
    fn expanded_any(&mut self, message: MessageRef<'_>) -> Step<bool> {
        let Some(any) = AnyFields::of(message.descriptor()) else {
            return Ok(false);
        };
        let (type_url, value) = (message.get(any.type_url), message.get(any.value));
        let (Some(type_url), Some(value)) = (type_url.as_str(), value.as_bytes()) else {
            return Ok(false);
        };
        let found = names::type_of(message.descriptor().schema(), type_url);
        let known = found.filter(|_| is_plain_url(type_url) && message.unknown_fields().next().is_none());
        let (Some(descriptor), Some(memory)) = (known, self.memory.checked_sub(value.len())) else {
            return Ok(false);
        };
        let limits = Limits {
            depth: self.depth.saturating_sub(1),
            allocation: memory,
            ..self.options.limits
        };
        let mut content = Message::with_limits(descriptor, limits);
        if self.depth == 0 || content.decode(value).is_err() {
            return Ok(false);
        }
        let held = content.held_bytes().min(self.memory);
        self.memory -= held;
        self.begin();
        self.bracketed(type_url);
        self.block(|printer| printer.message(content.as_ref()))?;
        self.memory += held;
        self.end()?;
        Ok(true)
    }
}

/// The entries by ascending key: [`MapRef`] has unsigned numbers past the signed ones in front.
pub(super) fn ascending<'m>(map: MapRef<'m>) -> impl Iterator<Item = (Value<'m>, Value<'m>)> {
    let past_signed = |key: &Value<'_>| matches!(key, Value::U64(key) if *key > i64::MAX as u64);
    let last = map.iter().take_while(|(key, _)| past_signed(key)).count();
    map.iter().skip(last).chain(map.iter().take(last))
}

/// Whether every parser reads the URL as a name in brackets.
fn is_plain_url(type_url: &str) -> bool {
    let plain = |byte: u8| names::continues_identifier(byte) || matches!(byte, b'.' | b'-');
    let (prefix, _) = type_url.rsplit_once('/').unwrap_or_default();
    prefix
        .split('/')
        .all(|part| !part.is_empty() && part.bytes().all(plain))
}
