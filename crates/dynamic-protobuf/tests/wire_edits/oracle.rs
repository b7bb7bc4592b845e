//! The same operations on messages that prost-reflect has decoded.

use heddle_dynamic_protobuf::edit::{Edit, NewValue};
use heddle_dynamic_protobuf::path::Path;
use heddle_dynamic_protobuf::{Scalar, view};
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use std::ops::Range;

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

/// Values in a form in which both sides can be compared.
#[derive(Debug, PartialEq)]
pub(crate) enum Plain {
    Int(i128),
    Float(u64),
    Bytes(Vec<u8>),
    /// What is left of a message, list or map: fields, elements and entries in an order of their own.
    Message(Vec<(u32, Plain)>),
    List(Vec<Plain>),
    Map(Vec<(String, Plain)>),
}

fn map(mut entries: Vec<(String, Plain)>) -> Plain {
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Plain::Map(entries)
}

pub(crate) fn plain(value: &view::Value<'_, '_>) -> Plain {
    use view::Value as V;
    match value {
        V::Bool(value) => Plain::Int(i128::from(*value)),
        V::I32(value) | V::Enum(_, value) => Plain::Int(i128::from(*value)),
        V::I64(value) => Plain::Int(i128::from(*value)),
        V::U32(value) => Plain::Int(i128::from(*value)),
        V::U64(value) => Plain::Int(i128::from(*value)),
        V::F32(value) => Plain::Float(f64::from(*value).to_bits()),
        V::F64(value) => Plain::Float(value.to_bits()),
        V::String(value) => Plain::Bytes(value.as_bytes().to_vec()),
        V::Bytes(value) => Plain::Bytes(value.to_vec()),
        V::Message(view) => {
            let mut fields = Vec::new();
            for field in view.descriptor().fields() {
                if let Some(value) = view.get(field).unwrap() {
                    fields.push((field.number(), plain(&value)));
                }
            }
            Plain::Message(fields)
        }
        V::List(list) => {
            let elements: Vec<_> = list.iter().map(|value| plain(&value.unwrap())).collect();
            assert_eq!(list.count().unwrap(), elements.len());
            for (index, element) in elements.iter().enumerate() {
                assert_eq!(&plain(&list.get(index).unwrap().unwrap()), element);
            }
            Plain::List(elements)
        }
        V::Map(found) => {
            let mut entries = Vec::new();
            found
                .for_each(|(key, value)| entries.push((format!("{:?}", plain(&key)), plain(&value))))
                .unwrap();
            map(entries)
        }
        other => panic!("{other:?} is new"),
    }
}

fn plain_value(value: &Value) -> Plain {
    match value {
        Value::Bool(value) => Plain::Int(i128::from(*value)),
        Value::I32(value) | Value::EnumNumber(value) => Plain::Int(i128::from(*value)),
        Value::I64(value) => Plain::Int(i128::from(*value)),
        Value::U32(value) => Plain::Int(i128::from(*value)),
        Value::U64(value) => Plain::Int(i128::from(*value)),
        Value::F32(value) => Plain::Float(f64::from(*value).to_bits()),
        Value::F64(value) => Plain::Float(value.to_bits()),
        Value::String(value) => Plain::Bytes(value.as_bytes().to_vec()),
        Value::Bytes(value) => Plain::Bytes(value.to_vec()),
        Value::Message(message) => Plain::Message(
            message
                .descriptor()
                .fields()
                .filter(|field| message.has_field(field))
                .map(|field| (field.number(), plain_value(&message.get_field(&field))))
                .collect(),
        ),
        Value::List(values) => Plain::List(values.iter().map(plain_value).collect()),
        Value::Map(entries) => map(entries
            .iter()
            .map(|(key, value)| {
                let key = plain_value(&Value::from(key.clone()));
                (format!("{key:?}"), plain_value(value))
            })
            .collect()),
    }
}

fn position(index: i64, count: usize) -> Option<usize> {
    if index < 0 {
        count.checked_sub(index.unsigned_abs() as usize)
    } else {
        Some(index as usize).filter(|index| *index < count)
    }
}

pub(crate) fn get(message: &DynamicMessage, steps: &[Step]) -> Option<Plain> {
    let (step, rest) = steps.split_first()?;
    if !message.has_field(&step.field) {
        return None;
    }
    let value = message.get_field(&step.field);
    let value = match &step.key {
        None => value.into_owned(),
        Some(Key::Int(index)) if step.field.is_list() => {
            let list = value.as_list()?;
            list.get(position(*index, list.len())?)?.clone()
        }
        Some(key) => value.as_map()?.get(&key.map_key(&step.field))?.clone(),
    };
    if rest.is_empty() {
        return Some(plain_value(&value));
    }
    get(value.as_message()?, rest)
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

#[derive(Clone, Debug)]
pub(crate) struct MaskStep {
    pub(crate) field: FieldDescriptor,
    pub(crate) selection: Selection,
}

#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// No brackets: everything.
    Silent,
    All,
    Range(usize, usize),
    Key(Key),
}

