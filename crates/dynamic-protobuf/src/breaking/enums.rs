//! Rules about enums: their values, what they reserve, and how they are read.

use super::Rule;
use super::collect::Findings;
use super::element::{Enum, path_to};
use super::index::Index;
use super::names::{bounded, listed};
use super::ranges::{Range, Ranges};
use super::source::Position;
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

/// Names as a sentence lists them.
fn quoted<'a>(names: impl Iterator<Item = &'a &'a str>) -> String {
    listed(names.map(|name| format!("`{}`", bounded(name))))
}

fn check_values(before: &Enum<'_>, after: &Enum<'_>, findings: &mut Findings) {
    let kept = values(after);
    let reserved = Reserved::by(after);
    for (number, names) in values(before) {
        match kept.get(&number) {
            Some(kept) => check_names(number, &names, kept, after, findings),
            None => check_deleted(number, &names, &reserved, after, findings),
        }
    }
}

/// What an enum reserves.
struct Reserved<'a> {
    numbers: Ranges,
    names: BTreeSet<&'a str>,
}

impl<'a> Reserved<'a> {
    fn by(element: &Enum<'a>) -> Self {
        Self {
            numbers: Ranges::new(ranges(&element.proto.reserved_range)),
            names: element.proto.reserved_name.iter().map(String::as_str).collect(),
        }
    }
}

/// In enums the ends of ranges belong to them.
fn ranges(ranges: &[NumberRange]) -> impl Iterator<Item = Range> {
    ranges.iter().map(|range| Range {
        start: i64::from(range.start),
        end: i64::from(range.end),
    })
}

fn check_deleted(
    number: i32,
    names: &BTreeMap<&str, usize>,
    reserved: &Reserved<'_>,
    after: &Enum<'_>,
    findings: &mut Findings,
) {
    let deleted = || {
        let names = quoted(names.keys());
        format!(
            "value {number} ({names}) of enum `{}` was deleted",
            after.full_name
        )
    };
    tell(findings, Rule::EnumValueNoDelete, after, || {
        format!(
            "{}; keep it, marked `deprecated` if nobody should use it",
            deleted()
        )
    });
    if !names.keys().all(|name| reserved.names.contains(name)) {
        tell(findings, Rule::EnumValueNoDeleteUnlessNameReserved, after, || {
            format!("{}; reserve each of its names", deleted())
        });
    }
    if !reserved.numbers.contains(number) {
        tell(
            findings,
            Rule::EnumValueNoDeleteUnlessNumberReserved,
            after,
            || format!("{}; reserve its number: `reserved {number};`", deleted()),
        );
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
        let path = path_to(&after.path, 2, *index);
        let position = || after.file.source.position(&[path.as_slice(), &[2]].concat());
        findings.add(Rule::EnumValueSameName, after.file, position, || {
            let (element, old, new) = (&after.full_name, quoted(old.keys()), quoted(new.keys()));
            format!(
                "value {number} of enum `{element}` changed its names from {old} to {new} (here \
                `{name}`); keep the old names"
            )
        });
    }
}

fn check_reserved(before: &Enum<'_>, after: &Enum<'_>, findings: &mut Findings) {
    let element = &after.full_name;
    let (old, new) = (Reserved::by(before), Reserved::by(after));
    for range in ranges(&before.proto.reserved_range) {
        if let Some(freed) = new.numbers.missing(range) {
            tell(findings, Rule::ReservedEnumNoDelete, after, || {
                format!(
                    "of the reserved range {range} of enum `{element}` {freed} is no longer reserved; \
                        reserve it again"
                )
            });
        }
    }
    for name in old.names.difference(&new.names) {
        tell(findings, Rule::ReservedEnumNoDelete, after, || {
            format!("the name `{name}` of enum `{element}` is no longer reserved; reserve it again")
        });
    }
}

fn check_type(before: &Enum<'_>, after: &Enum<'_>, findings: &mut Findings) {
    let (old, new) = (before.features.enum_type, after.features.enum_type);
    if old != new {
        let position = || feature_position(after, 2);
        findings.add(Rule::EnumSameType, after.file, position, || {
            let (old, new) = (named(old), named(new));
            format!(
                "enum `{}` changed from {old} to {new}, which changes what readers do with numbers \
                they do not know; make it {old} again",
                after.full_name
            )
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
            format!(
                "enum `{element}` no longer promises to work in JSON; set `features.json_format` \
                back to ALLOW"
            )
        });
    }
}

fn feature_position(element: &Enum<'_>, feature: i32) -> Option<Position> {
    let features = [element.path.as_slice(), &[3, 7]].concat();
    let stated = element.file.source.option_position(&features, &[feature]);
    stated.or_else(|| element.position())
}

/// Adds a finding at the enum.
fn tell(findings: &mut Findings, rule: Rule, after: &Enum<'_>, message: impl FnOnce() -> String) {
    findings.add(rule, after.file, || after.position(), message);
}
