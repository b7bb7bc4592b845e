//! Paths, edits and merges of wire bytes against the same on messages that prost-reflect has decoded.

use crate::case::{Schemas, for_all_cases};
use crate::choices::Choices;
use crate::compare;
use crate::messages::{self, Encoded};
use crate::places::{self, Place, Step};
use heddle_dynamic_protobuf::edit::{Edit, Editor, Merger, NewValue};
use heddle_dynamic_protobuf::path::{Path, PathSet};
use heddle_dynamic_protobuf::view::Value as Seen;
use heddle_dynamic_protobuf::{FieldDescriptor, Kind, MessageDescriptor, Scalar};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MapKey, Value};

/// What is done at a place.
enum Change {
    Set(New),
    Remove,
    Append(Vec<New>),
    Insert(usize, Vec<New>),
    Keep(usize, usize),
}

/// A value as both sides take it.
#[derive(Clone)]
enum New {
    Scalar(Value),
    Message(Encoded, Value),
}

impl New {
    fn theirs(&self) -> Value {
        match self {
            Self::Scalar(value) | Self::Message(_, value) => value.clone(),
        }
    }

    fn ours(&self) -> NewValue<'_> {
        NewValue::Scalar(match self {
            Self::Message(encoded, _) => return NewValue::Message(&encoded.ours),
            Self::Scalar(Value::Bool(value)) => Scalar::Bool(*value),
            Self::Scalar(Value::I32(value)) => Scalar::I32(*value),
            Self::Scalar(Value::I64(value)) => Scalar::I64(*value),
            Self::Scalar(Value::U32(value)) => Scalar::U32(*value),
            Self::Scalar(Value::U64(value)) => Scalar::U64(*value),
            Self::Scalar(Value::F32(value)) => Scalar::F32(*value),
            Self::Scalar(Value::F64(value)) => Scalar::F64(*value),
            Self::Scalar(Value::String(value)) => Scalar::String(value),
            Self::Scalar(Value::Bytes(value)) => Scalar::Bytes(value),
            Self::Scalar(Value::EnumNumber(value)) => Scalar::Enum(*value),
            Self::Scalar(other) => unreachable!("{other:?} is no scalar"),
        })
    }
}

/// A value for a field or for the values of a map.
fn new(schemas: &Schemas, choices: &mut Choices<'_>, field: FieldDescriptor<'_>) -> New {
    if let Some(descriptor) = field.message() {
        let encoded = messages::message(choices, descriptor);
        let theirs = schemas
            .theirs
            .get_message_by_name(descriptor.full_name())
            .expect("both know the type");
        let message =
            DynamicMessage::decode(theirs, encoded.theirs.as_slice()).expect("the message is valid");
        return New::Message(encoded, Value::Message(message));
    }
    let number = choices.number();
    New::Scalar(match field.kind() {
        Kind::Bool => Value::Bool(number & 1 == 1),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number),
        Kind::Float => Value::F32(messages::float(choices)),
        Kind::Double => Value::F64(messages::double(choices)),
        Kind::String => Value::String(choices.text()),
        Kind::Bytes => Value::Bytes(choices.blob().into()),
        _ => {
            let enumeration = field.enumeration().expect("the kinds without one are above");
            let at = choices.below(enumeration.values().len());
            Value::EnumNumber(enumeration.values().nth(at).map_or(0, |value| value.number()))
        }
    })
}

fn change(schemas: &Schemas, choices: &mut Choices<'_>, place: &Place<'_>) -> Option<Change> {
    let (field, selected) = (place.field, place.is_selected());
    if choices.percent(25) {
        return Some(Change::Remove);
    }
    if field.is_list() && !selected {
        let mut some = || {
            (0..choices.below(3))
                .map(|_| new(schemas, choices, field))
                .collect::<Vec<_>>()
        };
        let values = some();
        return Some(match choices.below(3) {
            0 => Change::Append(values),
            1 => Change::Insert(choices.below(4), values),
            _ => Change::Keep(choices.below(4), choices.below(6)),
        });
    }
    let single = if field.is_map() {
        field.map_value().filter(|_| selected)?
    } else {
        field
    };
    Some(Change::Set(new(schemas, choices, single)))
}

impl Change {
    fn edit<'e>(&self, path: &'e Path, new: &'e [NewValue<'e>]) -> Edit<'e> {
        match self {
            Self::Set(_) => Edit::set(path, new[0]),
            Self::Remove => Edit::remove(path),
            Self::Append(_) => Edit::append(path, new),
            Self::Insert(index, _) => Edit::insert(path, *index, new),
            Self::Keep(from, to) => Edit::slice(path, *from..*to),
        }
    }

    fn new_values(&self) -> Vec<NewValue<'_>> {
        match self {
            Self::Set(new) => vec![new.ours()],
            Self::Append(new) | Self::Insert(_, new) => new.iter().map(New::ours).collect(),
            Self::Remove | Self::Keep(..) => Vec::new(),
        }
    }

    /// Removing and cutting make nothing that was not there.
    fn makes(&self) -> bool {
        !matches!(self, Self::Remove | Self::Keep(..))
    }
}

