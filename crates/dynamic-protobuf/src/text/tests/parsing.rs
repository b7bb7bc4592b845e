//! What text is read as, and what is refused.

use super::super::{ParseErrorKind, UnknownNames};
use super::*;
use crate::Limits;

#[test]
fn lists_can_be_written_in_brackets_and_in_pieces() {
    let repeated = "packed_int32: 1 packed_int32: 2 packed_int32: 3";
    check(
        PROTO3,
        "packed_int32: [1, 2] packed_int32: 3 packed_int32: []",
        repeated,
    );
    check(
        PROTO3,
        "leaves: [{}, <number: 1>] leaves {} leaves [{number: 2}]",
        "leaves { } leaves { number: 1 } leaves { } leaves { number: 2 }",
    );
    check(
        PROTO3,
        "strings: ['a' 'b', 'c']",
        "strings: \"ab\" strings: \"c\"",
    );
    check(
        PROTO3,
        "int32_to_leaf: [{key: 2 value {}}, {}]",
        "int32_to_leaf { key: 0 value { } } int32_to_leaf { key: 2 value { } }",
    );
    let packed = parsed(PROTO3, "packed_int32: [1, 2, 3]").unwrap();
    assert_eq!(packed.encode_to_vec(), b"\xf2\x01\x03\x01\x02\x03");
    for (text, expected) in [
        ("packed_int32: [1,]", "1:18: expected an integer in packed_int32"),
        (
            "packed_int32: [1 2]",
            "1:18: expected a comma or the end of the list in packed_int32",
        ),
        ("packed_int32 [1]", "1:14: expected a colon in packed_int32"),
        ("packed_int32: [[1]]", "1:16: expected an integer in packed_int32"),
        (
            "int32_field: [1]",
            "1:14: a field that is not repeated has a list in int32_field",
        ),
        (
            "leaf: [{}]",
            "1:7: a field that is not repeated has a list in leaf",
        ),
        ("leaves: [1]", "1:10: expected a message in leaves"),
    ] {
        check_refused(PROTO3, text, expected);
    }
}

#[test]
fn the_last_entry_of_a_key_counts() {
    check(
        PROTO3,
        "string_to_string {key: 'a' value: '1'} string_to_string {value: '2' key: 'a'}",
        "string_to_string { key: \"a\" value: \"2\" }",
    );
}

#[test]
fn fields_are_set_apart_by_blanks_or_one_comma_or_semicolon() {
    check(
        PROTO3,
        "\u{b}int32_field:1,int64_field:2;\r\nleaf{number:3,},child{}# end",
        "int32_field: 1 int64_field: 2 leaf { number: 3 } child { }",
    );
    check_refused(PROTO3, "int32_field: 1,,", "1:16: expected the name of a field");
    check_refused(PROTO3, "; int32_field: 1", "1:1: expected the name of a field");
    check_refused(
        PROTO3,
        "leaf { number: 1 >",
        "1:18: expected the name of a field in leaf",
    );
    check_refused(
        PROTO3,
        "leaf { number: 1",
        "1:17: the text ends inside a message in leaf",
    );
    check_refused(PROTO3, "leaf: number: 1", "1:7: expected a message in leaf");
    check_refused(PROTO3, "}", "1:1: expected the name of a field");
}

#[test]
fn a_field_that_is_not_repeated_occurs_once_and_a_oneof_has_one_member() {
    check_refused(PROTO3, "leaf {}\nleaf {}", "2:1: a field occurs twice in leaf");
    check_refused(
        PROTO3,
        "string_to_string { key: '' key: '' }",
        "1:28: a field occurs twice in string_to_string.key",
    );
    check_refused(
        PROTO3,
        "choice_string: ''\n choice_int64: 0",
        "2:2: two members of a oneof are set in choice_int64",
    );
    check_refused(
        PROTO3,
        "choice_leaf {} choice_leaf {}",
        "1:16: a field occurs twice in choice_leaf",
    );
    check(
        PROTO3,
        "optional_int32: 0 choice_int64: 0",
        "optional_int32: 0 choice_int64: 0",
    );
    check(
        PROTO3,
        "leaf { number: 1 } child { leaf { number: 1 } }",
        "leaf { number: 1 } child { leaf { number: 1 } }",
    );
}

