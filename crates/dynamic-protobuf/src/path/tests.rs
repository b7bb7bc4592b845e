//! Paths: what is accepted, how it is written back, what is refused and what the error proposes.

use super::{Key, Path, PathErrorKind, PathSet};
use crate::view::Value;
use crate::{DecodeErrorKind, Limits, MessageDescriptor, Schema};
use prost_reflect::prost::Message as _;

fn schema() -> Schema {
    let files = ["edits.proto", "edits_legacy.proto", "edits_strict.proto"];
    let set = protox::compile(files, ["tests/proto"]).unwrap();
    Schema::from_descriptor_set(&set.encode_to_vec()).unwrap()
}

fn node(schema: &Schema) -> MessageDescriptor<'_> {
    schema.message("edits.Node").unwrap()
}

fn strict(schema: &Schema) -> MessageDescriptor<'_> {
    schema.message("edits.Strict").unwrap()
}

#[test]
fn paths_are_written_as_they_are_read() {
    let schema = schema();
    for text in [
        "number",
        "1",
        "child.child.text",
        "8.9[0].3",
        "nodes[-1].words[2]",
        r#"counts["a\"b\\c\nd"]"#,
        "by_id[-7].by_id[0].byId",
        "flags[true]",
        "flags[false]",
    ] {
        let path = Path::compile(node(&schema), text).unwrap();
        assert_eq!(path.to_string(), text);
    }
    let single = Path::compile(node(&schema), "counts['it\\'s']").unwrap();
    assert_eq!(single.to_string(), r#"counts["it's"]"#);
}

#[test]
fn extensions_are_named_in_brackets_or_parentheses() {
    let schema = schema();
    for text in [
        "[edits.more].text",
        "(edits.more).text",
        "[.edits.more].7",
        "100.text",
    ] {
        let path = Path::compile(strict(&schema), text).unwrap();
        let found = path.get(b"\xa2\x06\x03\x3a\x01x").unwrap().unwrap();
        assert_eq!(found.as_str(), Some("x"), "{text}");
    }
}

#[test]
fn the_builder_makes_the_path_that_the_text_means() {
    let schema = schema();
    let built = Path::builder(node(&schema))
        .field("nodes")
        .index(-1)
        .number(15)
        .key(4_u32)
        .field("counts")
        .key("k")
        .build()
        .unwrap();
    assert_eq!(built.to_string(), r#"nodes[-1].15[4].counts["k"]"#);
    assert_eq!(built.field().name(), "counts");
    assert!(Path::builder(node(&schema)).build().is_err());
    let extension = Path::builder(strict(&schema))
        .extension("edits.numbers")
        .index(0)
        .build();
    assert_eq!(extension.unwrap().to_string(), "[edits.numbers][0]");
}

#[test]
fn errors_name_the_segment_and_propose_what_may_have_been_meant() {
    let schema = schema();
    for (text, expected) in [
        (
            "child.nubmer",
            "`nubmer` (segment 2) is no field of edits.Node; did you mean `number`?",
        ),
        ("child.zzz", "`zzz` (segment 2) is no field of edits.Node"),
        (
            "number.x",
            "`number` (segment 1) has no fields: its type is int32",
        ),
        ("nodes.text", "is a list: say which element, as in `nodes[0]`"),
        ("by_id.text", "is a map: say which value, as in `by_id[\"key\"]`"),
        ("child[0]", "is neither a list nor a map"),
        ("by_id[\"a\"]", "is not a key of this map, whose keys are int32"),
        ("by_id[3000000000]", "whose keys are int32"),
        ("counts[1]", "whose keys are string"),
        ("nodes[\"a\"]", "is not an index of a list"),
        ("nodes[*].text", "selects several values: only masks can"),
        ("nodes[1:2].text", "selects several values"),
        ("nodes[0", "the closing bracket is missing"),
        ("counts[\"a]", "the closing quote is missing"),
        ("counts[\"\\x\"]", "this escape is not known"),
        ("", "a field's name or number has to stand here"),
        ("child.", "a field's name or number has to stand here"),
        ("child text", "a dot has to follow"),
        ("99999999999", "it begins like a number and is none"),
        ("[edits.more", "no closing bracket"),
        ("[a b]", "an extension is written with its full name"),
        ("counts[\"a\"].x", "has no fields: its type is int32"),
    ] {
        let error = Path::compile(node(&schema), text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = Path::compile(strict(&schema), "[edits.mroe]").unwrap_err();
    assert!(matches!(&error.kind, PathErrorKind::UnknownField { near, .. } if near[0] == "[edits.more]"));
    let deep = vec!["child"; super::MAX_PATH_SEGMENTS + 1].join(".");
    assert_eq!(
        Path::compile(node(&schema), &deep).unwrap_err().kind,
        PathErrorKind::TooLong
    );
}

#[test]
fn numbers_that_a_closed_enum_does_not_name_are_not_set() {
    let schema = schema();
    let get = |text: &str, bytes: &[u8]| {
        let path = Path::compile(strict(&schema), text).unwrap();
        path.get(bytes).unwrap().map(|value| match value {
            Value::Enum(_, number) => number,
            Value::List(list) => list.count().unwrap() as i32,
            Value::String(_) => -1,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(get("level", b"\x08\x02\x08\x09"), Some(2));
    assert_eq!(get("level", b"\x08\x09"), None);
    let lists = b"\x10\x01\x10\x09\x12\x03\x09\x02\x01\x1a\x02\x07\x07";
    assert_eq!(get("levels", lists), Some(3));
    assert_eq!(get("levels[1]", lists), Some(2));
    assert_eq!(get("levels[-1]", lists), Some(1));
    assert_eq!(get("packed", lists), None);
    let map = b"\x22\x05\x0a\x01a\x10\x02\x22\x05\x0a\x01a\x10\x09";
    assert_eq!(get("by_name[\"a\"]", map), Some(2));
    // The unknown number does not put the other member out.
    assert_eq!(get("named", b"\x32\x01x\x28\x09"), Some(-1));
    assert_eq!(get("named", b"\x32\x01x\x28\x01"), None);
}

#[test]
fn fields_with_another_wire_type_are_unknown() {
    let schema = schema();
    let path = Path::compile(node(&schema), "number").unwrap();
    assert_eq!(path.get(b"\x08\x05\x0a\x01x").unwrap().unwrap().as_i64(), Some(5));
    assert!(path.get(b"\x0a\x01x").unwrap().is_none());
}

#[test]
fn what_is_absent_has_its_default() {
    let schema = schema();
    let text = Path::compile(strict(&schema), "text").unwrap();
    assert_eq!(text.get_or_default(b"").unwrap().as_str(), Some("none"));
    let level = Path::compile(strict(&schema), "level").unwrap();
    assert_eq!(level.get_or_default(b"").unwrap().as_i64(), Some(1));
    let list = Path::compile(node(&schema), "words").unwrap();
    assert_eq!(
        list.get_or_default(b"")
            .unwrap()
            .as_list()
            .unwrap()
            .count()
            .unwrap(),
        0
    );
    let value = Path::compile(node(&schema), "by_id[3].child").unwrap();
    assert!(value.get_or_default(b"").unwrap().as_message().is_some());
}

#[test]
fn errors_tell_path_and_offset() {
    let schema = schema();
    let path = Path::compile(node(&schema), "nodes[1].child.number").unwrap();
    // nodes[1].child has a tag of number zero.
    let error = path.get(b"\x4a\x00\x4a\x04\x42\x02\x00\x00").unwrap_err();
    assert_eq!(
        (error.path().as_str(), error.offset()),
        ("nodes[1].child.number", 6)
    );
    assert_eq!(error.kind(), DecodeErrorKind::InvalidTag);
    let set = PathSet::new(&[&path]).unwrap();
    let error = set.get_many(b"\x4a\x00\x4a\x04\x42\x02\x00\x00").unwrap_err();
    assert_eq!((error.path().as_str(), error.offset()), ("nodes[1].child", 6));
}

#[test]
fn limits_are_honoured() {
    let schema = schema();
    let deep = Path::compile(node(&schema), "child.child.child.number").unwrap();
    let bytes = b"\x42\x06\x42\x04\x42\x02\x08\x01";
    assert!(deep.get(bytes).unwrap().is_some());
    let kind = |limits| deep.clone().with_limits(limits).get(bytes).unwrap_err().kind();
    assert_eq!(
        kind(Limits {
            depth: 2,
            ..Limits::default()
        }),
        DecodeErrorKind::TooDeep
    );
    assert_eq!(
        kind(Limits {
            bytes: 7,
            ..Limits::default()
        }),
        DecodeErrorKind::TooLarge
    );
    let element = Path::compile(node(&schema), "words[5]").unwrap();
    let few = Limits {
        elements: 5,
        ..Limits::default()
    };
    let error = element.with_limits(few).get(&b"\x62\x01x".repeat(9)).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooManyElements);
}

#[test]
fn reading_a_path_allocates_nothing() {
    let schema = schema();
    let path = Path::compile(node(&schema), "nodes[1].counts[\"a\"]").unwrap();
    let text = Path::compile(node(&schema), "nodes[1].text").unwrap();
    let set = PathSet::new(&[&path, &text]).unwrap();
    let bytes = b"\x4a\x00\x4a\x0a\x1a\x01t\x72\x05\x0a\x01a\x10\x07";
    let allocations = allocation_counter::measure(|| {
        assert_eq!(path.get(bytes).unwrap().unwrap().as_i64(), Some(7));
        let mut found = 0;
        set.get_each(bytes, |_, _| found += 1).unwrap();
        assert_eq!(found, 2);
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn keys_are_made_from_what_maps_have_for_keys() {
    assert_eq!(Key::from("a"), Key::String("a".into()));
    assert_eq!(Key::from(-1), Key::Int(-1));
    assert_eq!(Key::from(1_u64), Key::Uint(1));
    assert_eq!(Key::from(true), Key::Bool(true));
}

/// Every field of a path's way once, and most of them twice: apart, with others of their oneof between them, cut.
const NODES: &[u8] =
    b"\x42\x0a\x4a\x08\x1a\x01t\x62\x01w\x88\x01\x07\x4a\x02\x08\x03\x4a\x06\x9a\x01\x03\xa2\x01\x00\
\x9a\x01\x02\x08\x05\x88\x01\x01\x9a\x01\x02\x08\x06\xe2\x12\x01\x02\x03\x04\x82\x97\x22\x02\x08\x04";
const STRICTS: &[u8] = b"\x08\x02\x08\x09\x10\x01\x28\x01\x32\x01x\xa2\x06\x05\x08\x02\x3a\x01y\x28\x07";
const LEGACIES: &[u8] =
    b"\x08\x01\x13\x0a\x01a\x1a\x02\x08\x05\x14\x30\x01\x1b\x08\x01\x1c\x55\x00\x00\x80\x3f";

/// The bytes, all their beginnings, and all that come from replacing one of them.
fn variants(bytes: &[u8]) -> Vec<Vec<u8>> {
    let beginnings = (0..=bytes.len()).map(|end| bytes[..end].to_vec());
    let replaced = (0..bytes.len()).flat_map(|at| {
        (0..=u8::MAX).map(move |byte| {
            let mut variant = bytes.to_vec();
            variant[at] = byte;
            variant
        })
    });
    beginnings.chain(replaced).collect()
}

#[test]
fn the_straight_walk_says_what_the_full_one_does() {
    let schema = schema();
    let strict_texts = [
        "level",
        "picked",
        "named",
        "text",
        "[edits.more].level",
        "(edits.more).text",
    ];
    let node_texts = [
        "child.nodes[0].text",
        "child.nodes[0].words[0]",
        "child.nodes[0].one",
        "nodes[1].four.number",
        "nodes[0]",
        "nodes[0].number",
        "child",
        "one",
        "three.number",
        "four",
        "far",
        "distant.number",
        "real",
    ];
    let legacy_texts = ["number", "body.inner.number", "plain", "item[0].value", "real"];
    let legacy = schema.message("edits.Legacy").unwrap();
    for (kind, texts, bytes) in [
        (node(&schema), &node_texts[..], NODES),
        (strict(&schema), &strict_texts, STRICTS),
        (legacy, &legacy_texts, LEGACIES),
    ] {
        for text in texts {
            let path = Path::compile(kind, text).unwrap();
            for bytes in variants(bytes) {
                let (value, full) = (path.get(&bytes), path.walk(&bytes));
                assert_eq!(format!("{value:?}"), format!("{full:?}"), "{text} in {bytes:?}");
            }
        }
    }
}

#[test]
fn ordinary_messages_are_walked_straight() {
    let schema = schema();
    for (text, bytes) in [
        ("child.nodes[1].text", &b"\x42\x07\x4a\x00\x4a\x03\x1a\x01t"[..]),
        ("three.number", b"\x9a\x01\x02\x08\x05"),
        ("words[0]", b"\x62\x01w"),
        ("one", b""),
    ] {
        let path = Path::compile(node(&schema), text).unwrap();
        let straight = path.straight.as_ref().unwrap();
        assert!(straight.get(&path.schema, bytes).is_some(), "{text}");
    }
    let two = Limits {
        depth: 2,
        ..Limits::default()
    };
    let deep = Path::compile(node(&schema), "child.child.number").unwrap();
    assert!(deep.with_limits(two).straight.is_none());
}