/// The change as it is made on a decoded message; `None` when there is no such element.
fn apply(message: &mut DynamicMessage, steps: &[Step], change: &Change) -> Option<()> {
    let (step, rest) = steps.split_first()?;
    if !change.makes() && !places::has(message, step.number) {
        return Some(());
    }
    let Some(key) = &step.key else {
        if rest.is_empty() {
            return apply_to_field(message, step.number, change);
        }
        let mut inner = places::value(message, step.number);
        apply(inner.as_message_mut()?, rest, change)?;
        places::set(message, step.number, inner);
        return Some(());
    };
    let mut value = places::value(message, step.number);
    match &mut value {
        Value::List(list) => apply_to_element(list, places::index(key), rest, change)?,
        Value::Map(_) => apply_to_entry(message, &mut value, step, rest, change)?,
        other => unreachable!("{other:?} has no elements"),
    }
    places::set(message, step.number, value);
    Some(())
}

fn apply_to_field(message: &mut DynamicMessage, number: u32, change: &Change) -> Option<()> {
    match change {
        Change::Set(new) => places::set(message, number, new.theirs()),
        Change::Remove => places::clear(message, number),
        Change::Append(_) | Change::Insert(..) | Change::Keep(..) => {
            let mut value = places::value(message, number);
            let list = value.as_list_mut()?;
            match change {
                Change::Append(new) => list.extend(new.iter().map(New::theirs)),
                Change::Insert(at, new) if *at <= list.len() => {
                    list.splice(at..at, new.iter().map(New::theirs));
                }
                Change::Keep(from, to) => {
                    let (from, to) = ((*from).min(list.len()), (*to).min(list.len()));
                    *list = list.get(from..to).unwrap_or_default().to_vec();
                }
                _ => return None,
            }
            places::set(message, number, value);
        }
    }
    Some(())
}

fn apply_to_element(list: &mut Vec<Value>, index: i64, rest: &[Step], change: &Change) -> Option<()> {
    let at = if index < 0 {
        list.len().checked_sub(index.unsigned_abs() as usize)
    } else {
        Some(index as usize)
    };
    let Some(at) = at.filter(|at| *at < list.len()) else {
        return (!change.makes()).then_some(());
    };
    if !rest.is_empty() {
        return apply(list[at].as_message_mut()?, rest, change);
    }
    match change {
        Change::Set(new) => list[at] = new.theirs(),
        _ => drop(list.remove(at)),
    }
    Some(())
}

fn apply_to_entry(
    message: &DynamicMessage,
    value: &mut Value,
    step: &Step,
    rest: &[Step],
    change: &Change,
) -> Option<()> {
    let key: MapKey = step.key.clone()?;
    let map = value.as_map_mut()?;
    if !rest.is_empty() {
        if !change.makes() && !map.contains_key(&key) {
            return Some(());
        }
        let empty = || places::empty_map_value(message, step.number);
        return apply(
            map.entry(key).or_insert_with(empty).as_message_mut()?,
            rest,
            change,
        );
    }
    match change {
        Change::Set(new) => drop(map.insert(key, new.theirs())),
        _ => drop(map.remove(&key)),
    }
    Some(())
}

#[test]
fn a_path_finds_what_prost_reflect_finds_alone_and_with_others() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        let theirs = schemas.decode_theirs(&encoded.theirs)?;
        let found: Vec<(Path, Option<Value>)> = (0..4)
            .filter_map(|_| {
                let place = places::choose(choices, schemas.root(), &theirs)?;
                Some((place.path(schemas.root()), places::find(&theirs, &place.steps)))
            })
            .collect();
        let paths: Vec<&Path> = found.iter().map(|(path, _)| path).collect();
        let Some(set) = PathSet::new(&paths) else {
            return Ok(());
        };
        let together = set.get_many(&encoded.ours).map_err(|error| error.to_string())?;
        for ((path, expected), together) in found.iter().zip(&together) {
            let alone = path
                .get(&encoded.ours)
                .map_err(|error| format!("{path}: {error}"))?;
            for seen in [&alone, together] {
                same(seen.as_ref(), expected.as_ref())
                    .map_err(|difference| format!("{path}: {difference}"))?;
            }
        }
        Ok(())
    });
}

