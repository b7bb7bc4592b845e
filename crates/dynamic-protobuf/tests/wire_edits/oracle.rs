//! The same operations on messages that prost-reflect has decoded.

mod masks;
mod reading;

use heddle_dynamic_protobuf::Scalar;
use heddle_dynamic_protobuf::edit::{Edit, NewValue};
use heddle_dynamic_protobuf::path::Path;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};
use std::ops::Range;

pub(crate) use masks::{MaskStep, Selection, mask_text, narrow, trim};
pub(crate) use reading::{Plain, get, plain};

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) field: FieldDescriptor,
    pub(crate) key: Option<Key>,
}

#[derive(Clone, Debug)]
pub(crate) enum Key {
    Int(i64),
    Bool(bool),
    String(String),
}

/// A scalar, or the bytes of a message.
pub(crate) type NewSingle = (Value, Option<Vec<u8>>);

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(NewSingle),
    Remove,
    SetList(Vec<NewSingle>),
    Append(Vec<NewSingle>),
    Insert(usize, Vec<NewSingle>),
    Keep(Range<usize>),
    SetMap(Vec<(Key, NewSingle)>),
}

#[derive(Debug)]
pub(crate) struct OutOfRange;

impl Key {
    pub(crate) fn value(&self, kind: &Kind) -> Value {
        match (self, kind) {
            (Self::String(key), _) => Value::String(key.clone()),
            (Self::Bool(key), _) => Value::Bool(*key),
            (Self::Int(key), Kind::Int32 | Kind::Sint32 | Kind::Sfixed32) => Value::I32(*key as i32),
            (Self::Int(key), _) => Value::I64(*key),
        }
    }

    fn map_key(&self, field: &FieldDescriptor) -> MapKey {
        let Kind::Message(entry) = field.kind() else {
            panic!("not a map");
        };
        self.value(&entry.map_entry_key_field().kind())
            .into_map_key()
            .unwrap()
    }
}

/// The path in our syntax, by names and numbers in turn.
pub(crate) fn text(steps: &[Step]) -> String {
    let mut text = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let name = if index % 2 == 0 {
            step.field.name().to_owned()
        } else {
            step.field.number().to_string()
        };
        let key = match &step.key {
            None => String::new(),
            Some(Key::Int(key)) => format!("[{key}]"),
            Some(Key::Bool(key)) => format!("[{key}]"),
            Some(Key::String(key)) => format!("[{key:?}]"),
        };
        text.push(name + &key);
    }
    text.join(".")
}

fn position(index: i64, count: usize) -> Option<usize> {
    if index < 0 {
        count.checked_sub(index.unsigned_abs() as usize)
    } else {
        Some(index as usize).filter(|index| *index < count)
    }
}

fn single(field: &FieldDescriptor, (value, bytes): &NewSingle) -> Value {
    let mut kind = field.kind();
    if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
        kind = entry.map_entry_value_field().kind();
    }
    match kind {
        Kind::Message(descriptor) => {
            Value::Message(DynamicMessage::decode(descriptor, bytes.as_deref().unwrap()).unwrap())
        }
        _ => value.clone(),
    }
}

impl Change {
    fn creates(&self) -> bool {
        !matches!(self, Self::Remove | Self::Keep(_))
    }
}

