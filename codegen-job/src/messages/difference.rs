//! How two messages of one type differ, path by path: what they mean, not how they are written.

use super::MessageError;
use super::json_value::{key_to_json, scalar_to_json, to_json};
use heddle_dynamic_protobuf::view::{List, Map, Value, View};
use heddle_dynamic_protobuf::{DecodeError, FieldDescriptor, MessageDescriptor};
use std::collections::{BTreeMap, BTreeSet};

/// The deepest that messages are compared field by field; below that as a whole.
const DEPTH_LIMIT: usize = 100;

/// A place where two messages differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Where, as other commands take it; the number of a field that the schema lacks.
    pub path: String,
    /// The first message's value as JSON, if it has one.
    pub old: Option<String>,
    /// The second message's.
    pub new: Option<String>,
}

/// Every difference, in the order of field numbers, elements and keys.
///
/// # Errors
/// When one of the two is malformed.
pub fn differences(
    descriptor: MessageDescriptor<'_>,
    old: &[u8],
    new: &[u8],
) -> Result<Vec<Difference>, MessageError> {
    let view = |wire| View::new(descriptor, wire).map_err(|error| decode(descriptor, error));
    let mut comparison = Comparison {
        root: descriptor,
        found: Vec::new(),
    };
    comparison.messages("", &view(old)?, &view(new)?, 0)?;
    Ok(comparison.found)
}

fn decode(descriptor: MessageDescriptor<'_>, source: DecodeError) -> MessageError {
    MessageError::Decode {
        what: "the message".into(),
        type_name: descriptor.full_name().to_owned(),
        source,
    }
}

struct Comparison<'s> {
    root: MessageDescriptor<'s>,
    found: Vec<Difference>,
}

impl<'s> Comparison<'s> {
    fn messages(
        &mut self,
        path: &str,
        old: &View<'s, '_>,
        new: &View<'s, '_>,
        depth: usize,
    ) -> Result<(), MessageError> {
        let fail = |error| decode(self.root, error);
        let (old_fields, old_unknown) = fields(old).map_err(fail)?;
        let (new_fields, new_unknown) = fields(new).map_err(fail)?;
        let all: BTreeMap<_, _> = old_fields.into_iter().chain(new_fields).collect();
        for field in all.into_values() {
            let path = join(path, field);
            let old = old.get(field).map_err(|error| decode(self.root, error))?;
            let new = new.get(field).map_err(|error| decode(self.root, error))?;
            self.values(&path, old.as_ref(), new.as_ref(), depth)?;
        }
        let numbers: BTreeSet<_> = old_unknown.keys().chain(new_unknown.keys()).collect();
        for number in numbers {
            let hex = |fields: &BTreeMap<u32, Vec<u8>>| fields.get(number).map(|bytes| hexadecimal(bytes));
            let path = if path.is_empty() {
                number.to_string()
            } else {
                format!("{path}.{number}")
            };
            self.differ(path, hex(&old_unknown), hex(&new_unknown));
        }
        Ok(())
    }

    fn values(
        &mut self,
        path: &str,
        old: Option<&Value<'s, '_>>,
        new: Option<&Value<'s, '_>>,
        depth: usize,
    ) -> Result<(), MessageError> {
        match (old, new) {
            (Some(Value::Message(old)), Some(Value::Message(new)))
                if depth < DEPTH_LIMIT && old.descriptor().well_known().is_none() =>
            {
                self.messages(path, old, new, depth + 1)
            }
            (Some(Value::List(old)), Some(Value::List(new))) => {
                let count = |list: &List<'s, '_>| list.count().map_err(|error| decode(self.root, error));
                let count = count(old)?.max(count(new)?);
                for index in 0..count {
                    let old = old.get(index).map_err(|error| decode(self.root, error))?;
                    let new = new.get(index).map_err(|error| decode(self.root, error))?;
                    self.values(&format!("{path}[{index}]"), old.as_ref(), new.as_ref(), depth + 1)?;
                }
                Ok(())
            }
            (Some(Value::Map(old)), Some(Value::Map(new))) => {
                let (old, new) = (self.entries(old)?, self.entries(new)?);
                let keys: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
                for key in keys {
                    let path = format!("{path}[{}]", key.0);
                    self.values(&path, old.get(&key), new.get(&key), depth + 1)?;
                }
                Ok(())
            }
            (old, new) => {
                let text = |value: Option<&Value<'_, '_>>| value.map(to_json).transpose();
                self.differ(path.to_owned(), text(old)?, text(new)?);
                Ok(())
            }
        }
    }

    fn entries<'a>(&self, map: &Map<'s, 'a>) -> Result<BTreeMap<MapKey, Value<'s, 'a>>, MessageError> {
        let mut entries = BTreeMap::new();
        map.for_each(|(key, value)| {
            entries.insert(MapKey(in_path(&key)), value);
        })
        .map_err(|error| decode(self.root, error))?;
        Ok(entries)
    }

    fn differ(&mut self, path: String, old: Option<String>, new: Option<String>) {
        if old != new {
            self.found.push(Difference { path, old, new });
        }
    }
}

/// A key as it stands in a path: numbers by value, strings by their characters.
#[derive(Clone, Debug, Eq, PartialEq)]
struct MapKey(String);

impl Ord for MapKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let number = |key: &Self| key.0.parse::<i128>().ok();
        number(self)
            .cmp(&number(other))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for MapKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn in_path(key: &Value<'_, '_>) -> String {
    match key {
        Value::String(_) | Value::Bytes(_) => key_to_json(key),
        number => scalar_to_json(number).trim_matches('"').to_owned(),
    }
}

fn join(path: &str, field: FieldDescriptor<'_>) -> String {
    let name = match field.is_extension() {
        true => format!("[{}]", field.full_name()),
        false => field.name().to_owned(),
    };
    match path.is_empty() {
        true => name,
        false => format!("{path}.{name}"),
    }
}

type Fields<'s> = (BTreeMap<u32, FieldDescriptor<'s>>, BTreeMap<u32, Vec<u8>>);

/// The fields that are on the wire, and the bytes of those that the schema lacks.
fn fields<'s>(view: &View<'s, '_>) -> Result<Fields<'s>, DecodeError> {
    let mut fields: Fields<'s> = Default::default();
    for raw in view.raw_fields() {
        let raw = raw?;
        match raw.field {
            Some(field) => _ = fields.0.insert(raw.number, field),
            None => fields.1.entry(raw.number).or_default().extend(raw.payload),
        }
    }
    Ok(fields)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}
