//! Lazy views have to say what decoding says.

use heddle_dynamic_protobuf::path::Key;
use heddle_dynamic_protobuf::view::{Value as Seen, View};
use heddle_dynamic_protobuf::{DecodeError, MessageRef, Value};

/// Follows everything that is set in a decoded message through the view of the same bytes.
///
/// # Errors
/// When the view finds the bytes malformed, which decoding did not.
///
/// # Panics
/// When the two disagree: that is a finding.
pub fn view_agrees(view: &View<'_, '_>, message: MessageRef<'_>) -> Result<(), DecodeError> {
    let descriptor = view.descriptor();
    for (field, value) in message.fields() {
        let own = descriptor.field(field.number()).expect("both are of one type");
        let seen = view.get(own)?;
        agree(
            &seen.unwrap_or_else(|| panic!("{} is not set", field.full_name())),
            &value,
        )?;
    }
    for raw in view.raw_fields() {
        let Some(field) = raw?.field else { continue };
        let of_message = message
            .descriptor()
            .field(field.number())
            .expect("both are of one type");
        assert_eq!(
            view.get(field)?.is_some(),
            message.has(of_message),
            "{}",
            field.full_name()
        );
    }
    Ok(())
}

fn agree(seen: &Seen<'_, '_>, value: &Value<'_>) -> Result<(), DecodeError> {
    match (seen, value) {
        (Seen::Message(view), Value::Message(message)) => return view_agrees(view, *message),
        (Seen::List(seen), Value::List(list)) => {
            assert_eq!(seen.count()?, list.len());
            for (index, (seen, value)) in seen.iter().zip(list.iter()).enumerate() {
                assert!(index < list.len());
                agree(&seen?, &value)?;
            }
            return Ok(());
        }
        (Seen::Map(seen), Value::Map(map)) => {
            assert_eq!(seen.count()?, map.len());
            for (key, value) in map.iter() {
                let found = seen.get(&key_of(&key))?;
                agree(
                    &found.unwrap_or_else(|| panic!("{key:?} is not in the map")),
                    &value,
                )?;
            }
            return Ok(());
        }
        _ => {}
    }
    assert!(same_scalar(seen, value), "{seen:?} is not {value:?}");
    Ok(())
}

fn same_scalar(seen: &Seen<'_, '_>, value: &Value<'_>) -> bool {
    match (seen, value) {
        (Seen::Bool(one), Value::Bool(other)) => one == other,
        (Seen::I32(one), Value::I32(other)) => one == other,
        (Seen::I64(one), Value::I64(other)) => one == other,
        (Seen::U32(one), Value::U32(other)) => one == other,
        (Seen::U64(one), Value::U64(other)) => one == other,
        (Seen::F32(one), Value::F32(other)) => one.to_bits() == other.to_bits(),
        (Seen::F64(one), Value::F64(other)) => one.to_bits() == other.to_bits(),
        (Seen::String(one), Value::String(other)) => one.as_bytes() == other.as_bytes(),
        (Seen::Bytes(one), Value::Bytes(other)) => one == other,
        (Seen::Bytes(one), Value::String(other)) => *one == other.as_bytes() && other.to_str().is_err(),
        (Seen::Enum(_, one), Value::Enum(_, other)) => one == other,
        _ => false,
    }
}

fn key_of(key: &Value<'_>) -> Key {
    match key {
        Value::Bool(key) => Key::Bool(*key),
        Value::String(key) => Key::String(key.to_string().into()),
        Value::U64(key) => Key::Uint(*key),
        other => Key::Int(other.as_i64().expect("map keys are bools, strings or integers")),
    }
}