pub(crate) fn apply(message: &mut DynamicMessage, steps: &[Step], change: &Change) -> Result<(), OutOfRange> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(());
    };
    let field = &step.field;
    if !change.creates() && !message.has_field(field) {
        return Ok(());
    }
    let Some(key) = &step.key else {
        if rest.is_empty() {
            return apply_whole(message, field, change);
        }
        let Some(inner) = message.get_field_mut(field).as_message_mut() else {
            panic!("not a message");
        };
        return apply(inner, rest, change);
    };
    match (key, message.get_field_mut(field)) {
        (Key::Int(index), Value::List(list)) => {
            let Some(at) = position(*index, list.len()) else {
                return if change.creates() { Err(OutOfRange) } else { Ok(()) };
            };
            if let Some(inner) = list[at].as_message_mut().filter(|_| !rest.is_empty()) {
                return apply(inner, rest, change);
            }
            match change {
                Change::Set(value) => list[at] = single(field, value),
                _ => drop(list.remove(at)),
            }
        }
        (key, Value::Map(map)) => {
            let key = key.map_key(field);
            if rest.is_empty() {
                match change {
                    Change::Set(value) => drop(map.insert(key, single(field, value))),
                    _ => drop(map.remove(&key)),
                }
                return Ok(());
            }
            if !change.creates() && !map.contains_key(&key) {
                return Ok(());
            }
            let Kind::Message(entry) = field.kind() else {
                panic!("not a map");
            };
            let Kind::Message(descriptor) = entry.map_entry_value_field().kind() else {
                panic!("not a map of messages");
            };
            let value = map
                .entry(key)
                .or_insert(Value::Message(DynamicMessage::new(descriptor)));
            return apply(value.as_message_mut().unwrap(), rest, change);
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

fn apply_whole(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    change: &Change,
) -> Result<(), OutOfRange> {
    let list = |values: &[NewSingle]| {
        values
            .iter()
            .map(|value| single(field, value))
            .collect::<Vec<_>>()
    };
    match change {
        Change::Set(value) => message.set_field(field, single(field, value)),
        Change::Remove => message.clear_field(field),
        Change::SetList(values) => message.set_field(field, Value::List(list(values))),
        Change::SetMap(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.map_key(field), single(field, value)));
            message.set_field(field, Value::Map(entries.collect()));
        }
        Change::Append(values) => {
            message
                .get_field_mut(field)
                .as_list_mut()
                .unwrap()
                .extend(list(values));
        }
        Change::Insert(index, values) => {
            let elements = message.get_field_mut(field).as_list_mut().unwrap();
            if *index > elements.len() {
                return Err(OutOfRange);
            }
            elements.splice(index..index, list(values));
        }
        Change::Keep(range) => {
            let elements = message.get_field_mut(field).as_list_mut().unwrap();
            let mut index = 0;
            elements.retain(|_| {
                index += 1;
                range.contains(&(index - 1))
            });
        }
    }
    Ok(())
}

fn new_value((value, bytes): &NewSingle) -> NewValue<'_> {
    match value {
        _ if bytes.is_some() => NewValue::Message(bytes.as_deref().unwrap()),
        Value::Bool(value) => NewValue::from(*value),
        Value::I32(value) => NewValue::from(*value),
        Value::I64(value) => NewValue::from(*value),
        Value::U32(value) => NewValue::from(*value),
        Value::U64(value) => NewValue::from(*value),
        Value::F32(value) => NewValue::from(*value),
        Value::F64(value) => NewValue::from(*value),
        Value::String(value) => NewValue::from(value.as_str()),
        Value::Bytes(value) => NewValue::from(&value[..]),
        Value::EnumNumber(value) => NewValue::Scalar(Scalar::Enum(*value)),
        other => panic!("{other:?} is no scalar"),
    }
}

/// What an edit borrows from.
pub(crate) enum Values<'v> {
    List(Vec<NewValue<'v>>),
    Map(Vec<(Scalar<'v>, NewValue<'v>)>),
}

fn new_key(key: &Key) -> Scalar<'_> {
    match key {
        Key::Int(key) => Scalar::I64(*key),
        Key::Bool(key) => Scalar::Bool(*key),
        Key::String(key) => Scalar::String(key),
    }
}

pub(crate) fn values(change: &Change) -> Values<'_> {
    match change {
        Change::Set(value) => Values::List(vec![new_value(value)]),
        Change::SetList(values) | Change::Append(values) | Change::Insert(_, values) => {
            Values::List(values.iter().map(new_value).collect())
        }
        Change::SetMap(entries) => Values::Map(
            entries
                .iter()
                .map(|(key, value)| (new_key(key), new_value(value)))
                .collect(),
        ),
        Change::Remove | Change::Keep(_) => Values::List(Vec::new()),
    }
}

pub(crate) fn edit<'e>(change: &Change, path: &'e Path, values: &'e Values<'e>) -> Edit<'e> {
    match (change, values) {
        (Change::Set(_), Values::List(values)) => Edit::set(path, values[0]),
        (Change::SetList(_), Values::List(values)) => Edit::set(path, NewValue::List(values)),
        (Change::SetMap(_), Values::Map(entries)) => Edit::set(path, NewValue::Map(entries)),
        (Change::Append(_), Values::List(values)) => Edit::append(path, values),
        (Change::Insert(index, _), Values::List(values)) => Edit::insert(path, *index, values),
        (Change::Keep(range), _) => Edit::slice(path, range.clone()),
        _ => Edit::remove(path),
    }
}
