//! Messages against what prost-reflect makes of the same bytes, and the rules that it does not know.

use crate::{DecodeErrorKind, Limits, MapKey, Message, Schema, Value};

const PROTO: &str = r#"
syntax = "proto3";
package t;
enum Color { RED = 0; GREEN = 1; }
message Leaf { int32 number = 1; string text = 2; Leaf next = 3; }
message All {
  int32 i32 = 1; sint64 s64 = 2; fixed32 f32 = 3; double d = 4; bool b = 5; string s = 6; bytes y = 7;
  Color color = 8; Leaf leaf = 9; optional int32 maybe = 10;
  repeated int32 numbers = 16; repeated string words = 17; repeated Leaf leaves = 18; repeated double doubles = 19;
  map<string, int32> counts = 20; map<int32, Leaf> by_id = 21;
  oneof choice { string name = 30; Leaf other = 31; int32 id = 32; }
  uint32 far = 70000;
}
"#;

fn schema(text: &str) -> Schema {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("t.proto"), text).unwrap();
    let set = protox::compile(["t.proto"], [directory.path()]).unwrap();
    Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&set)).unwrap()
}

fn message(schema: &Schema) -> Message {
    Message::new(schema.message("t.All").unwrap())
}

fn field<'s>(schema: &'s Schema, name: &str) -> crate::FieldDescriptor<'s> {
    schema.message("t.All").unwrap().field_named(name).unwrap()
}

#[test]
fn every_kind_of_field_is_read() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    all.decode(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x03\x1d\x01\0\0\0\x32\x02hi\x4a\x04\x08\x07\x12\0\x82\x01\x03\x01\x96\x01\x8a\x01\x01a\x8a\x01\x01b")
        .unwrap();
    assert_eq!(all.get(field(&schema, "i32")).as_i64(), Some(-1));
    assert_eq!(all.get(field(&schema, "s64")).as_i64(), Some(-2));
    assert_eq!(all.get(field(&schema, "f32")).as_u64(), Some(1));
    assert_eq!(all.get(field(&schema, "s")).as_str(), Some("hi"));
    let leaf = all.get(field(&schema, "leaf")).as_message().unwrap();
    assert_eq!(leaf.get_named("number").unwrap().as_i64(), Some(7));
    let numbers: Vec<_> = all
        .get(field(&schema, "numbers"))
        .as_list()
        .unwrap()
        .iter()
        .map(|n| n.as_i64())
        .collect();
    assert_eq!(numbers, [Some(1), Some(150)]);
    let words: Vec<_> = all
        .get(field(&schema, "words"))
        .as_list()
        .unwrap()
        .iter()
        .map(|w| w.as_str())
        .collect();
    assert_eq!(words, [Some("a"), Some("b")]);
    assert!(!all.as_ref().has(field(&schema, "maybe")));
}

#[test]
fn a_map_keeps_the_last_value_of_each_key_and_finds_it() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    let entry = |key: u8, value: u8| vec![0xa2, 1, 5, 0x0a, 1, key, 0x10, value];
    let bytes: Vec<u8> = [(b'c', 1), (b'a', 2), (b'c', 3), (b'b', 4)]
        .iter()
        .flat_map(|(k, v)| entry(*k, *v))
        .collect();
    all.decode(&bytes).unwrap();
    let map = all.get(field(&schema, "counts")).as_map().unwrap();
    assert_eq!(map.len(), 3);
    assert_eq!(map.get(MapKey::String("c")).and_then(|v| v.as_i64()), Some(3));
    assert_eq!(map.get(MapKey::String("a")).and_then(|v| v.as_i64()), Some(2));
    assert!(map.get(MapKey::String("d")).is_none());
}

#[test]
fn what_is_not_changed_is_written_as_it_was_read() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    // Fields out of order and an unknown one stay where they are.
    let bytes = b"\x32\x02hi\x08\x01\xf8\xff\x03\x05\x4a\x02\x08\x07";
    all.decode(bytes).unwrap();
    assert_eq!(all.encode_to_vec(), bytes);
    let mut deterministic = Vec::new();
    all.encode_deterministic_into(&mut deterministic);
    assert_eq!(
        deterministic,
        b"\x08\x01\x32\x02hi\x4a\x02\x08\x07\xf8\xff\x03\x05"
    );
}

