//! What the tests beside this one have found, as the smallest message that shows it.

use heddle_dynamic_protobuf::{Message, Schema, Value};
use prost::Message as _;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let set = protox::compile(["everything2.proto"], ["tests/fixtures"]).expect("the fixtures are valid");
    Schema::from_descriptor_set(&set.encode_to_vec()).expect("the fixtures are a valid schema")
});

fn decode(root: &str, bytes: &[u8]) -> Message {
    let mut message = Message::new(SCHEMA.message(root).expect("a message of the fixtures"));
    message.decode(bytes).expect("the message is valid");
    message
}

#[test]
fn elements_one_by_one_go_on_behind_a_packed_run_of_a_list_that_is_not_packed() {
    let message = decode("heddle.everything2.Everything", b"\x52\x02\x01\x02\x50\x03");
    let list = message
        .as_ref()
        .get_named("unpacked")
        .and_then(|value| value.as_list());
    let elements: Vec<_> = list
        .expect("a list")
        .iter()
        .map(|element| element.as_i64())
        .collect();
    assert_eq!(elements, [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_group_whose_end_takes_more_bytes_than_it_needs_is_copied_without_its_end() {
    let message = decode("heddle.everything2.Everything", b"\xa3\x01\x08\x07\xa4\x81\x00");
    let group = message
        .as_ref()
        .get_named("group")
        .and_then(|value| value.as_message());
    let number = group.and_then(|group| group.get_named("number"));
    assert_eq!(number, Some(Value::I32(7)));
    assert_eq!(
        decode("heddle.everything2.Everything", &message.encode_to_vec()).as_ref(),
        message.as_ref()
    );
}

#[test]
fn a_map_entry_that_a_closed_enum_makes_unknown_has_to_be_well_formed_for_json_too() {
    // Key, a value that the enum does not have, and a value that ends too early.
    let entry = b"\x72\x05\x08\x01\x10\x10\x10";
    let root = SCHEMA
        .message("heddle.everything2.Everything")
        .expect("a message of the fixtures");
    let mut text = Vec::new();
    assert!(heddle_dynamic_protobuf::json::to_json(root, entry, &mut text).is_err());
    assert!(Message::new(root).decode(entry).is_err());
}

#[test]
fn of_two_values_in_a_map_entry_the_last_decides_for_json_too_whether_a_closed_enum_knows_it() {
    let root = SCHEMA
        .message("heddle.everything2.Everything")
        .expect("a message of the fixtures");
    for (entry, expected) in [
        (
            b"\x72\x06\x08\x01\x10\x10\x10\x01",
            r#"{"int32ToClosed":{"1":"CLOSED_ONE"}}"#,
        ),
        (b"\x72\x06\x08\x01\x10\x01\x10\x10", "{}"),
    ] {
        let mut text = Vec::new();
        heddle_dynamic_protobuf::json::to_json(root, entry, &mut text).expect("the message is valid");
        assert_eq!(String::from_utf8_lossy(&text), expected);
        let decoded = decode(root.full_name(), entry);
        assert_eq!(decoded.as_ref().fields().next().is_some(), expected != "{}");
    }
}

#[test]
fn a_packed_run_of_nothing_does_not_make_an_extension_appear_in_json_with_zeros() {
    use heddle_dynamic_protobuf::json::{JsonPrinter, PrintOptions, ZeroFields};
    let root = SCHEMA
        .message("heddle.everything2.Everything")
        .expect("a message of the fixtures");
    let options = PrintOptions {
        zeros: ZeroFields::Show,
        ..PrintOptions::default()
    };
    let print = |wire: &[u8]| {
        let mut text = Vec::new();
        JsonPrinter::new(options)
            .print(root, wire, &mut text)
            .expect("the message is valid");
        text
    };
    assert_eq!(print(b"\xba\x06\x00"), print(b""));
}
