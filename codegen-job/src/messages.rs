//! Protobuf messages for people: decoded, encoded, read, changed and compared, by a descriptor set or by the one that
//! an IdlRepo publishes.

mod difference;
mod json_value;
mod schema;

use heddle_crds::condition::truncate;
use heddle_dynamic_protobuf::edit::{Edit, EditError, Editor, NewValue};
use heddle_dynamic_protobuf::json::{self, FieldNames, JsonError, JsonPrinter};
use heddle_dynamic_protobuf::path::{Path, PathError};
use heddle_dynamic_protobuf::text::{self, ParseError, PrintError};
use heddle_dynamic_protobuf::{DecodeError, Message, MessageDescriptor};
use std::fmt;
use std::str::FromStr;

pub use difference::{Difference, differences};
pub use json_value::pretty;
pub use schema::{IdlRepoName, SchemaError, find_type, read_published, read_schema};

/// The most bytes of a message that is read.
pub const MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of what somebody wrote that an error repeats.
const QUOTE_BYTES: usize = 80;

/// How messages are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// ProtoJSON.
    Json,
    /// The text format.
    Text,
    /// As on the wire.
    Binary,
}

/// Why a message could not be worked with.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Bytes that are no message of the type.
    #[error("failed to decode {what} as {type_name}: {source}")]
    Decode {
        /// Which message.
        what: String,
        /// The type.
        type_name: String,
        /// Where and why.
        source: DecodeError,
    },
    /// JSON that is none.
    #[error("failed to read {what} as JSON of {type_name}: {source}")]
    ReadJson {
        /// Which message.
        what: String,
        /// The type.
        type_name: String,
        /// Where and why.
        source: JsonError,
    },
    /// Text that is none.
    #[error("failed to read {what} as text of {type_name}: {source}")]
    ReadText {
        /// Which message.
        what: String,
        /// The type.
        type_name: String,
        /// Where and why.
        source: ParseError,
    },
    /// It is not UTF-8.
    #[error("failed to read {what} as text: it is not UTF-8; is it a message in the binary format?")]
    ReadUtf8 {
        /// Which message.
        what: String,
    },
    /// JSON cannot express it.
    #[error("failed to write the message as JSON: {0}")]
    WriteJson(JsonError),
    /// Text cannot express it.
    #[error("failed to write the message as text: {0}")]
    WriteText(PrintError),
    /// A path leads nowhere.
    #[error("failed to follow the path: {0}")]
    CompilePath(PathError),
    /// An assignment without a value.
    #[error("failed to read {0:?}: write PATH=VALUE, and PATH=null to remove")]
    ReadAssignment(String),
    /// A value that does not suit its place.
    #[error("failed to set {path}: {expected}, not {found}")]
    ReadValue {
        /// Where.
        path: String,
        /// What belongs there.
        expected: String,
        /// What was given.
        found: String,
    },
    /// An edit that cannot be made.
    #[error("failed to change the message: {0}")]
    Edit(EditError),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            "binary" => Ok(Self::Binary),
            _ => Err(format!("{text:?} is none of json, text and binary")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Binary => "binary",
        })
    }
}

/// The wire bytes of a message that `input`, called `what` in errors, holds in `format`. They are checked in every format.
///
/// # Errors
/// When it holds none.
pub fn read(
    descriptor: MessageDescriptor<'_>,
    format: Format,
    input: Vec<u8>,
    what: &str,
) -> Result<Vec<u8>, MessageError> {
    let type_name = || descriptor.full_name().to_owned();
    let what = || what.to_owned();
    match format {
        Format::Binary => {
            let decoded = Message::new(descriptor).decode(&input);
            decoded.map_err(|source| MessageError::Decode {
                what: what(),
                type_name: type_name(),
                source,
            })?;
            Ok(input)
        }
        Format::Json => {
            let mut wire = Vec::new();
            let read = json::from_json(descriptor, &input, &mut wire);
            read.map_err(|source| MessageError::ReadJson {
                what: what(),
                type_name: type_name(),
                source,
            })?;
            Ok(wire)
        }
        Format::Text => {
            let input = String::from_utf8(input).map_err(|_| MessageError::ReadUtf8 { what: what() })?;
            let mut message = Message::new(descriptor);
            let read = text::parse(&input, &mut message, &text::ParseOptions::default());
            read.map_err(|source| MessageError::ReadText {
                what: what(),
                type_name: type_name(),
                source,
            })?;
            Ok(message.encode_to_vec())
        }
    }
}

