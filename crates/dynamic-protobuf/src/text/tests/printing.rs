//! How messages are printed.

use super::super::{AnyForm, PrintError, UnknownFields, print};
use super::*;
use crate::{Limits, Scalar};

#[test]
fn fields_stand_on_lines_of_their_own_and_messages_are_indented() {
    let message = parsed(
        PROTO3,
        "leaf { number: 1 numbers: [2, -3] } string_to_string { key: 'b' } string_to_string { key: 'a' value: 'x' } struct {}",
    );
    let expected = "\
leaf {
  number: 1
  numbers: 2
  numbers: -3
}
string_to_string {
  key: \"a\"
  value: \"x\"
}
string_to_string {
  key: \"b\"
  value: \"\"
}
struct {
}
";
    let printed = to_text(message.unwrap().as_ref(), &PrintOptions::default());
    assert_eq!(printed.as_deref(), Ok(expected));
}

#[test]
fn numbers_are_printed_in_their_shortest_form() {
    check(
        PROTO3,
        "float_field: 0.1 double_field: 1e300 packed_double: [1, -0.0, 5e-324, inf, -INFINITY, nan, 123456789012345680]",
        "float_field: 0.1 double_field: 1e+300 packed_double: 1.0 packed_double: -0.0 packed_double: 5e-324 \
         packed_double: inf packed_double: -inf packed_double: nan packed_double: 1.2345678901234568e+17",
    );
}

