//! Rules about messages: fields deleted, required or in oneofs, and what is reserved or open to extensions.

use super::Rule;
use super::collect::Findings;
use super::element::Message;
use super::index::Index;
use super::option_bytes;
use super::ranges::{Range, Ranges};
use crate::descriptor::{Edition, FieldDescriptorProto, JsonFormat, Label, NumberRange};
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
fn by_number<'a>(message: &Message<'a>) -> BTreeMap<i32, (usize, &'a FieldDescriptorProto)> {
    let backwards = message.proto.field.iter().enumerate().rev();
    backwards
        .map(|(index, field)| (field.number, (index, field)))
        .collect()
}

fn check_deleted_fields(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let kept = by_number(after);
    let reserved = Ranges::new(ranges(&after.proto.reserved_range));
    let reserved_names: BTreeSet<&String> = after.proto.reserved_name.iter().collect();
    for (number, (_, field)) in by_number(before) {
        if kept.contains_key(&number) {
            continue;
        }
        let (message, name) = (&after.full_name, &field.name);
        let deleted = || format!("field `{message}.{name}` (number {number}) was deleted");
        tell(findings, Rule::FieldNoDelete, after, || {
            format!(
                "{}; keep it, marked `deprecated` if nobody should use it",
                deleted()
            )
        });
        if !reserved_names.contains(name) {
            tell(findings, Rule::FieldNoDeleteUnlessNameReserved, after, || {
                format!(
                    "{}; reserve its name: `reserved {};`",
                    deleted(),
                    reserved_form(after, name)
                )
            });
        }
        if !reserved.contains(number) {
            tell(findings, Rule::FieldNoDeleteUnlessNumberReserved, after, || {
                format!("{}; reserve its number: `reserved {number};`", deleted())
            });
        }
    }
}

/// A name as it is written after `reserved`: editions do without quotes.
fn reserved_form(message: &Message<'_>, name: &str) -> String {
    match message.file.proto.edition {
        Edition::Proto2 | Edition::Proto3 => format!("\"{name}\""),
        Edition::Edition2023 | Edition::Edition2024 | Edition::Unknown(_) => name.to_owned(),
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
        tell(findings, Rule::MessageSameRequiredFields, after, || {
            format!(
                "required field {number} of `{message}` is gone, and older readers refuse messages \
                    without it; keep it required"
            )
        });
    }
    for (number, index) in new.iter().filter(|(number, _)| !old.contains_key(number)) {
        let position = || {
            after
                .file
                .source
                .position(&after.path_to(2, *index))
                .or_else(|| after.position())
        };
        findings.add(Rule::MessageSameRequiredFields, after.file, position, || {
            format!(
                "field {number} of `{message}` is newly required, and messages of older writers \
                lack it; make it optional"
            )
        });
    }
}

fn check_oneofs(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let kept: BTreeSet<&str> = after
        .proto
        .oneof_decl
        .iter()
        .map(|oneof| oneof.name.as_str())
        .collect();
    for (index, oneof) in before.proto.oneof_decl.iter().enumerate() {
        if !kept.contains(oneof.name.as_str()) && !before.is_synthetic(index) {
            tell(findings, Rule::OneofNoDelete, after, || {
                format!(
                    "oneof `{}.{}` was deleted; bring it back",
                    after.full_name, oneof.name
                )
            });
        }
    }
}

/// In messages the ends of ranges do not belong to them.
fn ranges(ranges: &[NumberRange]) -> impl Iterator<Item = Range> {
    ranges.iter().map(|range| Range {
        start: i64::from(range.start),
        end: i64::from(range.end) - 1,
    })
}

fn check_extension_ranges(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let open = Ranges::new(ranges(&after.proto.extension_range));
    for range in ranges(&before.proto.extension_range) {
        if let Some(closed) = open.missing(range) {
            tell(findings, Rule::ExtensionMessageNoDelete, after, || {
                let message = &after.full_name;
                format!(
                    "of the extension range {range} of `{message}` {closed} is closed; leave it to extensions"
                )
            });
        }
    }
}

fn check_reserved(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let message = &after.full_name;
    let reserved = Ranges::new(ranges(&after.proto.reserved_range));
    for range in ranges(&before.proto.reserved_range) {
        if let Some(freed) = reserved.missing(range) {
            tell(findings, Rule::ReservedMessageNoDelete, after, || {
                format!(
                    "of the reserved range {range} of `{message}` {freed} is no longer reserved; \
                        reserve it again"
                )
            });
        }
    }
    let names = |message: &'_ Message<'_>| -> BTreeSet<String> {
        message.proto.reserved_name.iter().cloned().collect()
    };
    for name in names(before).difference(&names(after)) {
        tell(findings, Rule::ReservedMessageNoDelete, after, || {
            format!("the name `{name}` of `{message}` is no longer reserved; reserve it again")
        });
    }
}

fn check_options(before: &Message<'_>, after: &Message<'_>, findings: &mut Findings) {
    let name = &after.full_name;
    let promises = |message: &Message<'_>| message.features.json_format == JsonFormat::Allow;
    if promises(before) && !promises(after) {
        let features = [after.path.as_slice(), &[7, 12]].concat();
        let position = || {
            after
                .file
                .source
                .option_position(&features, &[6])
                .or_else(|| after.position())
        };
        findings.add(Rule::MessageSameJsonFormat, after.file, position, || {
            format!(
                "message `{name}` no longer promises to work in JSON; set `features.json_format` \
                back to ALLOW"
            )
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
        findings.add(
            Rule::MessageNoRemoveStandardDescriptorAccessor,
            after.file,
            position,
            || format!("message `{name}` turned on `no_standard_descriptor_accessor`; turn it off"),
        );
    }
}

/// Adds a finding at the message.
fn tell(findings: &mut Findings, rule: Rule, after: &Message<'_>, message: impl FnOnce() -> String) {
    findings.add(rule, after.file, || after.position(), message);
}
