//! Rules about a field, or an extension, that is in both versions.

use super::Rule;
use super::collect::Findings;
use super::default_value::DefaultValue;
use super::element::Field;
use super::features::{CPP_STRING_TYPE, CppStringType, JAVA_UTF8_VALIDATION};
use super::field_types::{Typed, is_extended, wire_group, wire_json_group};
use super::index::Index;
use super::names::{bounded, undotted};
use super::option_bytes;
use super::source::Position;
use crate::descriptor::{Edition, FieldType, Utf8Validation};
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) fn check(old: &Index<'_>, new: &Index<'_>, findings: &mut Findings) {
    for (name, before) in &old.messages {
        if let Some(after) = new.messages.get(name) {
            let (old_fields, new_fields) = (by_number(before.fields()), by_number(after.fields()));
            check_pairs(old, new, old_fields, new_fields, findings);
        }
    }
    check_pairs(
        old,
        new,
        by_number(old.extensions()),
        by_number(new.extensions()),
        findings,
    );
}

/// What tells fields apart: the message that they extend and their number. Of two alike the first counts.
type Key<'a> = (Option<&'a str>, i32);

fn by_number<'a>(fields: impl Iterator<Item = Field<'a>>) -> BTreeMap<Key<'a>, Field<'a>> {
    let mut all = BTreeMap::new();
    for field in fields {
        let extendee = field.proto.extendee.as_deref().filter(|_| field.is_extension());
        all.entry((extendee.map(undotted), field.proto.number))
            .or_insert(field);
    }
    all
}

fn check_pairs<'a>(
    old: &'a Index<'a>,
    new: &'a Index<'a>,
    before: BTreeMap<Key<'a>, Field<'a>>,
    mut after: BTreeMap<Key<'a>, Field<'a>>,
    findings: &mut Findings,
) {
    for (key, before) in before {
        if let Some(after) = after.remove(&key) {
            let pair = Pair {
                before: Typed::new(before, old),
                after: Typed::new(after, new),
            };
            pair.check(findings);
        }
    }
}

/// A field in both versions.
struct Pair<'a> {
    before: Typed<'a>,
    after: Typed<'a>,
}

impl<'a> Pair<'a> {
    fn check(&self, findings: &mut Findings) {
        self.check_names(findings);
        self.check_oneof(findings);
        self.check_same_type(findings);
        self.check_wire_type(findings);
        self.check_wire_json_type(findings);
        self.check_cardinality(findings);
        self.check_default(findings);
        self.check_jstype(findings);
        if self.are_both(&[FieldType::String]) {
            self.check_utf8_validation(findings);
            self.check_java_utf8_validation(findings);
        }
        if self.are_both(&[FieldType::String, FieldType::Bytes]) && !self.are_in_map_entries() {
            self.check_cpp_string_type(findings);
        }
    }

    /// Adds a finding at the place that `position` chooses; `change` goes on after the field was named.
    fn add(
        &self,
        findings: &mut Findings,
        rule: Rule,
        position: impl FnOnce(&Field<'a>) -> Option<Position>,
        change: impl FnOnce() -> String,
    ) {
        let field = &self.after.field;
        let message = || format!("{} {}", field.description(), change());
        findings.add(rule, field.file, || position(field), message);
    }

    fn are_both(&self, types: &[FieldType]) -> bool {
        let is_one = |typed: &Typed<'_>| typed.encoding.is_some_and(|encoding| types.contains(&encoding));
        is_one(&self.before) && is_one(&self.after)
    }

    /// Compilers make the fields of map entries; what these have beside their types is no one's choice.
    fn are_in_map_entries(&self) -> bool {
        self.before.field.is_in_map_entry() && self.after.field.is_in_map_entry()
    }

    fn check_names(&self, findings: &mut Findings) {
        let (before, after) = (&self.before.field, &self.after.field);
        let name = |field: &Field<'_>| match field.is_extension() {
            true => field.full_name(),
            false => field.proto.name.clone(),
        };
        let (old, new) = (name(before), name(after));
        if old != new {
            self.add(findings, Rule::FieldSameName, Field::name_position, || {
                format!("changed its name from `{old}` to `{new}`; keep the old name")
            });
        }
        let (old, new) = (before.json_name(), after.json_name());
        if !before.is_extension() && old != new {
            let position = |field: &Field<'_>| field.inner_position(&[10]).or_else(|| field.position());
            self.add(findings, Rule::FieldSameJsonName, position, || {
                format!(
                    "changed its name in JSON from `{old}` to `{new}`; keep it with `json_name = \"{old}\"`"
                )
            });
        }
    }