/// The path in our syntax.
pub(crate) fn mask_text(steps: &[MaskStep]) -> String {
    let steps = steps.iter().map(|step| {
        let name = step.field.name();
        match &step.selection {
            Selection::Silent => name.to_owned(),
            Selection::All => format!("{name}[*]"),
            Selection::Range(start, end) => format!("{name}[{start}:{end}]"),
            Selection::Key(Key::Int(key)) => format!("{name}[{key}]"),
            Selection::Key(Key::Bool(key)) => format!("{name}[{key}]"),
            Selection::Key(Key::String(key)) => format!("{name}[{key:?}]"),
        }
    });
    steps.collect::<Vec<_>>().join(".")
}

/// A message with what the paths select, and no unknown fields.
pub(crate) fn trim(message: &DynamicMessage, paths: &[&[MaskStep]]) -> DynamicMessage {
    let mut trimmed = DynamicMessage::new(message.descriptor());
    for field in message
        .descriptor()
        .fields()
        .filter(|field| message.has_field(field))
    {
        let paths: Vec<_> = paths
            .iter()
            .copied()
            .filter(|path| path[0].field == field)
            .collect();
        if paths.is_empty() {
            continue;
        }
        let value = match message.get_field(&field).as_ref() {
            Value::List(list) => {
                let selected = list.iter().enumerate().filter_map(|(index, value)| {
                    trim_value(value, &paths, |selection| match selection {
                        Selection::Silent | Selection::All => true,
                        Selection::Range(start, end) => (*start..*end).contains(&index),
                        Selection::Key(Key::Int(wanted)) => position(*wanted, list.len()) == Some(index),
                        Selection::Key(_) => false,
                    })
                });
                Some(Value::List(selected.collect()))
            }
            Value::Map(map) => {
                let selected = map.iter().filter_map(|(key, value)| {
                    let value = trim_value(value, &paths, |selection| match selection {
                        Selection::Key(wanted) => wanted.map_key(&field) == *key,
                        _ => true,
                    })?;
                    Some((key.clone(), value))
                });
                Some(Value::Map(selected.collect()))
            }
            value => trim_value(value, &paths, |_| true),
        };
        if let Some(value) = value {
            trimmed.set_field(&field, value);
        }
    }
    trimmed
}

fn trim_value(value: &Value, paths: &[&[MaskStep]], selects: impl Fn(&Selection) -> bool) -> Option<Value> {
    let paths: Vec<_> = paths
        .iter()
        .copied()
        .filter(|path| selects(&path[0].selection))
        .collect();
    if paths.is_empty() {
        return None;
    }
    if paths.iter().any(|path| path.len() == 1) {
        return Some(value.clone());
    }
    let rests: Vec<_> = paths.iter().map(|path| &path[1..]).collect();
    Some(Value::Message(trim(value.as_message()?, &rests)))
}

/// A message as a narrower type reads it, without unknown fields and these.
pub(crate) fn narrow(
    message: &DynamicMessage,
    narrow: &MessageDescriptor,
    without: &[&str],
) -> DynamicMessage {
    let mut kept = DynamicMessage::new(message.descriptor());
    for field in narrow.fields().filter(|field| !without.contains(&field.name())) {
        let wide = message.descriptor().get_field(field.number()).unwrap();
        if !message.has_field(&wide) {
            continue;
        }
        let mut kind = field.kind();
        if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
            kind = entry.map_entry_value_field().kind();
        }
        // Without the narrower message's unknown fields; back in the wide type, so that it can be put into the parent.
        let inner = |value: &Value| match (&kind, value) {
            (Kind::Message(narrow), Value::Message(inner)) => {
                let narrowed = self::narrow(inner, narrow, without).encode_to_vec();
                Value::Message(DynamicMessage::decode(inner.descriptor(), narrowed.as_slice()).unwrap())
            }
            (_, value) => value.clone(),
        };
        let value = match message.get_field(&wide).as_ref() {
            Value::List(list) => Value::List(list.iter().map(inner).collect()),
            Value::Map(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| (key.clone(), inner(value)))
                    .collect(),
            ),
            value => inner(value),
        };
        kept.set_field(&wide, value);
    }
    DynamicMessage::decode(narrow.clone(), kept.encode_to_vec().as_slice()).unwrap()
}
