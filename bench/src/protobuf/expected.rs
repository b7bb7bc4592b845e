//! What each operation has to result in, by prost-reflect: a figure counts only when the work was done.

use anyhow::{Context, Result, ensure};
use heddle_bench_worker::{Case, Corpus, Operation, Step};
use prost_reflect::{DescriptorPool, DynamicMessage, MapKey, MessageDescriptor, Value};

/// The right results.
pub(super) struct Expected {
    pool: DescriptorPool,
}

impl Expected {
    pub(super) fn new(corpus: &Corpus) -> Result<Self> {
        let pool = DescriptorPool::decode(corpus.schema.as_slice()).context("failed to read the schema")?;
        Ok(Self { pool })
    }

    /// Fails when this is not what the operation on that message results in.
    pub(super) fn check(&self, operation: Operation, case: &Case, shown: &[u8]) -> Result<()> {
        let message = self.decode(case, &case.wire)?;
        match operation {
            Operation::Decode => Ok(()),
            Operation::DecodeWalk => is_number(shown, sum_of_message(&message)),
            Operation::Get => is_number(shown, scalar(&message, &case.path)?),
            Operation::Reencode | Operation::FromJson => self.is_message(case, shown, &message),
            Operation::ReencodeOne | Operation::Set => self.is_message(case, shown, &changed(message, case)?),
            Operation::Trim => self.is_message(case, shown, &trimmed(message, case)),
            Operation::ToJson => {
                let mut json = serde_json::Deserializer::from_slice(shown);
                let read = DynamicMessage::deserialize(self.descriptor(case)?, &mut json);
                ensure!(
                    read.context("failed to read the JSON")? == message,
                    "the JSON says something else"
                );
                Ok(())
            }
        }
    }

    fn is_message(&self, case: &Case, shown: &[u8], right: &DynamicMessage) -> Result<()> {
        ensure!(self.decode(case, shown)? == *right, "the message is another");
        Ok(())
    }

    fn decode(&self, case: &Case, wire: &[u8]) -> Result<DynamicMessage> {
        DynamicMessage::decode(self.descriptor(case)?, wire).context("failed to decode the message")
    }

    fn descriptor(&self, case: &Case) -> Result<MessageDescriptor> {
        let descriptor = self.pool.get_message_by_name(&case.message_type);
        descriptor.with_context(|| format!("failed to find {}", case.message_type))
    }
}

fn is_number(shown: &[u8], right: u64) -> Result<()> {
    let shown = String::from_utf8_lossy(shown);
    ensure!(*shown == right.to_string(), "{shown} instead of {right}");
    Ok(())
}

fn sum_of_message(message: &DynamicMessage) -> u64 {
    let fields = message.fields().map(|(_, value)| sum(value));
    fields.fold(0, u64::wrapping_add)
}

/// As `heddle_bench_worker::Output::number` says.
fn sum(value: &Value) -> u64 {
    match value {
        Value::Bool(value) => u64::from(*value),
        Value::I32(value) | Value::EnumNumber(value) => i64::from(*value).cast_unsigned(),
        Value::I64(value) => value.cast_unsigned(),
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
        MapKey::I32(key) => i64::from(*key).cast_unsigned(),
        MapKey::I64(key) => key.cast_unsigned(),
        MapKey::U32(key) => u64::from(*key),
        MapKey::U64(key) => *key,
        MapKey::String(key) => key.len() as u64,
    }
}

fn scalar(message: &DynamicMessage, path: &[Step]) -> Result<u64> {
    let mut message = message.clone();
    for step in path {
        let value = message
            .get_field_by_number(step.number)
            .context("no such field")?
            .into_owned();
        let value = match step.index {
            Some(index) => value
                .as_list()
                .and_then(|list| list.get(index))
                .context("no such element")?
                .clone(),
            None => value,
        };
        match value {
            Value::Message(next) => message = next,
            scalar => return Ok(sum(&scalar)),
        }
    }
    anyhow::bail!("the path ends at a message")
}

fn changed(mut message: DynamicMessage, case: &Case) -> Result<DynamicMessage> {
    let mut at = &mut message;
    let (last, way) = case.path.split_last().context("the path is empty")?;
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
    let value = match at.get_field_by_number_mut(last.number).context("no such field")? {
        Value::I32(_) => Value::I32(case.new_value.try_into()?),
        Value::U32(_) => Value::U32(case.new_value.try_into()?),
        Value::U64(_) => Value::U64(case.new_value.try_into()?),
        _ => Value::I64(case.new_value),
    };
    at.set_field_by_number(last.number, value);
    Ok(message)
}

fn trimmed(mut message: DynamicMessage, case: &Case) -> DynamicMessage {
    let paths: Vec<&str> = case.mask.iter().map(String::as_str).collect();
    trim(&mut message, &paths);
    message
}

fn trim(message: &mut DynamicMessage, paths: &[&str]) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        if paths.contains(&field.name()) {
            continue;
        }
        let below = |path: &&str| {
            path.strip_prefix(field.name())
                .and_then(|rest| rest.strip_prefix('.'))
                .map(str::len)
        };
        let inner: Vec<&str> = paths
            .iter()
            .filter_map(|path| Some(&path[path.len() - below(path)?..]))
            .collect();
        if inner.is_empty() {
            message.clear_field(&field);
            continue;
        }
        match message.get_field_mut(&field) {
            Value::Message(message) => trim(message, &inner),
            Value::List(values) => values
                .iter_mut()
                .filter_map(Value::as_message_mut)
                .for_each(|message| trim(message, &inner)),
            _ => {}
        }
    }
}