#[test]
fn names_in_brackets_may_have_blanks_between_their_parts() {
    check(
        PROTO2,
        "[ heddle . # here\n everything2.extended_number ] : 5",
        "[heddle.everything2.extended_number]: 5",
    );
    check(
        PROTO3,
        "any { [ a.b / google.protobuf.Duration ] {} }",
        "any { [a.b/google.protobuf.Duration] { } }",
    );
    for (name, text, expected) in [
        (
            PROTO2,
            "[heddle.every thing2.extended_number]: 5",
            "1:1: a name in brackets is not valid",
        ),
        (PROTO2, "[]: 5", "1:1: a name in brackets is not valid"),
        (PROTO2, "[heddle..a]: 5", "1:1: a name in brackets is not valid"),
        (PROTO2, "[heddle.a", "1:1: a name in brackets is not valid"),
        (
            PROTO2,
            "[heddle.everything2.nothing]: 5",
            "1:1: the message has no such extension",
        ),
        (
            PROTO2,
            "[heddle.everything2.SetItem.item] {}",
            "1:1: the message has no such extension",
        ),
        (
            PROTO2,
            "[a/google.protobuf.Duration] {}",
            "1:1: a type URL stands outside of an Any",
        ),
        (
            PROTO3,
            "any { [a/b.C] {} }",
            "1:7: the schema lacks the type of an Any in any",
        ),
        (
            PROTO3,
            "any { [/google.protobuf.Duration] {} }",
            "1:7: a name in brackets is not valid in any",
        ),
        (
            PROTO3,
            "any { [a%2/google.protobuf.Duration] {} }",
            "1:7: a name in brackets is not valid in any",
        ),
        (
            PROTO3,
            "any { [a/google.protobuf.Duration] {} value: '' }",
            "1:39: a field occurs twice in any.value",
        ),
        (
            PROTO3,
            "any { [a/google.protobuf.Duration] { seconds: x } }",
            "1:47: expected an integer in any.[google.protobuf.Duration].seconds",
        ),
    ] {
        check_refused(name, text, expected);
    }
}

#[test]
fn the_content_of_an_any_is_written_as_an_encoder_would() {
    let one = parsed(
        "google.protobuf.Any",
        "[a/google.protobuf.Duration] { nanos: 1 seconds: 0x2 }",
    )
    .unwrap();
    let other = parsed(
        "google.protobuf.Any",
        r"type_url: 'a/google.protobuf.Duration' value: '\010\002\020\001'",
    )
    .unwrap();
    assert_eq!(one.encode_to_vec(), other.encode_to_vec());
}

#[test]
fn unknown_names_are_refused_or_skipped_with_their_values() {
    let text = "nothing: 1 nothing: -inf, nothing: ['a' \"\\n\", x] nothing < a { [b.c]: 0x1; 5: 'd' } > nothing: {} \
                nothing [{}] nothing: [] [not.known] { x: 1.5 } 77: 0x0000002a 78 { 1: 2 } [a/b.C]: <> int32_field: 5";
    let options = ParseOptions {
        unknown_names: UnknownNames::Ignore,
        ..ParseOptions::default()
    };
    let mut message = message(PROTO3);
    let refused = parse(
        text.replace("[a/b.C]: <>", ""),
        &mut message,
        &ParseOptions::default(),
    )
    .unwrap_err();
    assert_eq!(refused.to_string(), "1:1: the message has no such field");
    parse(text.replace("[a/b.C]: <>", ""), &mut message, &options).unwrap();
    assert_eq!(in_one_line(&message), "int32_field: 5");
    for broken in [
        "nothing",
        "nothing:",
        "nothing 1",
        "nothing: [1",
        "nothing { a }",
        "nothing: 'a",
        "nothing: 08",
        "nothing: [1,]",
        "nothing [1]",
        "nothing: --1",
    ] {
        parse(broken, &mut message, &options).unwrap_err();
        assert_eq!(in_one_line(&message), "", "a message that failed is empty");
    }
}