/// Messages, lists and maps are compared by what they hold, lists and maps by how much that is.
fn same(seen: Option<&Seen<'_, '_>>, expected: Option<&Value>) -> Result<(), String> {
    let equal = match (seen, expected) {
        (None, None) => true,
        (Some(Seen::Bool(one)), Some(Value::Bool(other))) => one == other,
        (Some(Seen::I32(one)), Some(Value::I32(other))) => one == other,
        (Some(Seen::I64(one)), Some(Value::I64(other))) => one == other,
        (Some(Seen::U32(one)), Some(Value::U32(other))) => one == other,
        (Some(Seen::U64(one)), Some(Value::U64(other))) => one == other,
        (Some(Seen::F32(one)), Some(Value::F32(other))) => one.to_bits() == other.to_bits(),
        (Some(Seen::F64(one)), Some(Value::F64(other))) => one.to_bits() == other.to_bits(),
        (Some(Seen::String(one)), Some(Value::String(other))) => one == other,
        (Some(Seen::Bytes(one)), Some(Value::Bytes(other))) => one == other,
        (Some(Seen::Enum(_, one)), Some(Value::EnumNumber(other))) => one == other,
        (Some(Seen::List(one)), Some(Value::List(other))) => {
            one.count().is_ok_and(|count| count == other.len())
        }
        (Some(Seen::Map(one)), Some(Value::Map(other))) => {
            one.count().is_ok_and(|count| count == other.len())
        }
        (Some(Seen::Message(view)), Some(Value::Message(other))) => {
            let mut bytes = Vec::new();
            view.encode_into(&mut bytes);
            let mut message = heddle_dynamic_protobuf::Message::new(view.descriptor());
            message.decode(&bytes).map_err(|error| error.to_string())?;
            return compare::message(message.as_ref(), other);
        }
        _ => false,
    };
    if equal {
        Ok(())
    } else {
        Err(format!("{seen:?}, not {expected:?}"))
    }
}

#[test]
fn edits_leave_what_decoding_and_editing_leaves() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        let mut expected = schemas.decode_theirs(&encoded.theirs)?;
        let mut made: Vec<(Path, Change)> = Vec::new();
        let mut refused = false;
        for _ in 0..=choices.below(3) {
            let Some(place) = places::choose(choices, schemas.root(), &expected) else {
                break;
            };
            let Some(change) = change(schemas, choices, &place) else {
                continue;
            };
            refused = apply(&mut expected, &place.steps, &change).is_none();
            made.push((place.path(schemas.root()), change));
            if refused {
                break;
            }
        }
        let new: Vec<Vec<NewValue<'_>>> = made.iter().map(|(_, change)| change.new_values()).collect();
        let edits: Vec<Edit<'_>> = made
            .iter()
            .zip(&new)
            .map(|((path, change), new)| change.edit(path, new))
            .collect();
        let mut out = Vec::new();
        let result = Editor::new().apply(&encoded.ours, &edits, &mut out);
        let paths: Vec<&str> = made.iter().map(|(path, _)| path.as_str()).collect();
        match (result, refused) {
            (Err(_), true) => Ok(()),
            (Ok(()), true) => Err(format!("{paths:?}: an element that is not there was edited")),
            (Err(error), false) => Err(format!(
                "{paths:?}: {error}: {:?}",
                std::error::Error::source(&error)
            )),
            (Ok(()), false) => read_again(schemas, &out, &expected)
                .map_err(|difference| format!("{paths:?} left {out:02x?}: {difference}")),
        }
    });
}

/// Zeros where presence is implicit are set in a message that was edited, and not in one that was encoded.
fn read_again(schemas: &Schemas, bytes: &[u8], expected: &DynamicMessage) -> Result<(), String> {
    let expected = schemas.decode_theirs(&expected.encode_to_vec())?;
    compare::message(schemas.decode(bytes)?.as_ref(), &expected)
}

#[test]
fn merging_leaves_what_decoding_one_after_the_other_leaves() {
    for_all_cases(|schemas, choices| {
        let (one, other) = (schemas.message(choices), schemas.message(choices));
        let mut out = Vec::new();
        Merger::new(schemas.root())
            .merge(&one.ours, &other.ours, &mut out)
            .map_err(|error| error.to_string())?;
        let mut expected = schemas.decode_theirs(&one.theirs)?;
        expected
            .merge(other.theirs.as_slice())
            .map_err(|error| error.to_string())?;
        compare::message(schemas.decode(&out)?.as_ref(), &expected)
            .map_err(|difference| format!("{out:02x?}: {difference}"))
    });
}

#[test]
fn edits_of_damaged_messages_are_refused_or_leave_something() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        let like = schemas.decode_theirs(&encoded.theirs)?;
        let mut bytes = encoded.ours;
        crate::decode::damage(choices, &mut bytes);
        let root: MessageDescriptor<'_> = schemas.root();
        for _ in 0..3 {
            let Some(place) = places::choose(choices, root, &like) else {
                return Ok(());
            };
            let path = place.path(root);
            let mut out = Vec::new();
            if let Some(change) = change(schemas, choices, &place) {
                let new = change.new_values();
                let result = Editor::new().apply(&bytes, &[change.edit(&path, &new)], &mut out);
                let decodes = schemas.decode(&bytes).is_ok();
                if result.is_ok() && decodes {
                    schemas
                        .decode(&out)
                        .map_err(|error| format!("{path} left {out:02x?}: {error}"))?;
                }
            }
        }
        Ok(())
    });
}
