//! Single values as JSON, by the rules of ProtoJSON: what a path leads to, and what is to be put there.

use super::{MessageError, quote};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use heddle_dynamic_protobuf::edit::NewValue;
use heddle_dynamic_protobuf::json;
use heddle_dynamic_protobuf::path::Path;
use heddle_dynamic_protobuf::view::{Value, View};
use heddle_dynamic_protobuf::{DecodeError, FieldDescriptor, Kind, Scalar};
use serde_json::Value as Json;

/// The value on one line.
pub(super) fn to_json(value: &Value<'_, '_>) -> Result<String, MessageError> {
    match value {
        Value::Message(view) => message_to_json(view),
        Value::List(list) => {
            let elements: Result<Vec<_>, MessageError> = list
                .iter()
                .map(|element| to_json(&element.map_err(decode)?))
                .collect();
            Ok(format!("[{}]", elements?.join(",")))
        }
        Value::Map(map) => {
            let mut entries = Vec::new();
            map.for_each(|(key, value)| entries.push((key_to_json(&key), to_json(&value))))
                .map_err(decode)?;
            let mut lines = Vec::new();
            for (key, value) in entries {
                lines.push(format!("{key}:{}", value?));
            }
            lines.sort();
            Ok(format!("{{{}}}", lines.join(",")))
        }
        scalar => Ok(scalar_to_json(scalar)),
    }
}

fn decode(source: DecodeError) -> MessageError {
    MessageError::Decode {
        what: "the value".into(),
        type_name: "its type".into(),
        source,
    }
}

fn message_to_json(view: &View<'_, '_>) -> Result<String, MessageError> {
    let (mut wire, mut text) = (Vec::new(), Vec::new());
    view.encode_into(&mut wire);
    json::to_json(view.descriptor(), &wire, &mut text).map_err(MessageError::WriteJson)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Keys are strings in JSON, whatever they are in protobuf.
pub(super) fn key_to_json(key: &Value<'_, '_>) -> String {
    let plain = scalar_to_json(key);
    match plain.starts_with('"') {
        true => plain,
        false => format!("\"{plain}\""),
    }
}

pub(super) fn scalar_to_json(value: &Value<'_, '_>) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        // JavaScript would lose digits of these.
        Value::I64(value) => format!("\"{value}\""),
        Value::U64(value) => format!("\"{value}\""),
        Value::F32(value) => float_to_json(f64::from(*value), || Json::from(*value).to_string()),
        Value::F64(value) => float_to_json(*value, || Json::from(*value).to_string()),
        Value::String(text) => Json::from(*text).to_string(),
        Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)).to_string(),
        Value::Enum(enumeration, number) => match enumeration.value(*number) {
            Some(value) => Json::from(value.name()).to_string(),
            None => number.to_string(),
        },
        // Those that are no scalars, and have no form of their own here.
        _ => String::new(),
    }
}

fn float_to_json(value: f64, finite: impl FnOnce() -> String) -> String {
    match value {
        value if value.is_nan() => "\"NaN\"".into(),
        f64::INFINITY => "\"Infinity\"".into(),
        f64::NEG_INFINITY => "\"-Infinity\"".into(),
        _ => finite(),
    }
}

/// A value that was read, and holds what it refers to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OwnedValue {
    Bool(bool),
    I64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    String(String),
    Bytes(Vec<u8>),
    Enum(i32),
    Message(Vec<u8>),
    List(Vec<OwnedValue>),
    Map(Vec<(OwnedValue, OwnedValue)>),
}

impl OwnedValue {
    /// Reads what is to be put at the path.
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, MessageError> {
        let reader = Reader { path, text };
        let field = path.field();
        match (reader.is_element(), field.is_map(), field.is_list()) {
            (true, true, _) => reader.read_one(reader.value_field(field)?, &reader.parse(field)),
            (false, true, _) => reader.read_map(field),
            (false, _, true) => reader.read_list(field),
            _ => reader.read_one(field, &reader.parse(field)),
        }
    }

    /// Gives the value to who writes it.
    pub(super) fn lend<T>(&self, write: impl FnOnce(NewValue<'_>) -> T) -> T {
        match self {
            Self::List(elements) => {
                let elements: Vec<_> = elements.iter().map(Self::borrow).collect();
                write(NewValue::List(&elements))
            }
            Self::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .filter_map(|(key, value)| Some((key.scalar()?, value.borrow())))
                    .collect();
                write(NewValue::Map(&entries))
            }
            single => write(single.borrow()),
        }
    }

    /// A value that is neither list nor map; those are not nested in each other.
    fn borrow(&self) -> NewValue<'_> {
        match (self, self.scalar()) {
            (_, Some(scalar)) => NewValue::Scalar(scalar),
            (Self::Message(wire), None) => NewValue::Message(wire),
            (_, None) => NewValue::List(&[]),
        }
    }

    fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Self::Bool(value) => Scalar::Bool(*value),
            Self::I64(value) => Scalar::I64(*value),
            Self::U64(value) => Scalar::U64(*value),
            Self::F32(value) => Scalar::F32(*value),
            Self::F64(value) => Scalar::F64(*value),
            Self::String(text) => Scalar::String(text),
            Self::Bytes(bytes) => Scalar::Bytes(bytes),
            Self::Enum(number) => Scalar::Enum(*number),
            Self::Message(_) | Self::List(_) | Self::Map(_) => return None,
        })
    }
}

/// Reads a value for a path.
struct Reader<'p> {
    path: &'p Path,
    text: &'p str,
}

impl<'p> Reader<'p> {
    /// Whether the path ends at one of the values of a list or map. Names of extensions are in brackets, too, but stand
    /// behind a dot.
    fn is_element(&self) -> bool {
        let path = self.path.as_str();
        let opens = path.rfind('[').filter(|_| path.ends_with(']'));
        opens.is_some_and(|at| at > 0 && !path[..at].ends_with('.'))
    }

