//! Rules about messages: fields deleted, required or in oneofs, and what is reserved or open to extensions.

use super::Rule;
use super::collect::Findings;
use super::element::{Message, is_synthetic};
use super::index::Index;
use super::option_bytes;
use super::ranges::{Range, check_ranges};
use crate::descriptor::{FieldDescriptorProto, JsonFormat, Label, NumberRange};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(old: &Index<'_>, new: &Index<'_>, findings: &mut Findings) {
    for (name, before) in &old.messages {
        if let Some(after) = new.messages.get(name) {
            check_deleted_fields(before, after, findings);
            check_required_fields(before, after, findings);
            check_oneofs(before, after, findings);
            check_extension_ranges(before, after, findings);
            check_reserved(before, after, findings);
            check_options(before, after, findings);
        }
    }
}

/// The fields of a message by number; of two with one number, the first.
pub(super) fn by_number<'a>(message: &Message<'a>) -> BTreeMap<i32, (usize, &'a FieldDescriptorProto)> {
    let backwards = message.proto.field.iter().enumerate().rev();
    backwards.map(|(index, field)| (field.number, (index, field))).collect()
}

fn check_deleted_fields(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let kept = by_number(after);
    let reserved = ranges(&after.proto.reserved_range);
    for (number, (_, field)) in by_number(before) {
        if kept.contains_key(&number) {
            continue;
        }
        let (message, name) = (&after.full_name, &field.name);
        let deleted = || format!("field `{message}.{name}` (number {number}) was deleted");
        findings.add(Rule::FieldNoDelete, after.file, || after.position(), || {
            format!("{}; keep it, marked `deprecated` if nobody should use it", deleted())
        });
        if !after.proto.reserved_name.contains(name) {
            findings.add(Rule::FieldNoDeleteUnlessNameReserved, after.file, || after.position(), || {
                format!("{}; reserve its name: `reserved \"{name}\";`", deleted())
            });
        }
        if !reserved.iter().any(|range| range.contains(number)) {
            findings.add(Rule::FieldNoDeleteUnlessNumberReserved, after.file, || after.position(), || {
                format!("{}; reserve its number: `reserved {number};`", deleted())
            });
        }
    }
}

/// By the keyword alone: `features.field_presence = LEGACY_REQUIRED` is a matter of cardinality, here as in buf.
fn check_required_fields(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let required = |message: &Message<'_>| -> BTreeMap<i32, usize> {
        let fields = by_number(message).into_iter();
        let required = fields.filter(|(_, (_, field))| field.label == Label::Required);
        required.map(|(number, (index, _))| (number, index)).collect()
    };
    let (old, new) = (required(before), required(after));
    let message = &after.full_name;
    for number in old.keys().filter(|number| !new.contains_key(number)) {
        findings.add(Rule::MessageSameRequiredFields, after.file, || after.position(), || {
            format!("required field {number} of `{message}` is gone, and older readers refuse messages without it; keep it required")
        });
    }
    for (number, index) in new.iter().filter(|(number, _)| !old.contains_key(number)) {
        let position = || after.file.source.position(&after.path_to(2, *index)).or_else(|| after.position());
        findings.add(Rule::MessageSameRequiredFields, after.file, position, || {
            format!("field {number} of `{message}` is newly required, and messages of older writers lack it; make it optional")
        });
    }
}

fn check_oneofs(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let kept: BTreeSet<&str> = after.proto.oneof_decl.iter().map(|oneof| oneof.name.as_str()).collect();
    for (index, oneof) in before.proto.oneof_decl.iter().enumerate() {
        if !kept.contains(oneof.name.as_str()) && !is_synthetic(before, index) {
            findings.add(Rule::OneofNoDelete, after.file, || after.position(), || {
                format!("oneof `{}.{}` was deleted; bring it back", after.full_name, oneof.name)
            });
        }
    }
}

/// In messages the ends of ranges do not belong to them.
fn ranges(ranges: &[NumberRange]) -> Vec<Range> {
    let inclusive = ranges.iter().map(|range| Range {
        start: i64::from(range.start),
        end: i64::from(range.end) - 1,
    });
    inclusive.collect()
}

fn check_extension_ranges(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let (old, new) = (&before.proto.extension_range, &after.proto.extension_range);
    check_ranges(&ranges(old), &ranges(new), |range, closed| {
        findings.add(Rule::ExtensionMessageNoDelete, after.file, || after.position(), || {
            let message = &after.full_name;
            format!("of the extension range {range} of `{message}` the numbers {closed} are closed; leave them to extensions")
        });
    });
}

fn check_reserved(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let message = &after.full_name;
    let (old, new) = (&before.proto.reserved_range, &after.proto.reserved_range);
    check_ranges(&ranges(old), &ranges(new), |range, freed| {
        findings.add(Rule::ReservedMessageNoDelete, after.file, || after.position(), || {
            format!("of the reserved range {range} of `{message}` the numbers {freed} were given free; reserve them again")
        });
    });
    let names: BTreeSet<&String> = before.proto.reserved_name.iter().collect();
    for name in names.into_iter().filter(|name| !after.proto.reserved_name.contains(name)) {
        findings.add(Rule::ReservedMessageNoDelete, after.file, || after.position(), || {
            format!("the reserved name `{name}` of `{message}` was given free; reserve it again")
        });
    }
}

fn check_options(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let name = &after.full_name;
    let promises = |message: &Message<'_>| message.features.json_format == JsonFormat::Allow;
    if promises(before) && !promises(after) {
        let features = [after.path.as_slice(), &[7, 12]].concat();
        let position = || after.file.source.option_position(&features, &[6]).or_else(|| after.position());
        findings.add(Rule::MessageSameJsonFormat, after.file, position, || {
            format!("message `{name}` no longer promises to work in JSON; set `features.json_format` back to ALLOW")
        });
    }
    /// `no_standard_descriptor_accessor` in `MessageOptions`.
    const ACCESSOR: u16 = 2;
    let is_removed = |message: &Message<'_>| {
        option_bytes::bool(&message.proto.options.encoded, ACCESSOR.into()).unwrap_or_default()
    };
    if !is_removed(before) && is_removed(after) {
        let option = [after.path.as_slice(), &[7, ACCESSOR.into()]].concat();
        let position = || after.file.source.position(&option);
        findings.add(Rule::MessageNoRemoveStandardDescriptorAccessor, after.file, position, || {
            format!("message `{name}` turned on `no_standard_descriptor_accessor`; turn it off")
        });
    }
}