/// The message in `format`: JSON with two spaces for each level, or as it is on the wire.
///
/// # Errors
/// When the format cannot express it.
pub fn write(
    descriptor: MessageDescriptor<'_>,
    format: Format,
    names: FieldNames,
    wire: &[u8],
) -> Result<Vec<u8>, MessageError> {
    match format {
        Format::Binary => Ok(wire.to_vec()),
        Format::Json => {
            let mut json = Vec::new();
            let options = json::PrintOptions {
                names,
                ..json::PrintOptions::default()
            };
            let printed = JsonPrinter::new(options).print(descriptor, wire, &mut json);
            printed.map_err(MessageError::WriteJson)?;
            let mut lines = pretty(&json);
            lines.push(b'\n');
            Ok(lines)
        }
        Format::Text => {
            let mut message = Message::new(descriptor);
            message.decode(wire).map_err(|source| MessageError::Decode {
                what: "the message".into(),
                type_name: descriptor.full_name().to_owned(),
                source,
            })?;
            let options = text::PrintOptions {
                unknown_fields: text::UnknownFields::Show,
                ..text::PrintOptions::default()
            };
            let printed = text::to_text(message.as_ref(), &options);
            Ok(printed.map_err(MessageError::WriteText)?.into_bytes())
        }
    }
}

/// The value at `path` as JSON on one line; `null` where there is none.
///
/// # Errors
/// When the path leads nowhere, or the bytes on the way are malformed.
pub fn get(descriptor: MessageDescriptor<'_>, wire: &[u8], path: &str) -> Result<String, MessageError> {
    let path = Path::compile(descriptor, path).map_err(MessageError::CompilePath)?;
    let decode = |source| MessageError::Decode {
        what: path.to_string(),
        type_name: descriptor.full_name().to_owned(),
        source,
    };
    match path.get(wire).map_err(decode)? {
        None => Ok("null".into()),
        Some(value) => json_value::to_json(&value),
    }
}

/// The message with every `PATH=VALUE` of `assignments` done, in their order. Values are JSON; a plain word is a string where
/// one belongs, and `null` removes.
///
/// # Errors
/// When a path leads nowhere, or a value does not suit its place.
pub fn set(
    descriptor: MessageDescriptor<'_>,
    wire: &[u8],
    assignments: &[String],
) -> Result<Vec<u8>, MessageError> {
    let mut editor = Editor::new();
    let mut current = wire.to_vec();
    for assignment in assignments {
        let (path, value) =
            split(assignment).ok_or_else(|| MessageError::ReadAssignment(quote(assignment)))?;
        let path = Path::compile(descriptor, path).map_err(MessageError::CompilePath)?;
        let mut changed = Vec::new();
        if value.trim() == "null" {
            editor.apply(&current, &[Edit::remove(&path)], &mut changed)
        } else {
            let value = json_value::OwnedValue::read(&path, value)?;
            value.lend(|value: NewValue<'_>| editor.apply(&current, &[Edit::set(&path, value)], &mut changed))
        }
        .map_err(MessageError::Edit)?;
        current = changed;
    }
    Ok(current)
}

/// Path and value: cut at the first `=` that is not in brackets, where keys of maps are.
fn split(assignment: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut is_escaped = false;
    let mut depth = 0_u32;
    for (at, character) in assignment.char_indices() {
        match (quote, character) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if depth > 0 => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, '=') if depth == 0 => return Some((&assignment[..at], &assignment[at + 1..])),
            (None, _) => {}
        }
    }
    None
}

fn quote(text: &str) -> String {
    let mut text = text.to_owned();
    truncate(&mut text, QUOTE_BYTES);
    text
}

#[cfg(test)]
mod tests;
