//! Views: fields as they stand on the wire, lists, maps, oneofs, and what is malformed.

use super::{SharedView, Value, View};
use crate::path::Key;
use crate::{DecodeErrorKind, Limits, Schema};
use bytes::Bytes;
use prost_reflect::prost::Message as _;

fn schema() -> Schema {
    let files = ["edits.proto", "edits_legacy.proto", "edits_strict.proto"];
    let set = protox::compile(files, ["tests/proto"]).unwrap();
    Schema::from_descriptor_set(&set.encode_to_vec()).unwrap()
}

/// number: 5, child { text: "x" }, an unknown field, packed: [1, 2] and 3, counts, a group that nobody knows.
const NODE: &[u8] =
    b"\x08\x05\x42\x03\x1a\x01x\xc0\x3e\x07\x52\x02\x01\x02\x50\x03\x72\x05\x0a\x01a\x10\x01\x72\x05\x10\x02\x0a\x01a\xc3\x3e\x08\x01\xc4\x3e";

#[test]
fn raw_fields_come_in_the_order_of_the_wire() {
    let schema = schema();
    let view = View::new(schema.message("edits.Node").unwrap(), NODE).unwrap();
    let fields: Vec<_> = view.raw_fields().map(Result::unwrap).collect();
    let numbers: Vec<_> = fields.iter().map(|field| field.number).collect();
    assert_eq!(numbers, [1, 8, 1000, 10, 10, 14, 14, 1000]);
    assert_eq!(fields[1].payload, b"\x1a\x01x");
    assert_eq!((fields[1].offset, fields[1].field.unwrap().name()), (2, "child"));
    assert_eq!(
        fields.iter().map(|field| field.bytes.len()).sum::<usize>(),
        NODE.len()
    );
    assert_eq!(fields[7].payload, b"\x08\x01");
    let unknown: Vec<_> = view.unknown_fields().map(|field| field.unwrap().offset).collect();
    assert_eq!(unknown, [7, fields[7].offset]);
}

#[test]
fn lists_join_packed_and_loose_pieces() {
    let schema = schema();
    let view = View::new(schema.message("edits.Node").unwrap(), NODE).unwrap();
    let list = view.field("packed").unwrap().unwrap();
    let list = list.as_list().unwrap();
    let values: Vec<_> = list
        .iter()
        .map(|value| value.unwrap().as_i64().unwrap())
        .collect();
    assert_eq!(values, [1, 2, 3]);
    assert_eq!(list.get(2).unwrap().unwrap().as_i64(), Some(3));
    assert!(list.get(3).unwrap().is_none());
    assert_eq!(list.field().name(), "packed");
}

#[test]
fn of_map_entries_with_one_key_the_last_counts() {
    let schema = schema();
    let view = View::new(schema.message("edits.Node").unwrap(), NODE).unwrap();
    let map = view.field("counts").unwrap().unwrap();
    let map = map.as_map().unwrap();
    assert_eq!(map.count().unwrap(), 1);
    assert_eq!(map.get(&Key::from("a")).unwrap().unwrap().as_i64(), Some(2));
    assert!(map.get(&Key::from("b")).unwrap().is_none());
    let mut entries = Vec::new();
    map.for_each(|(key, value)| entries.push((key.as_str(), value.as_i64())))
        .unwrap();
    assert_eq!(entries, [(Some("a"), Some(2))]);
}

#[test]
fn the_last_member_of_a_oneof_is_the_one_that_is_set() {
    let schema = schema();
    let node = schema.message("edits.Node").unwrap();
    let pick = node.oneof_named("pick").unwrap();
    let which = |bytes| {
        let view = View::new(node, bytes).unwrap();
        view.which_oneof(pick).unwrap().map(|field| field.name())
    };
    assert_eq!(which(b"\x88\x01\x05\x92\x01\x00"), Some("two"));
    assert_eq!(which(b"\x92\x01\x00\x88\x01\x05"), Some("one"));
    assert_eq!(which(b""), None);
}

#[test]
fn every_value_reaches_its_descriptor() {
    let schema = schema();
    let view = View::new(schema.message("edits.Node").unwrap(), b"\xa8\x01\x01\x42\x00").unwrap();
    let color = view.field("color").unwrap().unwrap();
    assert!(matches!(color, Value::Enum(descriptor, 1) if descriptor.value(1).unwrap().name() == "GREEN"));
    let child = view.field("child").unwrap().unwrap();
    assert_eq!(child.as_message().unwrap().descriptor().full_name(), "edits.Node");
}