#[test]
fn reserved_names_are_skipped() {
    let schema = schema_of(
        "syntax = 'proto3'; package t; message Outer { message Inner { reserved 'gone', 'lost'; int32 here = 1; } }",
    );
    let mut message = Message::new(schema.message("t.Outer.Inner").unwrap());
    parse(
        "gone: 1 here: 2 lost { x: ['a'] }",
        &mut message,
        &ParseOptions::default(),
    )
    .unwrap();
    assert_eq!(in_one_line(&message), "here: 2");
    let error = parse("gone", &mut message, &ParseOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "1:5: expected a colon or a message");
}

fn schema_of(proto: &str) -> Schema {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.proto"), proto).unwrap();
    let set = protox::compile(["t.proto"], [folder.path()]).unwrap();
    Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&set)).unwrap()
}

#[test]
fn a_lookalike_of_any_is_a_message_like_others() {
    let schema = schema_of(
        "syntax = 'proto3'; package google.protobuf; message Any { int32 type_url = 1; repeated bytes value = 2; }",
    );
    let mut message = Message::new(schema.message("google.protobuf.Any").unwrap());
    parse(
        "type_url: 1 value: ['a', 'b']",
        &mut message,
        &ParseOptions::default(),
    )
    .unwrap();
    assert_eq!(in_one_line(&message), "type_url: 1 value: \"a\" value: \"b\"");
    let error = parse(
        "[a/google.protobuf.Any] {}",
        &mut message,
        &ParseOptions::default(),
    )
    .unwrap_err();
    assert_eq!(error.kind(), ParseErrorKind::MisplacedTypeUrl);
}

#[test]
fn required_fields_may_be_missing_but_can_be_asked_for() {
    let message = parsed("heddle.everything2.Needy", "more { id: 1 }").unwrap();
    assert_eq!(message.check_required().unwrap_err().path(), "id");
}

#[test]
fn columns_count_characters_and_lines_count_breaks() {
    check_refused(
        PROTO3,
        "# é\nstring_field: 'éé' x: 1",
        "2:20: the message has no such field",
    );
}

#[test]
fn text_past_the_limits_is_refused() {
    let kind = |text: &str, limits| {
        let options = ParseOptions {
            limits,
            ..ParseOptions::default()
        };
        parse(text, &mut message(PROTO3), &options).map_err(|error| error.kind())
    };
    let depth = |depth| Limits {
        depth,
        ..Limits::default()
    };
    let bytes = |bytes| Limits {
        bytes,
        ..Limits::default()
    };
    let elements = |elements| Limits {
        elements,
        ..Limits::default()
    };
    let deep = |levels: usize| ["child {"].repeat(levels).concat() + &"}".repeat(levels);
    assert_eq!(kind(&deep(3), depth(3)), Ok(()));
    assert_eq!(kind(&deep(3), depth(2)), Err(ParseErrorKind::TooDeep));
    assert_eq!(
        kind(&deep(100_000), Limits::TRUSTED),
        Err(ParseErrorKind::TooDeep)
    );
    let unknown = "x {".repeat(100_000);
    let options = ParseOptions {
        unknown_names: UnknownNames::Ignore,
        limits: Limits {
            depth: u32::MAX,
            ..Limits::default()
        },
    };
    let error = parse(&unknown, &mut message(PROTO3), &options).unwrap_err();
    assert_eq!(error.kind(), ParseErrorKind::TooDeep);
    assert_eq!(kind("int32_field: 1", bytes(13)), Err(ParseErrorKind::TooLarge));
    assert_eq!(
        kind("packed_double: [1,1,1]", bytes(22)),
        Err(ParseErrorKind::TooLarge),
        "the message is larger than its text"
    );
    assert_eq!(kind("packed_int32: [1, 2] packed_int32: 3", elements(3)), Ok(()));
    assert_eq!(
        kind("packed_int32: [1, 2] packed_int32: 3", elements(2)),
        Err(ParseErrorKind::TooManyElements)
    );
    let mut small = Message::with_limits(
        SCHEMA.message(PROTO3).unwrap(),
        Limits {
            allocation: 1_000,
            ..Limits::default()
        },
    );
    let error = parse("child { child {} }", &mut small, &ParseOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ParseErrorKind::AllocationLimit);
}