    /// A plain word is a string where one belongs.
    fn parse(&self, field: FieldDescriptor<'_>) -> Json {
        let field = field.map_value().unwrap_or(field);
        let takes_words = matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Enum)
            || field
                .message()
                .is_some_and(|message| message.well_known().is_some());
        match serde_json::from_str(self.text) {
            Ok(Json::String(text)) => Json::String(text),
            // `name=42` and `name=true` are words as well.
            Ok(_) if field.kind() == Kind::String => Json::String(self.text.to_owned()),
            Ok(value) => value,
            Err(_) if takes_words => Json::String(self.text.to_owned()),
            Err(_) => Json::Null,
        }
    }

    fn value_field(&self, field: FieldDescriptor<'p>) -> Result<FieldDescriptor<'p>, MessageError> {
        field.map_value().ok_or_else(|| self.misfit("a map"))
    }

    fn read_list(&self, field: FieldDescriptor<'p>) -> Result<OwnedValue, MessageError> {
        let Ok(Json::Array(elements)) = serde_json::from_str(self.text) else {
            return Err(self.misfit("a JSON array is expected"));
        };
        let elements = elements.iter().map(|element| self.read_one(field, element));
        Ok(OwnedValue::List(elements.collect::<Result<_, _>>()?))
    }

    fn read_map(&self, field: FieldDescriptor<'p>) -> Result<OwnedValue, MessageError> {
        let (Ok(Json::Object(entries)), Some(key_field)) = (serde_json::from_str(self.text), field.map_key())
        else {
            return Err(self.misfit("a JSON object is expected"));
        };
        let value_field = self.value_field(field)?;
        let entries = entries.into_iter().map(|(key, value)| {
            let key = match key_field.kind() {
                Kind::Bool => Json::Bool(key == "true"),
                _ => Json::String(key),
            };
            Ok((
                self.read_one(key_field, &key)?,
                self.read_one(value_field, &value)?,
            ))
        });
        Ok(OwnedValue::Map(entries.collect::<Result<_, _>>()?))
    }

    fn read_one(&self, field: FieldDescriptor<'p>, value: &Json) -> Result<OwnedValue, MessageError> {
        if let Some(message) = field.message() {
            let mut wire = Vec::new();
            let read = json::from_json(message, value.to_string().as_bytes(), &mut wire);
            read.map_err(|source| MessageError::ReadJson {
                what: format!("the value for {}", self.path),
                type_name: message.full_name().to_owned(),
                source,
            })?;
            return Ok(OwnedValue::Message(wire));
        }
        let (read, expected) = read_scalar(field, value);
        read.ok_or_else(|| self.misfit(&expected))
    }

    fn misfit(&self, expected: &str) -> MessageError {
        MessageError::ReadValue {
            path: self.path.to_string(),
            expected: expected.to_owned(),
            found: quote(self.text),
        }
    }
}

/// The scalar, and what would have been one.
fn read_scalar(field: FieldDescriptor<'_>, value: &Json) -> (Option<OwnedValue>, String) {
    let text = value.as_str();
    let float = || match text {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(text) => text.parse().ok(),
        None => value.as_f64(),
    };
    match field.kind() {
        Kind::Bool => (
            value.as_bool().map(OwnedValue::Bool),
            "true or false is expected".into(),
        ),
        Kind::String => (
            text.map(|text| OwnedValue::String(text.to_owned())),
            "a string is expected".into(),
        ),
        Kind::Bytes => (
            text.and_then(base64).map(OwnedValue::Bytes),
            "base64 is expected".into(),
        ),
        Kind::Double => (float().map(OwnedValue::F64), "a number is expected".into()),
        Kind::Float => (
            float().map(narrow).map(OwnedValue::F32),
            "a number is expected".into(),
        ),
        Kind::Enum => enumerator(field, value),
        kind => (integer(value), format!("an integer ({kind:?}) is expected")),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "that is what a float field holds")]
fn narrow(value: f64) -> f32 {
    value as f32
}

fn integer(value: &Json) -> Option<OwnedValue> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    let signed = text.parse().ok().map(OwnedValue::I64);
    signed.or_else(|| text.parse().ok().map(OwnedValue::U64))
}

fn enumerator(field: FieldDescriptor<'_>, value: &Json) -> (Option<OwnedValue>, String) {
    let Some(enumeration) = field.enumeration() else {
        return (None, "an enum is expected".into());
    };
    let by_name = value.as_str().and_then(|name| enumeration.value_named(name));
    let number = by_name.map(|found| found.number());
    let number = number.or_else(|| value.as_i64().and_then(|number| i32::try_from(number).ok()));
    let names: Vec<_> = enumeration.values().take(16).map(|value| value.name()).collect();
    (
        number.map(OwnedValue::Enum),
        format!("one of {} is expected", names.join(", ")),
    )
}

/// Any of the alphabets that ProtoJSON takes.
fn base64(text: &str) -> Option<Vec<u8>> {
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok())
}

/// The same JSON with a line for each element and two spaces for each level. Values stay as they are, digit by digit.
pub fn pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut level, mut in_string, mut is_escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, level: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * level));
    };
    for (at, &byte) in json.iter().enumerate() {
        if in_string {
            out.push(byte);
            in_string = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                level += 1;
                if !matches!(json.get(at + 1), Some(b'}' | b']')) {
                    line(&mut out, level);
                }
            }
            b'}' | b']' => {
                level = level.saturating_sub(1);
                if !matches!(json.get(at.wrapping_sub(1)), Some(b'{' | b'[')) {
                    line(&mut out, level);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, level);
            }
            b':' => out.extend(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}
