//! buffa-descriptor: dynamic messages over a descriptor pool, with JSON of its own.

use anyhow::{Context, Result, bail};
use buffa_descriptor::reflect::{
    DynamicMessage, MapKeyRef, ReflectMessage, ReflectMessageMut, Value, ValueRef,
};
use buffa_descriptor::{DescriptorPool, MessageIndex};
use heddle_bench_worker::{Case, Engine, Operation, Output, Perform};
use std::hint::black_box;
use std::sync::Arc;

pub(crate) struct Buffa {
    pool: Arc<DescriptorPool>,
}

impl Buffa {
    pub(crate) fn new(schema: &[u8]) -> Result<Self> {
        let pool = DescriptorPool::decode(schema).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(Self { pool: Arc::new(pool) })
    }

    fn decode(&self, kind: MessageIndex, case: &Case) -> Result<DynamicMessage> {
        // The limits that it sets itself are for input of at most some size; they cost nothing to raise.
        let options = ::buffa::DecodeOptions::new().with_element_memory_limit(usize::MAX);
        DynamicMessage::decode_with_options(self.pool.clone(), kind, black_box(&case.wire), &options)
            .map_err(|error| anyhow::anyhow!("{error:?}"))
    }
}

impl Engine for Buffa {
    fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
        let kind = self
            .pool
            .message_index(&case.message_type)
            .context("no such type")?;
        Ok(Some(match operation {
            Operation::Decode => Box::new(move |_| {
                black_box(self.decode(kind, case)?);
                Ok(())
            }),
            Operation::DecodeWalk => Box::new(move |output| {
                output.number = sum_of_message(&self.decode(kind, case)?);
                Ok(())
            }),
            Operation::Reencode => Box::new(move |output| {
                encode(&self.decode(kind, case)?, output);
                Ok(())
            }),
            Operation::ReencodeOne | Operation::Set => Box::new(move |output| {
                let mut message = self.decode(kind, case)?;
                set(&mut message, case)?;
                encode(&message, output);
                Ok(())
            }),
            Operation::Get => Box::new(move |output| {
                output.number = get(&self.decode(kind, case)?, case)?;
                Ok(())
            }),
            Operation::ToJson => Box::new(move |output| {
                output.bytes.clear();
                serde_json::to_writer(&mut output.bytes, &self.decode(kind, case)?)
                    .context("failed to write JSON")
            }),
            Operation::FromJson => Box::new(move |output| {
                let json = std::str::from_utf8(black_box(&case.json))?;
                encode(&DynamicMessage::from_json(self.pool.clone(), kind, json)?, output);
                Ok(())
            }),
            Operation::Trim => {
                let paths: Vec<&str> = case.mask.iter().map(String::as_str).collect();
                Box::new(move |output| {
                    let mut message = self.decode(kind, case)?;
                    trim(&mut message, &paths);
                    encode(&message, output);
                    Ok(())
                })
            }
        }))
    }
}

fn encode(message: &DynamicMessage, output: &mut Output) {
    output.bytes.clear();
    message.encode(&mut output.bytes);
}

fn get(message: &DynamicMessage, case: &Case) -> Result<u64> {
    let (last, way) = case.path.split_last().context("the path is empty")?;
    let mut at = message;
    for step in way {
        let mut value = at.field_by_number(step.number).context("no such field")?;
        if let (Some(index), Value::List(list)) = (step.index, value) {
            value = list.get(index).context("no such element")?;
        }
        let Value::Message(next) = value else {
            bail!("not a message");
        };
        at = next;
    }
    Ok(sum(at
        .field_by_number(last.number)
        .context("no such field")?
        .as_ref()))
}

fn set(message: &mut DynamicMessage, case: &Case) -> Result<()> {
    let (last, way) = case.path.split_last().context("the path is empty")?;
    let mut at = message;
    for step in way {
        let mut value = at.field_by_number_mut(step.number).context("no such field")?;
        if let Some(index) = step.index {
            let Value::List(list) = value else {
                bail!("not a list");
            };
            value = list.get_mut(index).context("no such element")?;
        }
        let Value::Message(next) = value else {
            bail!("not a message");
        };
        at = next;
    }
    match at.field_by_number_mut(last.number).context("no such field")? {
        Value::I32(value) => *value = case.new_value.try_into()?,
        Value::I64(value) => *value = case.new_value,
        Value::U32(value) => *value = case.new_value.try_into()?,
        Value::U64(value) => *value = case.new_value.try_into()?,
        _ => bail!("not an integer"),
    }
    Ok(())
}

fn trim(message: &mut DynamicMessage, paths: &[&str]) {
    let pool = Arc::clone(message.pool());
    for field in pool.message(message.message_index()).fields() {
        if paths.contains(&field.name()) {
            continue;
        }
        let inner: Vec<&str> = paths
            .iter()
            .filter_map(|path| path.strip_prefix(field.name())?.strip_prefix('.'))
            .collect();
        match message.field_by_number_mut(field.number()) {
            None => {}
            Some(_) if inner.is_empty() => message.clear(field),
            Some(Value::Message(message)) => trim(message, &inner),
            Some(Value::List(values)) => {
                for value in values {
                    if let Value::Message(message) = value {
                        trim(message, &inner);
                    }
                }
            }
            Some(_) => {}
        }
    }
}

fn sum_of_message(message: &dyn ReflectMessage) -> u64 {
    let mut total = 0_u64;
    message.for_each_set(&mut |_, value| total = total.wrapping_add(sum(value)));
    total
}

fn sum(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Bool(value) => u64::from(value),
        ValueRef::I32(value) | ValueRef::EnumNumber(value) => value as u64,
        ValueRef::I64(value) => value as u64,
        ValueRef::U32(value) => u64::from(value),
        ValueRef::U64(value) => value,
        ValueRef::F32(value) => f64::from(value).to_bits(),
        ValueRef::F64(value) => value.to_bits(),
        ValueRef::String(value) => value.len() as u64,
        ValueRef::Bytes(value) => value.len() as u64,
        ValueRef::Message(message) => sum_of_message(&*message),
        ValueRef::List(values) => {
            let mut total = 0_u64;
            values.for_each(&mut |value| total = total.wrapping_add(sum(value)));
            total
        }
        ValueRef::Map(entries) => {
            let mut total = 0_u64;
            entries.for_each(&mut |key, value| {
                total = total.wrapping_add(sum_of_key(key)).wrapping_add(sum(value))
            });
            total
        }
    }
}

fn sum_of_key(key: MapKeyRef<'_>) -> u64 {
    match key {
        MapKeyRef::Bool(key) => u64::from(key),
        MapKeyRef::I32(key) => key as u64,
        MapKeyRef::I64(key) => key as u64,
        MapKeyRef::U32(key) => u64::from(key),
        MapKeyRef::U64(key) => key,
        MapKeyRef::String(key) => key.len() as u64,
    }
}
