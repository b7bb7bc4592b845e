//! Places in messages, chosen so that most of them exist; and what prost-reflect has there.

use crate::choices::Choices;
use heddle_dynamic_protobuf::path::{Key, Path};
use heddle_dynamic_protobuf::{FieldDescriptor, Kind, MessageDescriptor};
use prost_reflect::{DynamicMessage, MapKey, ReflectMessage as _, Value};

/// A field by its number, and which of its values. The index of a list's element is an `I64`.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) number: u32,
    pub(crate) key: Option<MapKey>,
}

/// Steps from a root, and the field at which they end.
pub(crate) struct Place<'s> {
    pub(crate) steps: Vec<Step>,
    pub(crate) field: FieldDescriptor<'s>,
}

impl Place<'_> {
    /// Whether an element of a list or the value of a key is meant.
    pub(crate) fn is_selected(&self) -> bool {
        self.steps.last().is_some_and(|step| step.key.is_some())
    }

    pub(crate) fn path(&self, root: MessageDescriptor<'_>) -> Path {
        let mut builder = Path::builder(root);
        for step in &self.steps {
            builder = builder.number(step.number);
            if let Some(key) = &step.key {
                builder = builder.key(match key {
                    MapKey::Bool(key) => Key::Bool(*key),
                    MapKey::I32(key) => Key::Int((*key).into()),
                    MapKey::I64(key) => Key::Int(*key),
                    MapKey::U32(key) => Key::Uint((*key).into()),
                    MapKey::U64(key) => Key::Uint(*key),
                    MapKey::String(key) => Key::String(key.as_str().into()),
                });
            }
        }
        builder.build().expect("a place fits the schema")
    }
}

/// How many steps a place has at most.
const MAX_STEPS: usize = 4;

/// A place in messages of this type, which `like` often has.
pub(crate) fn choose<'s>(
    choices: &mut Choices<'_>,
    root: MessageDescriptor<'s>,
    like: &DynamicMessage,
) -> Option<Place<'s>> {
    let (mut descriptor, mut message) = (root, Some(like.clone()));
    let mut steps = Vec::new();
    loop {
        let field = choose_field(choices, descriptor, message.as_ref())?;
        let held = message.as_ref().map(|message| value(message, field.number()));
        let key = choose_key(choices, field, held.as_ref());
        let next = held.and_then(|held| select(held, key.as_ref()));
        steps.push(Step {
            number: field.number(),
            key: key.clone(),
        });
        let single = if field.is_map() { field.map_value()? } else { field };
        let whole = key.is_none() && (field.is_map() || field.is_list());
        match single.message() {
            Some(inner)
                if !whole && steps.len() < MAX_STEPS && choices.percent(75) && inner.fields().len() > 0 =>
            {
                descriptor = inner;
                message = next.and_then(|next| next.as_message().cloned());
            }
            _ => return Some(Place { steps, field }),
        }
    }
}

/// Mostly a field that is set.
fn choose_field<'s>(
    choices: &mut Choices<'_>,
    descriptor: MessageDescriptor<'s>,
    message: Option<&DynamicMessage>,
) -> Option<FieldDescriptor<'s>> {
    let all: Vec<_> = descriptor.fields().collect();
    let set: Vec<_> = all
        .iter()
        .copied()
        .filter(|field| message.is_some_and(|message| has(message, field.number())))
        .collect();
    if set.is_empty() || choices.percent(25) {
        return (!all.is_empty()).then(|| all[choices.below(all.len())]);
    }
    Some(set[choices.below(set.len())])
}

fn choose_key(choices: &mut Choices<'_>, field: FieldDescriptor<'_>, held: Option<&Value>) -> Option<MapKey> {
    if choices.percent(30) {
        return None;
    }
    if field.is_list() {
        let len = held.and_then(Value::as_list).map_or(0, <[Value]>::len) as i64;
        return Some(MapKey::I64(choices.below(2 * len as usize + 2) as i64 - len));
    }
    let key = field.map_key()?;
    let held = held.and_then(Value::as_map).filter(|map| !map.is_empty());
    if let Some(map) = held
        && choices.percent(70)
    {
        let mut keys: Vec<_> = map.keys().cloned().collect();
        keys.sort();
        return Some(keys.swap_remove(choices.below(keys.len())));
    }
    let number = choices.number();
    Some(match key.kind() {
        Kind::Bool => MapKey::Bool(number & 1 == 1),
        Kind::String => MapKey::String(choices.text()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(number as i64),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(number as u32),
        _ => MapKey::U64(number),
    })
}

/// The index that a key of a list's step is.
pub(crate) fn index(key: &MapKey) -> i64 {
    match key {
        MapKey::I64(index) => *index,
        other => unreachable!("{other:?} is no index"),
    }
}

fn select(value: Value, key: Option<&MapKey>) -> Option<Value> {
    match (value, key) {
        (Value::List(list), Some(key)) => {
            let index = index(key);
            let at = if index < 0 {
                list.len().checked_sub(index.unsigned_abs() as usize)?
            } else {
                index as usize
            };
            list.get(at).cloned()
        }
        (Value::Map(map), Some(key)) => map.get(key).cloned(),
        (value, _) => Some(value),
    }
}

/// What is at a place, if it is set.
pub(crate) fn find(message: &DynamicMessage, steps: &[Step]) -> Option<Value> {
    let (step, rest) = steps.split_first()?;
    if !has(message, step.number) {
        return None;
    }
    let value = select(value(message, step.number), step.key.as_ref())?;
    if rest.is_empty() {
        Some(value)
    } else {
        find(value.as_message()?, rest)
    }
}

macro_rules! with_field {
    ($message:expr, $number:expr, $field:ident => $of_field:expr, $extension:ident => $of_extension:expr) => {{
        let descriptor = $message.descriptor();
        match descriptor.get_field($number) {
            Some($field) => $of_field,
            None => {
                let $extension = descriptor.get_extension($number).expect("both know the field");
                $of_extension
            }
        }
    }};
}

pub(crate) fn has(message: &DynamicMessage, number: u32) -> bool {
    with_field!(message, number, field => message.has_field(&field), extension => message.has_extension(&extension))
}

/// The value or its default.
pub(crate) fn value(message: &DynamicMessage, number: u32) -> Value {
    with_field!(message, number,
        field => message.get_field(&field).into_owned(),
        extension => message.get_extension(&extension).into_owned())
}

pub(crate) fn set(message: &mut DynamicMessage, number: u32, value: Value) {
    with_field!(message, number,
        field => message.set_field(&field, value),
        extension => message.set_extension(&extension, value));
}

pub(crate) fn clear(message: &mut DynamicMessage, number: u32) {
    with_field!(message, number,
        field => message.clear_field(&field),
        extension => message.clear_extension(&extension));
}

/// The empty message that an entry of this map begins with.
pub(crate) fn empty_map_value(message: &DynamicMessage, number: u32) -> Value {
    let field = message
        .descriptor()
        .get_field(number)
        .expect("maps are no extensions");
    let entry = field.kind();
    let value = entry
        .as_message()
        .and_then(|entry| entry.get_field(2))
        .expect("entries have values");
    Value::default_value_for_field(&value)
}