#[test]
fn what_would_be_written_otherwise_is_not_copied() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    for (read, written) in [
        (&b"\x08\x01\x08\x02"[..], &b"\x08\x02"[..]),
        (b"\x08\x00", b""),
        (b"\x08\x81\x00", b"\x08\x01"),
        (b"\x80\x01\x01\x80\x01\x02", b"\x82\x01\x02\x01\x02"),
        (
            b"\x4a\x02\x08\x01\x4a\x02\x12\x00\x4a\x03\x12\x01x",
            b"\x4a\x05\x08\x01\x12\x01x",
        ),
        (b"\xf2\x01\x01n\x80\x02\x05", b"\x80\x02\x05"),
        (b"\xa2\x01\x02\x10\x05", b"\xa2\x01\x04\x0a\x00\x10\x05"),
    ] {
        all.decode(read).unwrap();
        assert_eq!(all.encode_to_vec(), written, "{read:x?}");
    }
}

#[test]
fn changes_at_any_depth_are_written_and_the_rest_is_kept() {
    let schema = schema(PROTO);
    let leaf = schema.message("t.Leaf").unwrap();
    let mut all = message(&schema);
    all.decode(b"\x08\x05\x92\x01\x06\x08\x01\x1a\x02\x08\x02\x92\x01\x02\x08\x03")
        .unwrap();
    let mut root = all.as_mut();
    let mut leaves = root.list(field(&schema, "leaves")).unwrap();
    let mut first = leaves.message(0).unwrap();
    first
        .message(leaf.field(3).unwrap())
        .unwrap()
        .set(leaf.field(2).unwrap(), "deep")
        .unwrap();
    leaves
        .push_message()
        .unwrap()
        .set(leaf.field(1).unwrap(), 9)
        .unwrap();
    root.map(field(&schema, "counts"))
        .unwrap()
        .insert(MapKey::String("k"), 1)
        .unwrap();
    root.map(field(&schema, "by_id"))
        .unwrap()
        .insert_message(MapKey::Int(-1))
        .unwrap();
    root.list(field(&schema, "doubles")).unwrap().push(0.5).unwrap();
    root.set(field(&schema, "id"), 4).unwrap();
    root.set(field(&schema, "name"), "n").unwrap();
    let mut again = message(&schema);
    again.decode(&all.encode_to_vec()).unwrap();
    assert_eq!(again.as_ref(), all.as_ref());
    let leaves = again.get(field(&schema, "leaves")).as_list().unwrap();
    let deep = leaves
        .get(0)
        .unwrap()
        .as_message()
        .unwrap()
        .get_named("next")
        .unwrap()
        .as_message()
        .unwrap();
    assert_eq!(deep.get_named("text").unwrap().as_str(), Some("deep"));
    assert_eq!(deep.get_named("number").unwrap().as_i64(), Some(2));
    assert_eq!(leaves.len(), 3);
    assert!(
        !again.as_ref().has(field(&schema, "id")),
        "a oneof has one member"
    );
    assert_eq!(again.get(field(&schema, "by_id")).as_map().unwrap().len(), 1);
}

#[test]
fn lists_in_the_source_can_be_changed_element_by_element() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    all.decode(b"\x82\x01\x03\x01\x02\x03").unwrap();
    let mut root = all.as_mut();
    let mut numbers = root.list(field(&schema, "numbers")).unwrap();
    numbers.set(1, 300).unwrap();
    numbers.remove(0).unwrap();
    numbers.push(7).unwrap();
    assert_eq!(all.encode_to_vec(), b"\x82\x01\x04\xac\x02\x03\x07");
}

#[test]
fn a_value_of_another_type_or_field_is_refused_and_changes_nothing() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    let leaf = schema.message("t.Leaf").unwrap();
    let error = all.as_mut().set(field(&schema, "i32"), "text").unwrap_err();
    assert_eq!(error.to_string(), "t.All.i32 takes a value of type int32");
    let error = all.as_mut().set(leaf.field(1).unwrap(), 1).unwrap_err();
    assert_eq!(error.to_string(), "t.Leaf.number is not a field of t.All");
    assert_eq!(all.encode_to_vec(), b"");
}

