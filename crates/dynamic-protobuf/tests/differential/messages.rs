//! Encoded messages made by choices: valid, and as unusual as the wire format allows.
//!
//! Each is written twice: as this engine gets it, and as prost-reflect does. They differ where prost-reflect departs from the
//! specification, and there the second leaves out what the specification makes an unknown field:
//! - numbers that a closed enum does not have, also in packed lists and in map entries, which prost-reflect keeps as values;
//! - fields in another wire type than their schema's, for which prost-reflect fails or reads what is not there.
//!
//! Not made at all, because prost-reflect takes them otherwise: strings that are not UTF-8 where proto2 does not validate, and
//! negative zeros, which count as set where presence is implicit.

use crate::choices::Choices;
use heddle_dynamic_protobuf::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, WireType};

/// How deep messages nest.
const MAX_DEPTH: usize = 4;

/// One message in both forms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) ours: Vec<u8>,
    pub(crate) theirs: Vec<u8>,
}

impl Encoded {
    fn tag(&mut self, number: u32, wire_type: WireType, padding: usize) {
        // Longer tags than five bytes are refused here as in protobuf's own implementations.
        let padding = padding.min(5 - varint_len(u64::from(number) << 3));
        self.varint(u64::from(number) << 3 | wire_type as u64, padding);
    }

    /// A varint with so many bytes more than it needs, as far as ten allow.
    fn varint(&mut self, value: u64, padding: usize) {
        put_varint(&mut self.ours, value, padding);
        put_varint(&mut self.theirs, value, padding);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.ours.extend_from_slice(bytes);
        self.theirs.extend_from_slice(bytes);
    }

    fn with_length(&mut self, content: &Self, padding: usize) {
        put_varint(&mut self.ours, content.ours.len() as u64, padding);
        self.ours.extend_from_slice(&content.ours);
        put_varint(&mut self.theirs, content.theirs.len() as u64, padding);
        self.theirs.extend_from_slice(&content.theirs);
    }

    fn append(&mut self, other: &Self) {
        self.ours.extend_from_slice(&other.ours);
        self.theirs.extend_from_slice(&other.theirs);
    }

    /// Adds what the specification makes an unknown field and prost-reflect does not.
    fn append_for_us_alone(&mut self, other: &Self) {
        self.ours.extend_from_slice(&other.ours);
    }
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64, padding: usize) {
    let padding = padding.min(10 - varint_len(value));
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 | if padding > 0 { 0x80 } else { 0 });
    for index in 0..padding {
        out.push(if index + 1 < padding { 0x80 } else { 0 });
    }
}

/// A message of this type.
pub(crate) fn message(choices: &mut Choices<'_>, descriptor: MessageDescriptor<'_>) -> Encoded {
    let mut out = Encoded::default();
    fields(choices, descriptor, &mut out, MAX_DEPTH);
    out
}

fn fields(choices: &mut Choices<'_>, descriptor: MessageDescriptor<'_>, out: &mut Encoded, depth: usize) {
    let known: Vec<_> = descriptor.fields().collect();
    for _ in 0..choices.below(if depth == MAX_DEPTH { 14 } else { 5 }) {
        if known.is_empty() || choices.percent(8) {
            unknown_field(choices, descriptor, out, 2);
            continue;
        }
        let field = known[choices.below(known.len())];
        if choices.percent(3) {
            field_of_other_wire_type(choices, field, out);
        } else if depth > 0 || !field.kind().is_message() {
            occurrence(choices, field, out, depth);
        }
    }
}

fn padding(choices: &mut Choices<'_>) -> usize {
    if choices.percent(5) {
        1 + choices.below(4)
    } else {
        0
    }
}

/// One occurrence of a field: a value, an element, a packed run of elements or a map entry.
fn occurrence(choices: &mut Choices<'_>, field: FieldDescriptor<'_>, out: &mut Encoded, depth: usize) {
    if field.is_map() {
        return map_entry(choices, field, out, depth);
    }
    let packed = field.cardinality() == Cardinality::Repeated
        && field.kind().is_packable()
        && field.is_packed() != choices.percent(20);
    if packed {
        let mut run = Encoded::default();
        for _ in 0..choices.below(5) {
            let (element, known) = scalar(choices, field);
            if known {
                run.append(&element);
            } else {
                run.append_for_us_alone(&element);
            }
        }
        out.tag(field.number(), WireType::Len, padding(choices));
        return out.with_length(&run, padding(choices));
    }
    let (value, known) = value(choices, field, depth);
    if known {
        out.append(&value);
    } else {
        out.append_for_us_alone(&value);
    }
}

/// A single value with its tag, and whether it is one that the schema knows.
fn value(choices: &mut Choices<'_>, field: FieldDescriptor<'_>, depth: usize) -> (Encoded, bool) {
    let mut out = Encoded::default();
    out.tag(field.number(), field.kind().wire_type(), padding(choices));
    let Some(descriptor) = field.message() else {
        let (scalar, known) = scalar(choices, field);
        out.append(&scalar);
        return (out, known);
    };
    let mut content = Encoded::default();
    fields(choices, descriptor, &mut content, depth.saturating_sub(1));
    if field.kind() == Kind::Group {
        out.append(&content);
        out.tag(field.number(), WireType::EndGroup, padding(choices));
    } else {
        out.with_length(&content, padding(choices));
    }
    (out, true)
}

