//! Canonical ProtoJSON of a message, with fields by number and maps by key, so that it is the same each time.

use anyhow::{Context, Result};
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, Value};
use std::fmt::Write as _;

pub(super) fn canonical(message: &DynamicMessage) -> Result<Vec<u8>> {
    let mut out = String::new();
    push_message(&mut out, message)?;
    Ok(out.into_bytes())
}

fn push_message(out: &mut String, message: &DynamicMessage) -> Result<()> {
    if message.descriptor().package_name() == "google.protobuf" && message.descriptor().name() == "Timestamp"
    {
        return push(out, message);
    }
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(|(field, _)| field.number());
    out.push('{');
    for (position, (field, value)) in fields.into_iter().enumerate() {
        separate(out, position);
        push(out, field.json_name())?;
        out.push(':');
        push_value(out, &field.kind(), value)?;
    }
    out.push('}');
    Ok(())
}

fn push_value(out: &mut String, kind: &Kind, value: &Value) -> Result<()> {
    match value {
        Value::Message(message) => push_message(out, message),
        Value::List(values) => push_list(out, kind, values),
        Value::Map(entries) => push_map(out, kind, entries.iter().collect()),
        Value::EnumNumber(number) => push_enum(out, kind, *number),
        Value::Bytes(bytes) => push(out, &base64(bytes)),
        Value::String(text) => push(out, text),
        Value::Bool(value) => push(out, value),
        Value::I32(value) => push(out, value),
        Value::U32(value) => push(out, value),
        Value::I64(value) => push(out, &value.to_string()),
        Value::U64(value) => push(out, &value.to_string()),
        Value::F32(value) => push(out, value),
        Value::F64(value) => push(out, value),
    }
}

fn push_list(out: &mut String, kind: &Kind, values: &[Value]) -> Result<()> {
    out.push('[');
    for (position, value) in values.iter().enumerate() {
        separate(out, position);
        push_value(out, kind, value)?;
    }
    out.push(']');
    Ok(())
}

fn push_map(out: &mut String, kind: &Kind, mut entries: Vec<(&MapKey, &Value)>) -> Result<()> {
    let entry = kind
        .as_message()
        .context("failed to find the type of a map's entries")?;
    let value_kind = entry.map_entry_value_field().kind();
    entries.sort_by(|left, right| left.0.cmp(right.0));
    out.push('{');
    for (position, (key, value)) in entries.into_iter().enumerate() {
        separate(out, position);
        push(out, &key_text(key))?;
        out.push(':');
        push_value(out, &value_kind, value)?;
    }
    out.push('}');
    Ok(())
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn push_enum(out: &mut String, kind: &Kind, number: i32) -> Result<()> {
    let kind = kind.as_enum().context("failed to find the type of an enum")?;
    match kind.get_value(number) {
        Some(value) => push(out, value.name()),
        None => push(out, &number),
    }
}

fn separate(out: &mut String, position: usize) {
    if position > 0 {
        out.push(',');
    }
}

fn push(out: &mut String, value: &(impl serde::Serialize + ?Sized)) -> Result<()> {
    let text = serde_json::to_string(value).context("failed to write JSON")?;
    out.write_str(&text).context("failed to write JSON")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