#[test]
fn a_cut_at_each_byte_is_an_error_or_a_shorter_message_and_names_the_place() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    let bytes = b"\x4a\x0c\x1a\x0a\x12\x03abc\x1a\x03\x12\x01x\x82\x01\x02\x01\x02";
    all.decode(bytes).unwrap();
    for cut in 0..bytes.len() {
        let _ = all.decode(&bytes[..cut]);
    }
    let error = all.decode(b"\x4a\x06\x1a\x04\x12\x02\xff\xff").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a string is not valid UTF-8 at byte 4 in leaf.next.text"
    );
    assert_eq!(all.encode_to_vec(), b"", "a message that failed is empty");
}

#[test]
fn bombs_of_depth_elements_and_memory_meet_their_limits() {
    let schema = schema(PROTO);
    let mut deep = vec![];
    for _ in 0..200 {
        let mut outer = vec![0x1a];
        crate::wire::put_varint(&mut outer, deep.len() as u64);
        outer.extend_from_slice(&deep);
        deep = outer;
    }
    let kind = |limits: Limits, bytes: &[u8]| {
        let mut leaf = Message::with_limits(schema.message("t.Leaf").unwrap(), limits);
        leaf.decode(bytes).unwrap_err().kind()
    };
    assert_eq!(kind(Limits::default(), &deep), DecodeErrorKind::TooDeep);
    assert_eq!(
        kind(
            Limits {
                bytes: 10,
                ..Limits::default()
            },
            &deep
        ),
        DecodeErrorKind::TooLarge
    );
    let kind = |limits: Limits, bytes: &[u8]| {
        let mut all = Message::with_limits(schema.message("t.All").unwrap(), limits);
        all.decode(bytes).unwrap_err().kind()
    };
    let empty_leaves = b"\x92\x01\x00".repeat(1000);
    assert_eq!(
        kind(
            Limits {
                elements: 999,
                ..Limits::default()
            },
            &empty_leaves
        ),
        DecodeErrorKind::TooManyElements
    );
    assert_eq!(
        kind(
            Limits {
                allocation: 10_000,
                ..Limits::default()
            },
            &empty_leaves
        ),
        DecodeErrorKind::AllocationLimit
    );
    let mut packed = vec![0x82, 1, 0xe8, 7];
    packed.resize(4 + 1000, 1);
    assert_eq!(
        kind(
            Limits {
                elements: 999,
                ..Limits::default()
            },
            &packed
        ),
        DecodeErrorKind::TooManyElements
    );
    assert_eq!(
        kind(Limits::default(), b"\x82\x01\xff\xff\xff\xff\x07\x01"),
        DecodeErrorKind::Truncated
    );
}

#[test]
fn what_reaches_beyond_its_message_is_refused() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    for bytes in [
        // Inside `leaf`: a number, a longer one, a tag, a length, a string and a message that end outside.
        &b"\x4a\x01\x08\x05\x08\x01"[..],
        b"\x4a\x02\x08\x80\x01\x08\x01",
        b"\x4a\x01\x90\x01\x08\x01\x08\x01",
        b"\x4a\x01\x12\x01a\x08\x01",
        b"\x4a\x02\x12\x01a\x08\x01",
        b"\x4a\x03\x1a\x02\x08\x01\x08\x01",
        // The same in lists, maps and entries.
        b"\x92\x01\x00\x92\x01\x01\x08\x01",
        b"\xa2\x01\x02\x0a\x01a\x08\x01",
        b"\xaa\x01\x03\x12\x02\x08\x01",
    ] {
        let error = all.decode(bytes).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{bytes:x?}");
        assert!(error.offset() <= bytes.len(), "{error}");
    }
}

#[test]
fn an_error_says_where_at_every_depth() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    let mut path = |bytes: &[u8]| all.decode(bytes).unwrap_err().path();
    assert_eq!(path(b"\x4a\x03\x12\x01\xff"), "leaf.text");
    let second = b"\x92\x01\x00\x92\x01\x05\x1a\x03\x12\x01\xff";
    assert_eq!(path(second), "leaves[1].next.text");
    assert_eq!(path(b"\x8a\x01\x01a\x8a\x01\x01\xff"), "words[1]");
    assert_eq!(
        path(b"\xaa\x01\x07\x08\x01\x12\x03\x12\x01\xff"),
        "by_id[0].value.text"
    );
    assert_eq!(path(b"\xa2\x01\x03\x0a\x01\xff"), "counts[0].key");
    // One message read well after another does not know of it.
    assert_eq!(path(b"\x4a\x02\x08\x01\x32\x01\xff"), "s");
}

