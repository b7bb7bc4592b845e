//! Reads every scalar of a message and adds them up, as `heddle_bench_worker::Output::number` says.

use heddle_dynamic_protobuf::{MessageRef, Value};

pub(crate) fn sum_of_message(message: MessageRef<'_>) -> u64 {
    let fields = message.fields().map(|(_, value)| sum(value));
    fields.fold(0, u64::wrapping_add)
}

fn sum(value: Value<'_>) -> u64 {
    match value {
        Value::Bool(value) => value.into(),
        Value::I32(value) => i64::from(value).cast_unsigned(),
        Value::I64(value) => value.cast_unsigned(),
        Value::U32(value) => value.into(),
        Value::U64(value) => value,
        Value::F32(value) => f64::from(value).to_bits(),
        Value::F64(value) => value.to_bits(),
        Value::String(value) => value.as_bytes().len() as u64,
        Value::Bytes(value) => value.len() as u64,
        Value::Enum(_, number) => i64::from(number).cast_unsigned(),
        Value::Message(message) => sum_of_message(message),
        Value::List(list) => list.iter().map(sum).fold(0, u64::wrapping_add),
        Value::Map(map) => map
            .iter()
            .map(|(key, value)| sum(key).wrapping_add(sum(value)))
            .fold(0, u64::wrapping_add),
    }
}