#[test]
fn strings_keep_what_people_can_read_and_escape_the_rest() {
    let mut message = message(PROTO2);
    let descriptor = SCHEMA.message(PROTO2).unwrap();
    let text = descriptor.field_named("text").unwrap();
    for (bytes, expected) in [
        (
            &b"plain 'quote' \"double\" \\"[..],
            r#"text: "plain 'quote' \"double\" \\""#,
        ),
        (b"\n\r\t\0\x0b1\x7f", r#"text: "\n\r\t\000\0131\177""#),
        ("é 日本 👍".as_bytes(), "text: \"é 日本 👍\""),
        ("\u{202e}x\u{85}".as_bytes(), r#"text: "\342\200\256x\302\205""#),
        (b"ok \xff\xc3", r#"text: "ok \377\303""#),
    ] {
        message.as_mut().set(text, Scalar::Bytes(bytes)).unwrap();
        let printed = in_one_line(&message);
        assert_eq!(printed, expected);
        let again = parsed(PROTO2, &printed).unwrap();
        assert_eq!(again.get(text).as_bytes(), Some(bytes), "{printed}");
    }
    check(PROTO3, "bytes_field: 'é\\001'", r#"bytes_field: "\303\251\001""#);
}

#[test]
fn groups_go_by_their_type_and_extensions_by_their_full_name_in_brackets() {
    check(
        PROTO2,
        "Group { Inner { texts: 'a' } } [heddle.everything2.extended_number]: 5 \
         [heddle.everything2.extendedgroup] { a: 1 } ChoiceGroup {} Items <name: 'n'>",
        "Group { Inner { texts: \"a\" } } Items { name: \"n\" } ChoiceGroup { } \
         [heddle.everything2.extended_number]: 5 [heddle.everything2.extendedgroup] { a: 1 }",
    );
}

#[test]
fn items_of_a_message_set_go_by_their_type() {
    let text =
        "set { [heddle.everything2.SetItem] { text: \"a\" set { [heddle.everything2.SetItem] { } } } }";
    check(PROTO2, text, text);
    check(
        PROTO2,
        "set { [heddle.everything2.SetItem.item] { text: \"a\" } }",
        "set { [heddle.everything2.SetItem] { text: \"a\" } }",
    );
    let wire = parsed(PROTO2, "set { [heddle.everything2.SetItem] { text: \"a\" } }").unwrap();
    assert_eq!(
        wire.encode_to_vec(),
        b"\xda\x02\x0a\x0b\x10\xe8\x07\x1a\x03\x0a\x01a\x0c"
    );
}

#[test]
fn enums_are_printed_by_their_first_name_or_by_number() {
    check(
        PROTO3,
        "packed_color: [COLOR_CRIMSON, -3, 77]",
        "packed_color: COLOR_RED packed_color: COLOR_BLUE packed_color: 77",
    );
}

#[test]
fn unknown_fields_are_printed_by_number_when_asked_for() {
    let mut message = message("heddle.everything3.Everything.Leaf");
    message
        .decode(b"\x08\x01\xa0\x06\x96\x01\xa5\x06\x2a\0\0\0\xa1\x06\x2a\0\0\0\0\0\0\0\xa2\x06\x05hello\xa2\x06\x02\x08\x01\xa3\x06\x08\x05\xa4\x06\xa2\x06\0")
        .unwrap();
    let options = PrintOptions {
        layout: Layout::SingleLine,
        unknown_fields: UnknownFields::Show,
        ..PrintOptions::default()
    };
    let printed = to_text(message.as_ref(), &options).unwrap();
    assert_eq!(
        printed,
        "number: 1 100: 150 100: 0x0000002a 100: 0x000000000000002a 100: \"hello\" 100 { 1: 1 } 100 { 1: 5 } 100: \"\""
    );
    assert_eq!(in_one_line(&message), "number: 1");
}

#[test]
fn what_looks_like_a_message_is_taken_for_one_only_so_deep() {
    let mut content = vec![];
    for _ in 0..50 {
        let mut outer = vec![0x7a, content.len() as u8];
        outer.append(&mut content);
        content = outer;
    }
    let mut message = message("google.protobuf.Duration");
    message.decode(&content).unwrap();
    let options = PrintOptions {
        unknown_fields: UnknownFields::Show,
        layout: Layout::SingleLine,
        ..PrintOptions::default()
    };
    let printed = to_text(message.as_ref(), &options).unwrap();
    assert_eq!(printed.matches('{').count(), 10);
}

#[test]
fn an_any_is_expanded_when_its_content_is_known() {
    let text = "any { [type.googleapis.com/heddle.everything3.Everything] { any { [a.b/c-d/google.protobuf.Duration] { seconds: 5 } } } }";
    check(PROTO3, text, text);
    let message = parsed(
        PROTO3,
        "any { [x.y/google.protobuf.Duration]: <seconds: 0 nanos: 1> }",
    )
    .unwrap();
    let raw = PrintOptions {
        layout: Layout::SingleLine,
        any: AnyForm::Raw,
        ..PrintOptions::default()
    };
    assert_eq!(
        to_text(message.as_ref(), &raw).as_deref(),
        Ok(r#"any { type_url: "x.y/google.protobuf.Duration" value: "\020\001" }"#)
    );
}

#[test]
fn an_any_is_printed_raw_when_its_content_is_not_known() {
    for text in [
        r#"any { type_url: "x.y/not.Known" value: "\020\001" }"#,
        r#"any { type_url: "google.protobuf.Duration" value: "\020\001" }"#,
        r#"any { type_url: "x y/google.protobuf.Duration" value: "\020\001" }"#,
        r#"any { type_url: "/google.protobuf.Duration" value: "\020\001" }"#,
        r#"any { type_url: "x.y/.google.protobuf.Duration" value: "\020\001" }"#,
        r#"any { type_url: "x.y/google.protobuf.Duration" value: "\377" }"#,
        r#"any { value: "\020\001" }"#,
        "any { }",
    ] {
        check(PROTO3, text, text);
    }
}

#[test]
fn contents_of_any_share_one_budget_of_memory() {
    let mut text = "string_field: 'secret'".to_owned();
    for _ in 0..5 {
        text = format!("any {{ [a/heddle.everything3.Everything] {{ {text} }} }}");
    }
    let message = parsed(PROTO3, &text).unwrap();
    let printed = |allocation| {
        let limits = Limits {
            allocation,
            ..Limits::default()
        };
        let options = PrintOptions {
            limits,
            ..PrintOptions::default()
        };
        to_text(message.as_ref(), &options)
            .unwrap()
            .matches("[a/heddle")
            .count()
    };
    assert_eq!(printed(Limits::DEFAULT_ALLOCATION), 5);
    assert!((1..5).contains(&printed(2_000)));
    assert_eq!(printed(0), 0);
}

#[test]
fn a_message_past_the_limits_is_not_printed_and_leaves_nothing_behind() {
    let message = parsed(PROTO3, "child { child { string_field: 'abc' } }").unwrap();
    let len = to_text(message.as_ref(), &PrintOptions::default()).unwrap().len();
    let printed = |limits| {
        let mut out = "before".to_owned();
        let options = PrintOptions {
            limits,
            ..PrintOptions::default()
        };
        let result = print(message.as_ref(), &options, &mut out);
        (result, out.len())
    };
    let depth = |depth| Limits {
        depth,
        ..Limits::default()
    };
    let bytes = |bytes| Limits {
        bytes,
        ..Limits::default()
    };
    assert_eq!(printed(depth(1)), (Err(PrintError::TooDeep), 6));
    assert_eq!(printed(depth(2)), (Ok(()), 6 + len));
    assert_eq!(printed(bytes(len - 1)), (Err(PrintError::TooLarge), 6));
    assert_eq!(printed(bytes(len)), (Ok(()), 6 + len));
}

#[test]
fn entries_ascend_by_key_past_the_signed_numbers_too() {
    check(
        PROTO3,
        "fixed64_to_bytes [{ key: 0xffffffffffffffff }, { key: 2 }, { key: 1 }] sint32_to_double [{ key: 1 }, { key: -1 }]",
        "fixed64_to_bytes { key: 1 value: \"\" } fixed64_to_bytes { key: 2 value: \"\" } \
         fixed64_to_bytes { key: 18446744073709551615 value: \"\" } \
         sint32_to_double { key: -1 value: 0.0 } sint32_to_double { key: 1 value: 0.0 }",
    );
}
