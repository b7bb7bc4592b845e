//! Generates encoded messages, paths and changes from a string of choices.

use crate::oracle::{Change, Key, MaskStep, NewSingle, Selection, Step};
use prost::encoding::encode_varint;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value};

/// Random choices that a test framework can shrink; when they are used up, every choice is the first.
pub(crate) struct Choices<'c> {
    rest: &'c [u8],
    /// Fields that messages have more often than others: those that a test asks for.
    wanted: Vec<FieldDescriptor>,
}

impl<'c> Choices<'c> {
    pub(crate) fn new(rest: &'c [u8]) -> Self {
        Self {
            rest,
            wanted: Vec::new(),
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Lets messages have this field more often, and what is in one oneof with it.
    pub(crate) fn want(&mut self, field: &FieldDescriptor) {
        self.wanted.push(field.clone());
        if let Some(oneof) = field.containing_oneof() {
            self.wanted.extend(oneof.fields());
        }
    }

    fn wanted_of(&self, descriptor: &MessageDescriptor) -> Vec<FieldDescriptor> {
        let wanted = self.wanted.iter();
        wanted
            .filter(|field| field.parent_message() == descriptor)
            .cloned()
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    encode_varint(u64::from(number << 3 | wire_type), out);
}

fn put_len(out: &mut Vec<u8>, bytes: &[u8]) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// An encoded message with any fields in any order.
pub(crate) fn message(choices: &mut Choices<'_>, descriptor: &MessageDescriptor, depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let fields: Vec<_> = descriptor.fields().collect();
    let wanted = choices.wanted_of(descriptor);
    for _ in 0..choices.below(9) {
        if choices.is_empty() {
            break;
        }
        match choices.below(12) {
            0 => unknown(choices, &mut out),
            1..8 if !wanted.is_empty() => {
                let field = &wanted[choices.below(wanted.len())];
                put_field(choices, &mut out, field, depth);
            }
            _ => {
                let field = &fields[choices.below(fields.len())];
                put_field(choices, &mut out, field, depth);
            }
        }
    }
    out
}

fn unknown(choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let number = 1_000 + u32::from(choices.byte());
    match choices.below(4) {
        0 => {
            put_tag(out, number, 0);
            encode_varint(u64::from(choices.byte()) * 1_000, out);
        }
        1 => {
            put_tag(out, number, 2);
            put_len(out, &[choices.byte(), 8, 1]);
        }
        2 => {
            put_tag(out, number, 5);
            out.extend_from_slice(&[1, 2, 3, choices.byte()]);
        }
        _ => {
            put_tag(out, number, 3);
            put_tag(out, 8, 0);
            out.push(1);
            put_tag(out, number, 4);
        }
    }
}

fn put_field(choices: &mut Choices<'_>, out: &mut Vec<u8>, field: &FieldDescriptor, depth: usize) {
    if field.is_map() {
        put_entry(choices, out, field, depth);
        return;
    }
    if field.is_list() && !matches!(field.kind(), Kind::Message(_) | Kind::String) && choices.below(2) == 0 {
        let mut run = Vec::new();
        for _ in 0..choices.below(4) {
            put_scalar(&mut run, &field.kind(), &scalar(choices, &field.kind()));
        }
        put_tag(out, field.number(), 2);
        put_len(out, &run);
        return;
    }
    put_single(choices, out, field, depth);
}

fn put_single(choices: &mut Choices<'_>, out: &mut Vec<u8>, field: &FieldDescriptor, depth: usize) {
    match field.kind() {
        Kind::Message(descriptor) => {
            let inner = if depth == 0 {
                Vec::new()
            } else {
                message(choices, &descriptor, depth - 1)
            };
            put_tag(out, field.number(), if field.is_group() { 3 } else { 2 });
            if field.is_group() {
                out.extend_from_slice(&inner);
                put_tag(out, field.number(), 4);
            } else {
                put_len(out, &inner);
            }
        }
        kind => {
            put_tag(out, field.number(), wire_type(&kind));
            put_scalar(out, &kind, &scalar(choices, &kind));
        }
    }
}

/// Keys come from few, so that they repeat; key and value may come in any order, twice or not at all.
fn put_entry(choices: &mut Choices<'_>, out: &mut Vec<u8>, field: &FieldDescriptor, depth: usize) {
    let Kind::Message(entry) = field.kind() else {
        return;
    };
    let mut inner = Vec::new();
    for _ in 0..choices.below(4) {
        match choices.below(2) {
            0 => {
                let kind = entry.map_entry_key_field().kind();
                put_tag(&mut inner, 1, wire_type(&kind));
                put_scalar(&mut inner, &kind, &key(choices, &kind).value(&kind));
            }
            _ => put_single(choices, &mut inner, &entry.map_entry_value_field(), depth.min(1)),
        }
    }
    put_tag(out, field.number(), 2);
    put_len(out, &inner);
}

pub(crate) fn key(choices: &mut Choices<'_>, kind: &Kind) -> Key {
    match kind {
        Kind::String => Key::String(["", "a", "b\"\\"][choices.below(3)].to_owned()),
        Kind::Bool => Key::Bool(choices.below(2) == 1),
        _ => Key::Int(i64::from(choices.byte() % 4) - 1),
    }
}

fn wire_type(kind: &Kind) -> u32 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => 5,
        Kind::String | Kind::Bytes | Kind::Message(_) => 2,
        _ => 0,
    }
}

pub(crate) fn scalar(choices: &mut Choices<'_>, kind: &Kind) -> Value {
    let number = [0, 1, -1, 5, 300, i64::from(i32::MAX), i64::from(i32::MIN), 70][choices.below(8)];
    match kind {
        Kind::Double => Value::F64(number as f64),
        Kind::Float => Value::F32(number as f32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number * 3),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number as u64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Bool => Value::Bool(number != 0),
        Kind::String => Value::String("long words ".repeat(choices.below(14)).chars().skip(9).collect()),
        Kind::Bytes => Value::Bytes(vec![choices.byte(); choices.below(3)].into()),
        Kind::Enum(_) => Value::EnumNumber(number as i32 % 3),
        _ => Value::I32(number as i32),
    }
}

fn put_scalar(out: &mut Vec<u8>, kind: &Kind, value: &Value) {
    match (kind, value) {
        (Kind::Sint32 | Kind::Sint64, _) => {
            let number = value.as_i64().or(value.as_i32().map(i64::from)).unwrap();
            encode_varint((number << 1 ^ number >> 63) as u64, out);
        }
        (Kind::Fixed32, Value::U32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Kind::Sfixed32, Value::I32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Kind::Fixed64, Value::U64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Kind::Sfixed64, Value::I64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (_, Value::F32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (_, Value::F64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (_, Value::String(value)) => put_len(out, value.as_bytes()),
        (_, Value::Bytes(value)) => put_len(out, value),
        (_, Value::Bool(value)) => out.push(u8::from(*value)),
        (_, Value::I64(value)) => encode_varint(*value as u64, out),
        (_, Value::U32(value)) => encode_varint(u64::from(*value), out),
        (_, Value::U64(value)) => encode_varint(*value, out),
        (_, Value::I32(value) | Value::EnumNumber(value)) => encode_varint(i64::from(*value) as u64, out),
        other => panic!("{other:?} is no scalar"),
    }
}

/// A path of one to four steps.
pub(crate) fn path(choices: &mut Choices<'_>, descriptor: &MessageDescriptor) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut descriptor = descriptor.clone();
    loop {
        let fields: Vec<_> = descriptor.fields().collect();
        let field = fields[choices.below(fields.len())].clone();
        let last = steps.len() >= 3 || choices.below(3) == 0;
        let selected = !last || choices.below(2) == 0;
        let mut step = Step {
            field: field.clone(),
            key: None,
        };
        if selected && field.is_list() {
            step.key = Some(Key::Int(i64::from(choices.byte() % 6) - 2));
        }
        let mut kind = field.kind();
        if field.is_map()
            && let Kind::Message(entry) = field.kind()
        {
            kind = entry.map_entry_value_field().kind();
            if selected {
                step.key = Some(key(choices, &entry.map_entry_key_field().kind()));
            }
        }
        steps.push(step);
        choices.want(&field);
        match kind {
            Kind::Message(next) if !last => descriptor = next,
            _ => return steps,
        }
    }
}

fn single(choices: &mut Choices<'_>, kind: &Kind) -> NewSingle {
    match kind {
        Kind::Message(descriptor) => (Value::Bool(true), Some(message(choices, descriptor, 1))),
        kind => (scalar(choices, kind), None),
    }
}

/// A change that fits what the path leads to.
pub(crate) fn change(choices: &mut Choices<'_>, steps: &[Step]) -> Change {
    let step = steps.last().unwrap();
    let list = step.field.is_list() && step.key.is_none();
    let mut kind = step.field.kind();
    let map = step.field.is_map();
    if let (true, Kind::Message(entry)) = (map, &kind) {
        kind = entry.map_entry_value_field().kind();
    }
    if list {
        let values: Vec<_> = (0..2).map(|_| single(choices, &kind)).collect();
        let count = choices.below(3);
        let values: Vec<_> = values.into_iter().take(count).collect();
        let (start, end) = (choices.below(4), choices.below(6));
        return match choices.below(5) {
            0 => Change::SetList(values),
            1 => Change::Append(values),
            2 => Change::Insert(start, values),
            3 => Change::Keep(start..end),
            _ => Change::Remove,
        };
    }
    if map && step.key.is_none() {
        let Kind::Message(entry) = step.field.kind() else {
            return Change::Remove;
        };
        let values: Vec<_> = (0..2).map(|_| single(choices, &kind)).collect();
        let key_kind = entry.map_entry_key_field().kind();
        let entries = values
            .into_iter()
            .map(|value| (key(choices, &key_kind), value))
            .collect();
        return if choices.below(2) == 0 {
            Change::Remove
        } else {
            Change::SetMap(entries)
        };
    }
    let value = single(choices, &kind);
    if choices.below(3) == 0 {
        Change::Remove
    } else {
        Change::Set(value)
    }
}

/// A path of a mask, of one to four steps.
pub(crate) fn mask_path(choices: &mut Choices<'_>, descriptor: &MessageDescriptor) -> Vec<MaskStep> {
    let steps = path(choices, descriptor);
    let last = steps.len() - 1;
    let mut mask = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        let selection = match (step.key, choices.below(4)) {
            (Some(Key::Int(_)), 0) if step.field.is_list() => {
                let (start, end) = (choices.below(3), choices.below(5));
                Selection::Range(start, end)
            }
            (Some(_), 1) => Selection::All,
            (Some(_), 2) if step.field.is_list() || index == last => Selection::Silent,
            (Some(key), _) => Selection::Key(key),
            (None, _) => Selection::Silent,
        };
        mask.push(MaskStep {
            field: step.field,
            selection,
        });
    }
    mask
}
