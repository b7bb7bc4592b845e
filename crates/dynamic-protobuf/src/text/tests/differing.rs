//! What differs between messages.

use super::super::{PrintError, diff};
use super::*;
use crate::Limits;

#[track_caller]
fn check_diff(name: &str, before: &str, after: &str, expected: &[&str]) {
    let (before, after) = (parsed(name, before).unwrap(), parsed(name, after).unwrap());
    let changes = diff(before.as_ref(), after.as_ref(), &PrintOptions::default()).unwrap();
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected);
}

#[test]
fn equal_messages_do_not_differ() {
    let text = "packed_double: [nan, -0] leaf {} string_to_string { key: 'a' } any { [a/google.protobuf.Duration] {} }";
    check_diff(PROTO3, text, text, &[]);
}

#[test]
fn fields_are_told_by_their_paths() {
    check_diff(
        PROTO3,
        "int32_field: 1 string_field: 'a' leaf { number: 1 text: 'x' }",
        "int32_field: 2 bytes_field: '\\1' leaf { number: 1 text: 'y' numbers: [1, 2] } double_field: -0",
        &[
            "~ int32_field: 1 -> 2",
            "+ double_field: -0.0",
            "- string_field: \"a\"",
            "+ bytes_field: \"\\001\"",
            "~ leaf.text: \"x\" -> \"y\"",
            "+ leaf.numbers: [1, 2]",
        ],
    );
    check_diff(
        PROTO2,
        "[heddle.everything2.extended_child] { number: 1 } Group { Inner {} }",
        "[heddle.everything2.extended_child] { number: 2 } Group {}",
        &[
            "- group.inner: { }",
            "~ [heddle.everything2.extended_child].number: 1 -> 2",
        ],
    );
}

#[test]
fn lists_differ_between_their_common_start_and_end() {
    check_diff(
        PROTO3,
        "packed_int32: [1, 2, 3, 4]",
        "packed_int32: [1, 9, 2, 3, 4]",
        &["+ packed_int32[1]: 9"],
    );
    check_diff(
        PROTO3,
        "strings: ['a', 'b', 'b', 'c']",
        "strings: ['a', 'b', 'c']",
        &["- strings[2]: \"b\""],
    );
    check_diff(
        PROTO3,
        "leaves { number: 1 } leaves {}",
        "leaves { number: 2 } leaves { text: 'x' } leaves { }",
        &["~ leaves[0].number: 1 -> 2", "+ leaves[1]: { text: \"x\" }"],
    );
}

#[test]
fn maps_differ_by_key() {
    check_diff(
        PROTO3,
        "string_to_string { key: 'a\"' value: '1' } string_to_string { key: 'b' } int32_to_leaf { key: -1 value { number: 1 } }",
        "string_to_string { key: 'a\"' value: '2' } string_to_string { key: 'c' } int32_to_leaf { key: -1 value { number: 2 } } \
         bool_to_color { key: true value: COLOR_RED }",
        &[
            "~ string_to_string[\"a\\\"\"]: \"1\" -> \"2\"",
            "- string_to_string[\"b\"]: \"\"",
            "+ string_to_string[\"c\"]: \"\"",
            "~ int32_to_leaf[-1].number: 1 -> 2",
            "+ bool_to_color: [{ key: true value: COLOR_RED }]",
        ],
    );
    check_diff(
        PROTO3,
        "fixed64_to_bytes { key: 1 } fixed64_to_bytes { key: 18446744073709551615 }",
        "fixed64_to_bytes { key: 2 } fixed64_to_bytes { key: 18446744073709551615 value: 'x' }",
        &[
            "~ fixed64_to_bytes[18446744073709551615]: \"\" -> \"x\"",
            "- fixed64_to_bytes[1]: \"\"",
            "+ fixed64_to_bytes[2]: \"\"",
        ],
    );
}

#[test]
fn every_path_leads_to_what_it_tells() {
    let before = parsed(
        PROTO3,
        "leaves {} string_to_child { key: 'k' value { color: COLOR_RED } }",
    )
    .unwrap();
    let after = parsed(
        PROTO3,
        "leaves { text: 'x' } string_to_child { key: 'k' value { color: 5 } }",
    )
    .unwrap();
    let wire = after.encode_to_vec();
    for change in diff(before.as_ref(), after.as_ref(), &PrintOptions::default()).unwrap() {
        let path = crate::path::Path::compile(after.descriptor(), &change.path).unwrap();
        assert!(path.get(&wire).unwrap().is_some(), "{change}");
    }
}

#[test]
fn an_any_differs_as_a_whole_and_unknown_fields_together() {
    check_diff(
        PROTO3,
        "any { [a/google.protobuf.Duration] { seconds: 1 } }",
        "any { [a/google.protobuf.Duration] { seconds: 2 } }",
        &[
            "~ any: { [a/google.protobuf.Duration] { seconds: 1 } } -> { [a/google.protobuf.Duration] { seconds: 2 } }",
        ],
    );
    let (mut before, mut after) = (message(PROTO3), message(PROTO3));
    before.decode(b"\x8a\x01\x03\xa0\x06\x01").unwrap();
    after.decode(b"\x8a\x01\x03\xa0\x06\x02\xa8\x07\x01").unwrap();
    let changes = diff(before.as_ref(), after.as_ref(), &PrintOptions::default()).unwrap();
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            r#"~ leaf.?: "\240\006\001" -> "\240\006\002""#,
            r#"+ ?: "\250\007\001""#,
        ]
    );
}

#[test]
fn messages_of_different_types_differ_as_a_whole() {
    let before = parsed("google.protobuf.Duration", "seconds: 1").unwrap();
    let after = parsed("google.protobuf.Timestamp", "seconds: 1").unwrap();
    let changes = diff(before.as_ref(), after.as_ref(), &PrintOptions::default()).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].before.as_deref(), Some("{ seconds: 1 }"));
    assert_eq!(changes[0].path, "");
}

#[test]
fn differences_past_the_limits_are_refused() {
    let (before, after) = (
        parsed(PROTO3, "child { child { int32_field: 1 } }").unwrap(),
        parsed(PROTO3, "child { child { } }").unwrap(),
    );
    let of = |limits| {
        let options = PrintOptions {
            limits,
            ..PrintOptions::default()
        };
        diff(before.as_ref(), after.as_ref(), &options).map(|changes| changes.len())
    };
    assert_eq!(
        of(Limits {
            depth: 3,
            ..Limits::default()
        }),
        Ok(1)
    );
    assert_eq!(
        of(Limits {
            depth: 2,
            ..Limits::default()
        }),
        Err(PrintError::TooDeep)
    );
    assert_eq!(
        of(Limits {
            bytes: 10,
            ..Limits::default()
        }),
        Err(PrintError::TooLarge)
    );
}
