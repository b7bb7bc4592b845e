//! Rules about enums: their values, what they reserve, and how they are read.

use super::Rule;
use super::collect::Findings;
use super::element::Enum;
use super::index::Index;
use super::ranges::{Range, check_ranges};
use crate::descriptor::{EnumType, JsonFormat, NumberRange};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(old: &Index<'_>, new: &Index<'_>, findings: &mut Findings) {
    for (name, before) in &old.enums {
        if let Some(after) = new.enums.get(name) {
            check_values(before, after, findings);
            check_reserved(before, after, findings);
            check_type(before, after, findings);
            check_json_format(before, after, findings);
        }
    }
}

/// The names of each number, with the index of the value that gives it.
type Values<'a> = BTreeMap<i32, BTreeMap<&'a str, usize>>;

fn values<'a>(element: &Enum<'a>) -> Values<'a> {
    let mut values = Values::new();
    for (index, value) in element.proto.value.iter().enumerate() {
        values.entry(value.number).or_default().insert(&value.name, index);
    }
    values
}

fn listed<'a>(names: impl Iterator<Item = &'a &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn check_values(before: &Enum<'_>, after: &Enum<'_>, findings: &mut Findings) {
    let kept = values(after);
    for (number, names) in values(before) {
        match kept.get(&number) {
            Some(kept) => check_names(number, &names, kept, after, findings),
            None => check_deleted(number, &names, after, findings),
        }
    }
}

fn check_deleted(number: i32, names: &BTreeMap<&str, usize>, after: &Enum<'_>, findings: &mut Findings) {
    let deleted = || {
        let names = listed(names.keys());
        format!("value {number} ({names}) of enum `{}` was deleted", after.full_name)
    };
    findings.add(Rule::EnumValueNoDelete, after.file, || after.position(), || {
        format!("{}; keep it, marked `deprecated` if nobody should use it", deleted())
    });
    let is_reserved = |name: &&str| after.proto.reserved_name.iter().any(|reserved| reserved == *name);
    if !names.keys().all(is_reserved) {
        findings.add(Rule::EnumValueNoDeleteUnlessNameReserved, after.file, || after.position(), || {
            format!("{}; reserve each of its names", deleted())
        });
    }
    if !ranges(&after.proto.reserved_range).iter().any(|range| range.contains(number)) {
        findings.add(Rule::EnumValueNoDeleteUnlessNumberReserved, after.file, || after.position(), || {
            format!("{}; reserve its number: `reserved {number};`", deleted())
        });
    }
}

fn check_names(
    number: i32,
    old: &BTreeMap<&str, usize>,
    new: &BTreeMap<&str, usize>,
    after: &Enum<'_>,
    findings: &mut Findings,
) {
    if old.keys().all(|name| new.contains_key(name)) {
        return;
    }
    for (name, index) in new {
        let path = super::element::path_to(&after.path, 2, *index);
        let position = || after.file.source.position(&[path.as_slice(), &[2]].concat());
        findings.add(Rule::EnumValueSameName, after.file, position, || {
            let (element, old, new) = (&after.full_name, listed(old.keys()), listed(new.keys()));
            format!("value {number} of enum `{element}` changed its names from {old} to {new} (here `{name}`); keep the old names")
        });
    }
}

/// In enums the ends of ranges belong to them.
fn ranges(ranges: &[NumberRange]) -> Vec<Range> {
    let inclusive = ranges.iter().map(|range| Range {
        start: i64::from(range.start),
        end: i64::from(range.end),
    });
    inclusive.collect()
}

fn check_reserved(before: &Enum<'_>, after: &Enum<'_>, findings: &mut Findings) {
    let element = &after.full_name;
    let (old, new) = (&before.proto.reserved_range, &after.proto.reserved_range);
    check_ranges(&ranges(old), &ranges(new), |range, freed| {
        findings.add(Rule::ReservedEnumNoDelete, after.file, || after.position(), || {
            format!("of the reserved range {range} of enum `{element}` the numbers {freed} were given free; reserve them again")
        });
    });
    let names: BTreeSet<&String> = before.proto.reserved_name.iter().collect();
    for name in names.into_iter().filter(|name| !after.proto.reserved_name.contains(name)) {
        findings.add(Rule::ReservedEnumNoDelete, after.file, || after.position(), || {
            format!("the reserved name `{name}` of enum `{element}` was given free; reserve it again")
        });
    }
}

fn check_type(before: &Enum<'_>, after: &Enum<'_>, findings: &mut Findings) {
    let (old, new) = (before.features.enum_type, after.features.enum_type);
    if old != new {
        let position = || feature_position(after, 2);
        findings.add(Rule::EnumSameType, after.file, position, || {
            let (old, new) = (named(old), named(new));
            format!("enum `{}` changed from {old} to {new}, which changes what readers do with numbers they do not know; make it {old} again", after.full_name)
        });
    }
}

fn named(enum_type: EnumType) -> &'static str {
    match enum_type {
        EnumType::Open => "open",
        EnumType::Closed => "closed",
    }
}

fn check_json_format(before: &Enum<'_>, after: &Enum<'_>, findings: &mut Findings) {
    let promises = |element: &Enum<'_>| element.features.json_format == JsonFormat::Allow;
    if promises(before) && !promises(after) {
        let position = || feature_position(after, 6);
        findings.add(Rule::EnumSameJsonFormat, after.file, position, || {
            let element = &after.full_name;
            format!("enum `{element}` no longer promises to work in JSON; set `features.json_format` back to ALLOW")
        });
    }
}

fn feature_position(element: &Enum<'_>, feature: i32) -> Option<super::source::Position> {
    let features = [element.path.as_slice(), &[3, 7]].concat();
    let stated = element.file.source.option_position(&features, &[feature]);
    stated.or_else(|| element.position())
}
