//! What is found at a path.

use super::{Key, Step, position};
use heddle_dynamic_protobuf::view;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

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