/// A scalar without its tag, and whether it is one that the schema knows.
fn scalar(choices: &mut Choices<'_>, field: FieldDescriptor<'_>) -> (Encoded, bool) {
    let mut out = Encoded::default();
    let mut known = true;
    match field.kind() {
        Kind::String => {
            let text = choices.text();
            out.varint(text.len() as u64, padding(choices));
            out.bytes(text.as_bytes());
        }
        Kind::Bytes => {
            let blob = choices.blob();
            out.varint(blob.len() as u64, padding(choices));
            out.bytes(&blob);
        }
        Kind::Float => out.bytes(&float(choices).to_le_bytes()),
        Kind::Double => out.bytes(&double(choices).to_le_bytes()),
        Kind::Fixed32 | Kind::Sfixed32 => out.bytes(&(choices.number() as u32).to_le_bytes()),
        Kind::Fixed64 | Kind::Sfixed64 => out.bytes(&choices.number().to_le_bytes()),
        Kind::Enum => {
            let number = enum_number(choices, field);
            let enumeration = field.enumeration();
            known = enumeration.is_none_or(|it| !it.is_closed() || it.value(number as i32).is_some());
            out.varint(number, padding(choices));
        }
        // Numbers that do not fit are cut by every implementation: all 64 bits are fair.
        _ => out.varint(choices.number(), padding(choices)),
    }
    (out, known)
}

pub(crate) fn float(choices: &mut Choices<'_>) -> f32 {
    let float = f32::from_bits(choices.number() as u32);
    if float == 0.0 { 0.0 } else { float }
}

pub(crate) fn double(choices: &mut Choices<'_>) -> f64 {
    let double = match choices.below(3) {
        0 => f64::from(choices.byte()) / 8.0,
        _ => f64::from_bits(choices.number().rotate_right(8)),
    };
    if double == 0.0 { 0.0 } else { double }
}

fn enum_number(choices: &mut Choices<'_>, field: FieldDescriptor<'_>) -> u64 {
    let declared: Vec<i32> = field
        .enumeration()
        .map(|enumeration| enumeration.values().map(|value| value.number()).collect())
        .unwrap_or_default();
    if choices.percent(20) || declared.is_empty() {
        choices.number()
    } else {
        i64::from(choices.one_of(&declared)) as u64
    }
}

/// A map entry: in either order, without key or value, with either twice, and with fields that no entry has.
fn map_entry(choices: &mut Choices<'_>, field: FieldDescriptor<'_>, out: &mut Encoded, depth: usize) {
    let (Some(key), Some(element)) = (field.map_key(), field.map_value()) else {
        return;
    };
    let order: &[u8] = match choices.below(16) {
        0..8 => b"kv",
        8..11 => b"vk",
        11 => b"k",
        12 => b"v",
        13 => b"kkv",
        14 => b"vkv",
        _ => b"kuv",
    };
    let mut entry = Encoded::default();
    let (mut all_known, mut values) = (true, 0);
    for part in order {
        match part {
            b'k' => entry.append(&value(choices, key, depth).0),
            // Whether an entry with two values of a closed enum is known is not written down anywhere.
            b'v' if values > 0 && element.kind() == Kind::Enum => {}
            b'v' => {
                let (value, known) = value(choices, element, depth);
                all_known &= known;
                values += 1;
                entry.append(&value);
            }
            _ => {
                entry.tag(3, WireType::Varint, 0);
                entry.varint(choices.number(), 0);
            }
        }
    }
    let mut whole = Encoded::default();
    whole.tag(field.number(), WireType::Len, padding(choices));
    whole.with_length(&entry, padding(choices));
    if all_known {
        out.append(&whole);
    } else {
        out.append_for_us_alone(&whole);
    }
}

fn unknown_field(
    choices: &mut Choices<'_>,
    descriptor: MessageDescriptor<'_>,
    out: &mut Encoded,
    depth: usize,
) {
    let number = choices.one_of(&[900u32, 3, 1, 1_500, 20_001, 536_870_910, 15, 16]);
    if descriptor.field(number).is_none() {
        any_field(choices, number, None, out, depth);
    }
}

fn field_of_other_wire_type(choices: &mut Choices<'_>, field: FieldDescriptor<'_>, out: &mut Encoded) {
    // An end of group at this place would be an error, and a packed run is a list's second right wire type.
    let own = field.kind().wire_type();
    let mut wrong = Encoded::default();
    any_field(choices, field.number(), Some(own), &mut wrong, 1);
    out.append_for_us_alone(&wrong);
}

/// A field of this number with any wire type but those that `own` stands for.
fn any_field(choices: &mut Choices<'_>, number: u32, own: Option<WireType>, out: &mut Encoded, depth: usize) {
    let wire_types = [
        WireType::Varint,
        WireType::I32,
        WireType::I64,
        WireType::Len,
        WireType::StartGroup,
    ];
    let wire_type = choices.one_of(&wire_types);
    if own == Some(wire_type) || own.is_some() && wire_type == WireType::Len {
        return;
    }
    out.tag(number, wire_type, padding(choices));
    match wire_type {
        WireType::Varint => out.varint(choices.number(), padding(choices)),
        WireType::I32 => out.bytes(&(choices.number() as u32).to_le_bytes()),
        WireType::I64 => out.bytes(&choices.number().to_le_bytes()),
        WireType::Len => {
            let blob = choices.blob();
            out.varint(blob.len() as u64, padding(choices));
            out.bytes(&blob);
        }
        WireType::StartGroup | WireType::EndGroup => {
            for number in 1..=choices.below(3) as u32 {
                if depth > 0 {
                    any_field(choices, number, None, out, depth - 1);
                }
            }
            out.tag(number, WireType::EndGroup, padding(choices));
        }
    }
}