#[test]
fn a_message_in_pieces_is_one_and_can_be_joined() {
    let schema = schema();
    let view = View::new(
        schema.message("edits.Node").unwrap(),
        b"\x42\x02\x08\x01\x42\x03\x1a\x01x",
    )
    .unwrap();
    let child = view.field("child").unwrap().unwrap();
    let child = child.as_message().unwrap();
    assert_eq!(child.as_bytes(), None);
    assert_eq!(child.field("number").unwrap().unwrap().as_i64(), Some(1));
    assert_eq!(child.field("text").unwrap().unwrap().as_str(), Some("x"));
    let mut joined = Vec::new();
    child.encode_into(&mut joined);
    assert_eq!(joined, b"\x08\x01\x1a\x01x");
}

#[test]
fn strings_are_checked_where_the_schema_asks_for_it() {
    let schema = schema();
    let strict = View::new(schema.message("edits.Node").unwrap(), b"\x1a\x01\xff").unwrap();
    let error = strict.field("text").unwrap_err();
    assert_eq!(
        (error.kind(), error.offset(), error.path().as_str()),
        (DecodeErrorKind::InvalidUtf8, 2, "text")
    );
    let legacy = View::new(schema.message("edits.Strict").unwrap(), b"\x3a\x01\xff").unwrap();
    assert_eq!(
        legacy.field("text").unwrap().unwrap().as_bytes(),
        Some(&b"\xff"[..])
    );
}

#[test]
fn truncated_messages_are_errors_and_never_panics() {
    let schema = schema();
    let node = schema.message("edits.Node").unwrap();
    for end in 0..NODE.len() {
        let view = View::new(node, &NODE[..end]).unwrap();
        let whole = view.raw_fields().all(|field| field.is_ok());
        for field in node.fields() {
            let value = view.get(field);
            assert_eq!(
                value.is_ok(),
                whole || field.is_list() && value.is_ok(),
                "{end} {}",
                field.name()
            );
            match value {
                Ok(Some(Value::List(list))) => list.iter().for_each(drop),
                Ok(Some(Value::Map(map))) => drop(map.for_each(drop)),
                _ => {}
            }
        }
    }
}

#[test]
fn iterators_end_after_an_error() {
    let schema = schema();
    let node = schema.message("edits.Node").unwrap();
    let view = View::new(node, b"\x50\x01\x52\x02\x01\xff").unwrap();
    let list = view.field("packed").unwrap().unwrap();
    let results: Vec<_> = list
        .as_list()
        .unwrap()
        .iter()
        .take(9)
        .map(|value| value.is_ok())
        .collect();
    assert_eq!(results, [true, true, false]);
    let view = View::new(node, b"\x08\x01\x07").unwrap();
    let results: Vec<_> = view.raw_fields().take(9).map(|field| field.is_ok()).collect();
    assert_eq!(results, [true, false]);
}

#[test]
fn limits_hold_for_views() {
    let schema = schema();
    let node = schema.message("edits.Node").unwrap();
    let limits = Limits {
        depth: 1,
        elements: 2,
        bytes: 100,
        ..Limits::default()
    };
    assert_eq!(
        View::with_limits(node, &[0; 101], &limits).unwrap_err().kind(),
        DecodeErrorKind::TooLarge
    );
    let view = View::with_limits(node, b"\x42\x02\x42\x00\x52\x03\x01\x02\x03", &limits).unwrap();
    let child = view.field("child").unwrap().unwrap();
    let error = child.as_message().unwrap().field("child").unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
    let list = view.field("packed").unwrap().unwrap();
    let list = list.as_list().unwrap();
    assert_eq!(list.count().unwrap_err().kind(), DecodeErrorKind::TooManyElements);
    assert_eq!(list.iter().filter(Result::is_ok).count(), 2);
}

#[test]
fn shared_views_share_memory() {
    let schema = schema();
    let bytes = Bytes::copy_from_slice(b"\x42\x05\x1a\x03abc");
    let shared = SharedView::new(schema.message("edits.Node").unwrap(), bytes.clone()).unwrap();
    let child = shared.message("child").unwrap().unwrap();
    drop(shared);
    let text = child.bytes("text").unwrap().unwrap();
    assert_eq!(text.as_ptr(), bytes[4..].as_ptr());
    assert_eq!(child.descriptor().name(), "Node");
    assert!(child.message("child").unwrap().is_none());
}