    fn check_oneof(&self, findings: &mut Findings) {
        let oneof = |typed: &Typed<'_>| typed.field.oneof().map(bounded).map(Cow::into_owned);
        let moved = match (oneof(&self.before), oneof(&self.after)) {
            (Some(old), Some(new)) if old != new => format!("moved from oneof `{old}` to oneof `{new}`"),
            (Some(old), None) => format!("moved out of oneof `{old}`"),
            (None, Some(new)) => format!("moved into oneof `{new}`"),
            _ => return,
        };
        self.add(findings, Rule::FieldSameOneof, Field::position, || {
            format!(
                "{moved}, so that setting one field clears others or no longer does; leave it where it was"
            )
        });
    }

    fn add_type(&self, findings: &mut Findings, rule: Rule, remedy: &str) {
        let position = |field: &Field<'_>| field.type_position(self.after.is_named());
        self.add(findings, rule, position, || {
            let (old, new) = (self.before.type_name(), self.after.type_name());
            format!("changed its type from {old} to {new}; {remedy}")
        });
    }

    fn is_same_type_name(&self) -> bool {
        let name = |typed: &Typed<'_>| {
            typed
                .field
                .proto
                .type_name
                .as_deref()
                .map(undotted)
                .map(str::to_owned)
        };
        name(&self.before) == name(&self.after)
    }

    fn check_same_type(&self, findings: &mut Findings) {
        let is_same = self.before.encoding == self.after.encoding;
        if !is_same || !self.is_same_type_name() {
            self.add_type(
                findings,
                Rule::FieldSameType,
                "add a field with another number instead",
            );
        }
    }

    fn check_wire_type(&self, findings: &mut Findings) {
        let remedy = match (self.before.encoding, self.after.encoding) {
            // Text is bytes.
            (Some(FieldType::String), Some(FieldType::Bytes)) => return,
            (Some(FieldType::Bytes), Some(FieldType::String)) => {
                "not all bytes are text, so add a field with another number instead"
            }
            _ => {
                "readers and writers would take the same bytes for different values, so add a field \
                    with another number instead"
            }
        };
        if !self.is_compatible(wire_group) {
            self.add_type(findings, Rule::FieldWireCompatibleType, remedy);
        }
    }

    fn check_wire_json_type(&self, findings: &mut Findings) {
        if !self.is_compatible(wire_json_group) {
            let remedy = "readers and writers would differ on the wire or in JSON, so add a field with another number instead";
            self.add_type(findings, Rule::FieldWireJsonCompatibleType, remedy);
        }
    }

    /// Whether both types are in one group; of types with names, whether they are the same for all that was written before.
    fn is_compatible(&self, group: fn(Option<FieldType>) -> u8) -> bool {
        if group(self.before.encoding) != group(self.after.encoding) {
            return false;
        }
        if self.is_same_type_name() {
            return true;
        }
        match (self.before.enumeration, self.after.enumeration) {
            (Some(before), Some(after)) => {
                before.proto.name == after.proto.name && is_extended(before, after)
            }
            _ => false,
        }
    }

    fn check_cardinality(&self, findings: &mut Findings) {
        let (old, new) = (self.before.cardinality, self.after.cardinality);
        if old == new || self.are_in_map_entries() {
            return;
        }
        let rules = [
            (Rule::FieldSameCardinality, true),
            (
                Rule::FieldWireCompatibleCardinality,
                old.wire_group() != new.wire_group(),
            ),
            (
                Rule::FieldWireJsonCompatibleCardinality,
                old.wire_json_group() != new.wire_json_group(),
            ),
        ];
        for (rule, _) in rules.into_iter().filter(|(_, is_broken)| *is_broken) {
            self.add(findings, rule, Field::position, || {
                format!("changed from {old} to {new}; make it {old} again")
            });
        }
    }

    fn check_default(&self, findings: &mut Findings) {
        let (Some(old), Some(new)) = (DefaultValue::of(&self.before), DefaultValue::of(&self.after)) else {
            return;
        };
        if !old.is_same(&new) {
            let position = |field: &Field<'_>| field.inner_position(&[7]).or_else(|| field.position());
            self.add(findings, Rule::FieldSameDefault, position, || {
                format!(
                    "changed its default from {old} to {new}, so that messages without it mean \
                    something else; set it back"
                )
            });
        }
    }

    fn check_jstype(&self, findings: &mut Findings) {
        use FieldType::{Fixed64, Int64, Sfixed64, Sint64, Uint64};
        let (old, new) = (jstype(&self.before.field), jstype(&self.after.field));
        if old != new && self.are_both(&[Int64, Uint64, Sint64, Fixed64, Sfixed64]) {
            let position = |field: &Field<'_>| {
                let option = field.inner_position(&[8, JSTYPE.into()]);
                option.or_else(|| field.position())
            };
            self.add(findings, Rule::FieldSameJstype, position, || {
                format!("changed the option `jstype` from {old} to {new}; set it back")
            });
        }
    }

    fn check_utf8_validation(&self, findings: &mut Findings) {
        let validation = |typed: &Typed<'_>| typed.field.features.utf8_validation;
        let (old, new) = (validation(&self.before), validation(&self.after));
        if old != new {
            let position = |field: &Field<'_>| field.feature_position(&[4]).or_else(|| field.position());
            self.add(findings, Rule::FieldSameUtf8Validation, position, || {
                changed_validation(new, "")
            });
        }
    }

    fn check_java_utf8_validation(&self, findings: &mut Findings) {
        let (old, new) = (
            java_validation(&self.before.field),
            java_validation(&self.after.field),
        );
        if old != new {
            let position = |field: &Field<'_>| {
                let of_file = field.file.source.position(&[8, JAVA_STRING_CHECK_UTF8.into()]);
                let of_field = of_file.or_else(|| field.feature_position(&JAVA_UTF8_VALIDATION));
                of_field.or_else(|| field.position())
            };
            self.add(findings, Rule::FieldSameJavaUtf8Validation, position, || {
                changed_validation(new, " in Java")
            });
        }
    }

    fn check_cpp_string_type(&self, findings: &mut Findings) {
        let (old, new) = (
            cpp_string_type(&self.before.field),
            cpp_string_type(&self.after.field),
        );
        // C++ has only ever treated a piece as a string.
        let is_allowed = old == CppStringType::StringPiece && new == CppStringType::String;
        if old != new && !is_allowed {
            let position = |field: &Field<'_>| {
                let option = field.inner_position(&[8, CTYPE.into()]);
                let stated = option.or_else(|| field.feature_position(&CPP_STRING_TYPE));
                stated.or_else(|| field.position())
            };
            self.add(findings, Rule::FieldSameCppStringType, position, || {
                format!("changed its type in C++ from {old} to {new}; set it back")
            });
        }
    }
}