#[test]
fn an_unset_message_reads_as_empty_at_every_depth() {
    let schema = schema(PROTO);
    let all = message(&schema);
    let next = all
        .get(field(&schema, "leaf"))
        .as_message()
        .unwrap()
        .get_named("next")
        .unwrap();
    assert_eq!(
        next.as_message().unwrap().get_named("text").unwrap().as_str(),
        Some("")
    );
    assert!(matches!(all.get(field(&schema, "counts")), Value::Map(map) if map.is_empty()));
}

#[test]
fn lists_in_many_pieces_are_joined_in_linear_time_and_order() {
    let schema = schema(PROTO);
    let mut all = message(&schema);
    let bytes: Vec<u8> = (0..20_000u32)
        .flat_map(|_| *b"\x82\x01\x01\x05\x8a\x01\x01w\x08\x01")
        .collect();
    all.decode(&bytes).unwrap();
    assert_eq!(
        all.get(field(&schema, "numbers")).as_list().unwrap().len(),
        20_000
    );
    assert_eq!(all.get(field(&schema, "words")).as_list().unwrap().len(), 20_000);
    assert!(all.held_bytes() < 4 << 20);
}

#[test]
fn single_elements_after_a_packed_run_join_it_whichever_way_the_list_is_declared() {
    for packed in ["true", "false"] {
        let schema = schema(&format!(
            r#"syntax = "proto2"; package t;
            message All {{ repeated int32 n = 1 [packed = {packed}]; repeated fixed32 f = 2 [packed = {packed}]; optional string s = 3; }}"#
        ));
        let mut all = message(&schema);
        all.decode(b"\x0a\x02\x01\x02\x08\x03\x1a\x01x\x0a\x01\x04\x08\x05\x12\x04\x01\0\0\0\x15\x02\0\0\0")
            .unwrap();
        let numbers = |name| {
            let list = all.get(field(&schema, name)).as_list().unwrap();
            list.iter()
                .map(|number| number.as_i64().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers("n"), [1, 2, 3, 4, 5], "packed = {packed}");
        assert_eq!(numbers("f"), [1, 2], "packed = {packed}");
        assert_eq!(all.get(field(&schema, "s")).as_str(), Some("x"));
    }
}

#[test]
fn what_is_being_read_counts_as_memory_before_it_is_a_list() {
    let schema = schema(PROTO);
    let words = b"\x8a\x01\x00".repeat(100_000);
    let limits = Limits {
        allocation: 10_000,
        ..Limits::default()
    };
    let mut all = Message::with_limits(schema.message("t.All").unwrap(), limits);
    assert_eq!(
        all.decode(&words).unwrap_err().kind(),
        DecodeErrorKind::AllocationLimit
    );
    assert!(all.held_bytes() < 512 << 10, "{}", all.held_bytes());
}

#[test]
fn the_deepest_message_that_is_allowed_fits_the_stack_of_a_thread_and_a_deeper_one_is_refused() {
    let schema = schema(PROTO);
    let nested = |depth: usize| {
        // Each level is inside out: lengths grow with what they hold.
        (0..depth).fold(Vec::new(), |inner: Vec<u8>, _| {
            let mut outer = vec![0x1a];
            crate::wire::put_varint(&mut outer, inner.len() as u64);
            outer.extend_from_slice(&inner);
            outer
        })
    };
    let limits = Limits {
        depth: u32::MAX,
        ..Limits::TRUSTED
    };
    let mut leaf = Message::with_limits(schema.message("t.Leaf").unwrap(), limits);
    leaf.decode(&nested(250)).unwrap();
    let copy = leaf.clone();
    let mut written = Vec::new();
    leaf.encode_deterministic_into(&mut written);
    assert_eq!(written, nested(250));
    assert_eq!(copy.as_ref(), leaf.as_ref());
    assert_eq!(
        leaf.decode(&nested(251)).unwrap_err().kind(),
        DecodeErrorKind::TooDeep
    );
}
