//! prost-reflect: dynamic messages over a descriptor pool; JSON through serde_json.

use anyhow::{Context, Result, bail};
use heddle_bench_worker::{Case, Engine, Operation, Output, Perform};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MapKey, MessageDescriptor, Value};
use std::hint::black_box;

pub(crate) struct ProstReflect {
    pool: DescriptorPool,
}

impl ProstReflect {
    pub(crate) fn new(schema: &[u8]) -> Result<Self> {
        Ok(Self {
            pool: DescriptorPool::decode(schema)?,
        })
    }
}

impl Engine for ProstReflect {
    fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
        let descriptor = self
            .pool
            .get_message_by_name(&case.message_type)
            .context("no such type")?;
        let mut message = DynamicMessage::new(descriptor.clone());
        Ok(Some(match operation {
            Operation::Decode => Box::new(move |_| {
                decode(&mut message, case)?;
                black_box(&message);
                Ok(())
            }),
            Operation::DecodeWalk => Box::new(move |output| {
                decode(&mut message, case)?;
                output.number = sum_of_message(&message);
                Ok(())
            }),
            Operation::Reencode => Box::new(move |output| {
                decode(&mut message, case)?;
                encode(&message, output)
            }),
            Operation::ReencodeOne | Operation::Set => Box::new(move |output| {
                decode(&mut message, case)?;
                set(&mut message, case)?;
                encode(&message, output)
            }),
            Operation::Get => Box::new(move |output| {
                decode(&mut message, case)?;
                output.number = get(&message, case)?;
                Ok(())
            }),
            Operation::ToJson => Box::new(move |output| {
                decode(&mut message, case)?;
                output.bytes.clear();
                serde_json::to_writer(&mut output.bytes, &message).context("failed to write JSON")
            }),
            Operation::FromJson => Box::new(move |output| encode(&parse(&descriptor, &case.json)?, output)),
            Operation::Trim => {
                let paths: Vec<&str> = case.mask.iter().map(String::as_str).collect();
                Box::new(move |output| {
                    decode(&mut message, case)?;
                    trim(&mut message, &paths);
                    encode(&message, output)
                })
            }
        }))
    }
}

fn decode(message: &mut DynamicMessage, case: &Case) -> Result<()> {
    message.clear();
    message
        .merge(black_box(case.wire.as_slice()))
        .context("failed to decode")
}

fn encode(message: &DynamicMessage, output: &mut Output) -> Result<()> {
    output.bytes.clear();
    message.encode(&mut output.bytes).context("failed to encode")
}

fn parse(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage> {
    let mut json = serde_json::Deserializer::from_slice(black_box(json));
    DynamicMessage::deserialize(descriptor.clone(), &mut json).context("failed to parse JSON")
}

fn get(message: &DynamicMessage, case: &Case) -> Result<u64> {
    let (last, way) = case.path.split_last().context("the path is empty")?;
    let mut at = message;
    for step in way {
        let value = match at.get_field_by_number(step.number).context("no such field")? {
            std::borrow::Cow::Borrowed(value) => value,
            std::borrow::Cow::Owned(_) => bail!("the field is not set"),
        };
        let value = match step.index {
            Some(index) => value
                .as_list()
                .and_then(|list| list.get(index))
                .context("no such element")?,
            None => value,
        };
        at = value.as_message().context("not a message")?;
    }
    Ok(sum(at
        .get_field_by_number(last.number)
        .context("no such field")?
        .as_ref()))
}

fn set(message: &mut DynamicMessage, case: &Case) -> Result<()> {
    let (last, way) = case.path.split_last().context("the path is empty")?;
    let mut at = message;
    for step in way {
        let mut value = at.get_field_by_number_mut(step.number).context("no such field")?;
        if let Some(index) = step.index {
            value = value
                .as_list_mut()
                .and_then(|list| list.get_mut(index))
                .context("no such element")?;
        }
        at = value.as_message_mut().context("not a message")?;
    }
    match at.get_field_by_number_mut(last.number).context("no such field")? {
        Value::I32(value) => *value = case.new_value.try_into()?,
        Value::I64(value) => *value = case.new_value,
        Value::U32(value) => *value = case.new_value.try_into()?,
        Value::U64(value) => *value = case.new_value.try_into()?,
        _ => bail!("not an integer"),
    }
    Ok(())
}

fn trim(message: &mut DynamicMessage, paths: &[&str]) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        if paths.contains(&field.name()) {
            continue;
        }
        let inner: Vec<&str> = paths
            .iter()
            .filter_map(|path| path.strip_prefix(field.name())?.strip_prefix('.'))
            .collect();
        if inner.is_empty() {
            message.clear_field(&field);
            continue;
        }
        match message.get_field_mut(&field) {
            Value::Message(message) => trim(message, &inner),
            Value::List(values) => {
                let messages = values.iter_mut().filter_map(Value::as_message_mut);
                messages.for_each(|message| trim(message, &inner));
            }
            _ => {}
        }
    }
}

fn sum_of_message(message: &DynamicMessage) -> u64 {
    message
        .fields()
        .map(|(_, value)| sum(value))
        .fold(0, u64::wrapping_add)
}

fn sum(value: &Value) -> u64 {
    match value {
        Value::Bool(value) => u64::from(*value),
        Value::I32(value) | Value::EnumNumber(value) => *value as u64,
        Value::I64(value) => *value as u64,
        Value::U32(value) => u64::from(*value),
        Value::U64(value) => *value,
        Value::F32(value) => f64::from(*value).to_bits(),
        Value::F64(value) => value.to_bits(),
        Value::String(value) => value.len() as u64,
        Value::Bytes(value) => value.len() as u64,
        Value::Message(message) => sum_of_message(message),
        Value::List(values) => values.iter().map(sum).fold(0, u64::wrapping_add),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| sum_of_key(key).wrapping_add(sum(value)))
            .fold(0, u64::wrapping_add),
    }
}

fn sum_of_key(key: &MapKey) -> u64 {
    match key {
        MapKey::Bool(key) => u64::from(*key),
        MapKey::I32(key) => *key as u64,
        MapKey::I64(key) => *key as u64,
        MapKey::U32(key) => u64::from(*key),
        MapKey::U64(key) => *key,
        MapKey::String(key) => key.len() as u64,
    }
}
