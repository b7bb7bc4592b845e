//! Findings as people read them. That they are the right ones is shown against buf, in heddle-tests.

use super::{Finding, Level, Rule, check};
use crate::descriptor::FileDescriptorSet;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// Files by path.
#[derive(Clone)]
struct Files(&'static [(&'static str, &'static str)]);

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let found = self.0.iter().find(|(path, _)| *path == name);
        let (path, text) = found.ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(path, text)
    }
}

fn compile(files: &Files, has_places: bool) -> FileDescriptorSet {
    let mut resolver = ChainFileResolver::new();
    resolver.add(files.clone());
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(has_places);
    for (path, _) in files.0 {
        compiler.open_file(path).unwrap();
    }
    FileDescriptorSet::decode(&compiler.encode_file_descriptor_set()).unwrap()
}

fn findings(old: &str, new: &str, level: Level) -> Vec<Finding> {
    let compile = |text: &str| {
        let files = [("a.proto", &*text.to_owned().leak())];
        compile(&Files(files.to_vec().leak()), true)
    };
    check(&compile(old), &compile(new), level)
}

#[track_caller]
fn check_text(level: Level, old: &str, new: &str, expected: &[&str]) {
    let found: Vec<String> = findings(old, new, level).iter().map(Finding::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_deleted_field_is_told_by_each_level_in_its_own_way() {
    let old = "syntax = \"proto3\"; package p;\nmessage M { string a = 1; string b = 2; }";
    let new = "syntax = \"proto3\"; package p;\nmessage M { string a = 1; }";
    let deleted = "field `p.M.b` (number 2) was deleted";
    let wire = format!(
        "a.proto:2:1: FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED: {deleted}; reserve its number: `reserved 2;`"
    );
    let json = format!(
        "a.proto:2:1: FIELD_NO_DELETE_UNLESS_NAME_RESERVED: {deleted}; reserve its name: `reserved \"b\";`"
    );
    let file = format!(
        "a.proto:2:1: FIELD_NO_DELETE: {deleted}; keep it, marked `deprecated` if nobody should use it"
    );
    check_text(Level::Wire, old, new, &[&wire]);
    check_text(Level::WireJson, old, new, &[&json, &wire]);
    check_text(Level::Package, old, new, &[&file]);
    check_text(Level::File, old, new, &[&file]);
    let reserved = "syntax = \"proto3\"; package p;\nmessage M { string a = 1; reserved 2; reserved \"b\"; }";
    check_text(Level::WireJson, old, reserved, &[]);
}

#[test]
fn a_changed_type_is_told_at_the_type_with_both() {
    let old = "syntax = \"proto3\";\nmessage M {\n  int32 a = 1;\n  E e = 2;\n}\nenum E { Z = 0; }\n";
    let new = "syntax = \"proto3\";\nmessage M {\n  uint32 a = 1;\n  M e = 2;\n}\nenum E { Z = 0; }\n";
    let remedy = "readers and writers would take the same bytes for different values, so add a field with another number instead";
    check_text(
        Level::Wire,
        old,
        new,
        &[&format!(
            "a.proto:4:3: FIELD_WIRE_COMPATIBLE_TYPE: field `M.e` (number 2) changed its type from E to M; {remedy}"
        )],
    );
    let rules: Vec<Rule> = findings(old, new, Level::File)
        .iter()
        .map(|finding| finding.rule)
        .collect();
    // A message knows whether it is set, an enum of proto3 does not.
    assert_eq!(
        rules,
        [
            Rule::FieldSameType,
            Rule::FieldSameCardinality,
            Rule::FieldSameType
        ]
    );
}

#[test]
fn ranges_values_and_methods_are_named() {
    check_text(
        Level::Wire,
        "syntax = \"proto3\"; enum E { Z = 0; A = 1; reserved 5 to 9; }\nservice S { rpc R(M) returns (M); }\nmessage M {}",
        "syntax = \"proto3\"; enum E { Z = 0; reserved 5, 8 to 9; }\nservice S { rpc R(M) returns (stream M); }\nmessage M {}",
        &[
            "a.proto:1:20: ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED: value 1 (`A`) of enum `E` was deleted; reserve its number: \
             `reserved 1;`",
            "a.proto:1:20: RESERVED_ENUM_NO_DELETE: of the reserved range 5 to 9 of enum `E` 6 to 7 is no longer reserved; reserve it \
             again",
            "a.proto:2:13: RPC_SAME_SERVER_STREAMING: method `S.R` changed its response from a single message to a stream; add another \
             method for a stream",
        ],
    );
}

#[test]
fn an_extension_is_named_with_what_it_extends() {
    check_text(
        Level::Wire,
        "syntax = \"proto2\"; package p; message M { extensions 9; }\nextend M { optional int32 x = 9 [default = 1]; }",
        "syntax = \"proto2\"; package p; message M { extensions 9; }\nextend M { optional int32 x = 9 [default = 2]; }",
        &[
            "a.proto:2:44: FIELD_SAME_DEFAULT: extension `p.x` (number 9 of `p.M`) changed its default from 1 to 2, so that messages \
             without it mean something else; set it back",
        ],
    );
}

#[test]
fn what_is_gone_with_its_file_has_no_place() {
    let old = Files(&[
        ("a.proto", "syntax = \"proto3\"; package a; message A {}"),
        ("b.proto", "syntax = \"proto3\"; package b; message B {}"),
    ]);
    let new = Files(&[("a.proto", "syntax = \"proto3\"; package a; message A {}")]);
    let found = check(&compile(&old, true), &compile(&new, true), Level::File);
    let told: Vec<String> = found.iter().map(Finding::to_string).collect();
    assert_eq!(
        told,
        ["FILE_NO_DELETE: file `b.proto` was deleted; keep it, with what it declared"]
    );
}

#[test]
fn without_source_information_a_finding_is_at_the_start_of_its_file() {
    let old = Files(&[("a.proto", "syntax = \"proto3\";\n\n\nmessage M { string a = 1; }")]);
    let new = Files(&[("a.proto", "syntax = \"proto3\";\n\n\nmessage M { int32 a = 1; }")]);
    let found = check(&compile(&old, true), &compile(&new, false), Level::Wire);
    let locations: Vec<String> = found
        .iter()
        .flat_map(|finding| &finding.location)
        .map(ToString::to_string)
        .collect();
    assert_eq!(locations, ["a.proto:1:1"]);
}

#[test]
fn two_types_of_one_name_and_types_that_are_not_there_are_compared_all_the_same() {
    let files = Files(&[(
        "a.proto",
        "syntax = \"proto3\"; message M { M m = 1; E e = 2; } enum E { Z = 0; }",
    )]);
    let whole = compile(&files, true);
    let mut broken = whole.clone();
    broken.file.extend(whole.file.clone());
    for file in &mut broken.file {
        file.enum_type.clear();
        for field in &mut file.message_type[0].field {
            field.r#type = None;
            field.oneof_index = Some(7);
        }
    }
    assert!(!check(&whole, &broken, Level::File).is_empty());
    check(&broken, &whole, Level::WireJson);
    assert!(check(&broken, &broken, Level::File).is_empty());
}

#[test]
fn names_that_multiply_cost_no_more_than_the_input() {
    // 20,000 messages in one whose name has a megabyte: 20 GB if each kept its complete name.
    let text = format!("syntax = \"proto3\"; message {} {{}}", "M".repeat(1 << 20));
    let files = [("a.proto", &*text.leak())];
    let mut old = compile(&Files(files.to_vec().leak()), false);
    let inner = old.file[0].message_type[0].clone();
    for number in 0..20_000 {
        let message = crate::descriptor::DescriptorProto {
            name: format!("N{number}"),
            ..Default::default()
        };
        old.file[0].message_type[0].nested_type.push(message);
    }
    let mut new = old.clone();
    new.file[0].message_type[0].nested_type.truncate(10_000);
    assert_eq!(check(&old, &new, Level::Package).len(), 10_000);
    new.file[0].message_type[0] = inner;
    assert_eq!(check(&old, &new, Level::File).len(), 20_000);
}