/// `ctype` in `FieldOptions`.
const CTYPE: u8 = 1;
/// `jstype` in `FieldOptions`.
const JSTYPE: u8 = 6;
/// `java_string_check_utf8` in `FileOptions`.
const JAVA_STRING_CHECK_UTF8: u8 = 27;

fn jstype(field: &Field<'_>) -> &'static str {
    match option_bytes::number(&field.proto.options.encoded, JSTYPE.into()) {
        Some(1) => "JS_STRING",
        Some(2) => "JS_NUMBER",
        _ => "JS_NORMAL",
    }
}

/// The option, where an edition still has it, goes before the feature.
fn cpp_string_type(field: &Field<'_>) -> CppStringType {
    let has_option = !matches!(
        field.file.proto.edition,
        Edition::Edition2024 | Edition::Unknown(_)
    );
    match option_bytes::number(&field.proto.options.encoded, CTYPE.into()).filter(|_| has_option) {
        Some(0) => CppStringType::String,
        Some(1) => CppStringType::Cord,
        Some(2) => CppStringType::StringPiece,
        _ => field.features.cpp_string_type,
    }
}

/// Java may check what the schema leaves unchecked: by an option of the file, or in editions by a feature where that is not set.
fn java_validation(field: &Field<'_>) -> Utf8Validation {
    let option = option_bytes::bool(&field.file.proto.options.encoded, JAVA_STRING_CHECK_UTF8.into());
    match option.unwrap_or(field.features.is_java_verifying) {
        true => Utf8Validation::Verify,
        false => field.features.utf8_validation,
    }
}

fn changed_validation(new: Utf8Validation, place: &str) -> String {
    match new {
        Utf8Validation::Verify => {
            format!(
                "is now checked for UTF-8{place}, so that what was accepted is refused; leave it unchecked"
            )
        }
        Utf8Validation::None => {
            format!(
                "is no longer checked for UTF-8{place}, so that readers get what they do not expect; \
                    have it checked"
            )
        }
    }
}
