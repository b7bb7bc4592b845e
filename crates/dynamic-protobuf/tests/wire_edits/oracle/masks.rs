//! Masks, and what is left of a message by them.

use super::{Key, position};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};

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
