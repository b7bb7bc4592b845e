//! Compares messages of this engine with prost-reflect's, field by field.

use heddle_dynamic_protobuf::{FieldDescriptor, MapKey, MessageRef, Value};
use prost_reflect::{DynamicMessage, MapKey as TheirKey, ReflectMessage as _, Value as Theirs};

/// What differs, with the path to it.
pub(crate) type Difference = String;

/// Compares what is set and what it is set to, at every depth. Unknown fields do not count.
pub(crate) fn message(ours: MessageRef<'_>, theirs: &DynamicMessage) -> Result<(), Difference> {
    let set: Vec<u32> = ours.fields().map(|(field, _)| field.number()).collect();
    let mut expected: Vec<u32> = theirs.fields().map(|(field, _)| field.number()).collect();
    expected.extend(theirs.extensions().map(|(extension, _)| extension.number()));
    expected.sort_unstable();
    if set != expected {
        return Err(format!(
            "{}: fields {set:?} are set, not {expected:?}",
            ours.descriptor().full_name()
        ));
    }
    for (field, value) in ours.fields() {
        let theirs = their_value(theirs, field);
        compare(&value, &theirs).map_err(|difference| format!("{}: {difference}", field.name()))?;
        if !ours.has(field) || ours.value(field).is_none() {
            return Err(format!(
                "{} is among the fields that are set, but not there",
                field.name()
            ));
        }
    }
    // Defaults of messages are empty messages, which may contain each other for ever.
    let unset = ours
        .descriptor()
        .fields()
        .filter(|field| !ours.has(*field) && !field.kind().is_message());
    for field in unset {
        let default = ours.get(field);
        let theirs = their_value(theirs, field);
        compare(&default, &theirs)
            .map_err(|difference| format!("default of {}: {difference}", field.name()))?;
    }
    Ok(())
}

pub(crate) fn their_value(message: &DynamicMessage, field: FieldDescriptor<'_>) -> Theirs {
    let descriptor = message.descriptor();
    match descriptor.get_field(field.number()) {
        Some(field) => message.get_field(&field).into_owned(),
        None => {
            let extension = descriptor
                .get_extension(field.number())
                .expect("both know the field");
            message.get_extension(&extension).into_owned()
        }
    }
}

/// Compares values; floats by their bits.
pub(crate) fn compare(ours: &Value<'_>, theirs: &Theirs) -> Result<(), Difference> {
    let equal = match (ours, theirs) {
        (Value::Bool(one), Theirs::Bool(other)) => one == other,
        (Value::I32(one), Theirs::I32(other)) => one == other,
        (Value::I64(one), Theirs::I64(other)) => one == other,
        (Value::U32(one), Theirs::U32(other)) => one == other,
        (Value::U64(one), Theirs::U64(other)) => one == other,
        (Value::F32(one), Theirs::F32(other)) => one.to_bits() == other.to_bits(),
        (Value::F64(one), Theirs::F64(other)) => one.to_bits() == other.to_bits(),
        (Value::String(one), Theirs::String(other)) => one.as_bytes() == other.as_bytes(),
        (Value::Bytes(one), Theirs::Bytes(other)) => *one == other,
        (Value::Enum(_, one), Theirs::EnumNumber(other)) => one == other,
        (Value::Message(one), Theirs::Message(other)) => return message(*one, other),
        (Value::List(one), Theirs::List(other)) => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&one, other).map_err(|difference| format!("[{index}]: {difference}"))?;
            }
            one.len() == other.len()
        }
        (Value::Map(one), Theirs::Map(other)) => {
            for (key, theirs) in other {
                let Some(ours) = one.get(our_key(key)) else {
                    return Err(format!("no entry {key:?}"));
                };
                compare(&ours, theirs).map_err(|difference| format!("[{key:?}]: {difference}"))?;
            }
            one.len() == other.len()
        }
        _ => false,
    };
    if equal {
        Ok(())
    } else {
        Err(format!("{ours:?}, not {theirs:?}"))
    }
}

pub(crate) fn our_key(key: &TheirKey) -> MapKey<'_> {
    match key {
        TheirKey::Bool(key) => MapKey::Bool(*key),
        TheirKey::I32(key) => MapKey::Int((*key).into()),
        TheirKey::I64(key) => MapKey::Int(*key),
        TheirKey::U32(key) => MapKey::Uint((*key).into()),
        TheirKey::U64(key) => MapKey::Uint(*key),
        TheirKey::String(key) => MapKey::String(key),
    }
}
