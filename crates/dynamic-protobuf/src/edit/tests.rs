//! Edits where the result is known byte by byte, and what is refused. `tests/wire_edits` generates the rest.

use super::{Edit, EditError, Editor, Mask, Merger, NewValue, Trimmer};
use crate::message::Scalar;
use crate::path::{Path, PathErrorKind};
use crate::{DecodeErrorKind, Limits, MessageDescriptor, Schema};
use prost_reflect::prost::Message as _;

fn schema() -> Schema {
    let files = [
        "edits.proto",
        "edits_legacy.proto",
        "edits_strict.proto",
        "message_set.proto",
    ];
    let set = protox::compile(files, ["tests/proto"]).unwrap();
    Schema::from_descriptor_set(&set.encode_to_vec()).unwrap()
}

fn node(schema: &Schema) -> MessageDescriptor<'_> {
    schema.message("edits.Node").unwrap()
}

fn strict(schema: &Schema) -> MessageDescriptor<'_> {
    schema.message("edits.Strict").unwrap()
}

fn set<'e>(
    root: MessageDescriptor<'_>,
    text: &str,
    bytes: &[u8],
    value: impl Into<NewValue<'e>>,
) -> Result<Vec<u8>, EditError> {
    let path = Path::compile(root, text).unwrap();
    let value = value.into();
    let mut out = b"what was there before".to_vec();
    let edited = Editor::new().apply(bytes, &[Edit::set(&path, value)], &mut out);
    assert!(edited.is_ok() || out.is_empty());
    edited.map(|()| out)
}

fn remove(root: MessageDescriptor<'_>, text: &str, bytes: &[u8]) -> Vec<u8> {
    let path = Path::compile(root, text).unwrap();
    let mut out = Vec::new();
    Editor::new().remove(bytes, &path, &mut out).unwrap();
    out
}

#[test]
fn lengths_that_take_more_bytes_are_repaired_at_every_level() {
    let schema = schema();
    let inner = [b"\x1a\x7a".to_vec(), vec![b'x'; 122]].concat();
    let middle = [b"\x42\x7c".to_vec(), inner].concat();
    let bytes = [b"\x42\x7e".to_vec(), middle, b"\x08\x01".to_vec()].concat();
    let out = set(
        node(&schema),
        "child.child.text",
        &bytes,
        "y".repeat(126).as_str(),
    )
    .unwrap();
    let expected = [
        b"\x42\x83\x01\x42\x80\x01\x1a\x7e".to_vec(),
        vec![b'y'; 126],
        b"\x08\x01".to_vec(),
    ]
    .concat();
    assert_eq!(out, expected);
}

#[test]
fn missing_messages_and_entries_are_made() {
    let schema = schema();
    let out = set(node(&schema), "child.by_id[-1].text", b"\xc0\x3e\x07", "x").unwrap();
    assert_eq!(
        out,
        b"\xc0\x3e\x07\x42\x12\x7a\x10\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x03\x1a\x01x"
    );
    // Zero is not written, but the message is made that would have it.
    assert_eq!(set(node(&schema), "child.number", b"", 0).unwrap(), b"\x42\x00");
    assert_eq!(
        set(node(&schema), "child.maybe", b"", 0).unwrap(),
        b"\x42\x02\x30\x00"
    );
}

#[test]
fn what_an_edit_does_not_touch_stays_byte_by_byte() {
    let schema = schema();
    // Lengths and tags that are longer than needed, unknown fields, a group.
    let before = b"\x88\x00\x05\xc0\x3e\x07\x1a\x81\x00x";
    let after = b"\xc3\x3e\x08\x01\xc4\x3e\x0a\x01z\x52\x80\x00";
    let bytes = [&before[..], b"\x42\x02\x08\x01", after].concat();
    let out = set(node(&schema), "child.number", &bytes, 2).unwrap();
    assert_eq!(out, [&before[..], b"\x42\x02\x08\x02", after].concat());
}

#[test]
fn superseded_occurrences_do_not_come_back() {
    let schema = schema();
    assert_eq!(
        set(node(&schema), "number", b"\x08\x01\x08\x02", 3).unwrap(),
        b"\x08\x03"
    );
    assert_eq!(remove(node(&schema), "number", b"\x08\x01\x08\x02"), b"");
    assert_eq!(
        remove(node(&schema), "child.number", b"\x42\x02\x08\x01\x42\x02\x08\x02"),
        b"\x42\x00\x42\x00"
    );
    assert_eq!(remove(node(&schema), "one", b"\x92\x01\x00\x88\x01\x05"), b"");
    assert_eq!(
        remove(node(&schema), "one", b"\x88\x01\x05\x92\x01\x00"),
        b"\x92\x01\x00"
    );
    let entries = b"\x72\x05\x0a\x01a\x10\x01\x72\x05\x0a\x01b\x10\x02\x72\x05\x0a\x01a\x10\x03";
    assert_eq!(
        remove(node(&schema), "counts[\"a\"]", entries),
        b"\x72\x05\x0a\x01b\x10\x02"
    );
}

#[test]
fn a_member_of_a_oneof_puts_the_others_out() {
    let schema = schema();
    let bytes = b"\x9a\x01\x02\x08\x01\x92\x01\x00";
    assert_eq!(set(node(&schema), "one", bytes, 7).unwrap(), b"\x88\x01\x07");
    // What the message had before another member put it out is gone.
    assert_eq!(
        set(node(&schema), "three.text", bytes, "x").unwrap(),
        b"\x9a\x01\x03\x1a\x01x"
    );
}

#[test]
fn packed_lists_stay_packed_and_loose_ones_loose() {
    let schema = schema();
    let bytes = b"\x52\x03\x01\x02\x03\x50\x04";
    assert_eq!(
        set(node(&schema), "packed[1]", bytes, 300).unwrap(),
        b"\x52\x04\x01\xac\x02\x03\x50\x04"
    );
    assert_eq!(
        set(node(&schema), "packed[3]", bytes, 9).unwrap(),
        b"\x52\x03\x01\x02\x03\x50\x09"
    );
    assert_eq!(
        remove(node(&schema), "packed[0]", bytes),
        b"\x52\x02\x02\x03\x50\x04"
    );
    let path = Path::compile(node(&schema), "packed").unwrap();
    let edit = |edit: Edit<'_>| {
        let mut out = Vec::new();
        Editor::new().apply(bytes, &[edit], &mut out).unwrap();
        out
    };
    let values = [NewValue::from(7), NewValue::from(8)];
    assert_eq!(edit(Edit::slice(&path, 1..2)), b"\x52\x01\x02");
    assert_eq!(edit(Edit::slice(&path, 3..9)), b"\x50\x04");
    assert_eq!(
        edit(Edit::insert(&path, 1, &values)),
        b"\x52\x05\x01\x07\x08\x02\x03\x50\x04"
    );
    assert_eq!(
        edit(Edit::insert(&path, 3, &values)),
        b"\x52\x03\x01\x02\x03\x50\x07\x50\x08\x50\x04"
    );
    assert_eq!(
        edit(Edit::append(&path, &values)),
        b"\x52\x03\x01\x02\x03\x50\x04\x52\x02\x07\x08"
    );
    assert_eq!(
        edit(Edit::set(&path, NewValue::List(&values))),
        b"\x52\x02\x07\x08"
    );
}

#[test]
fn numbers_that_a_closed_enum_does_not_name_stay_unknown_fields() {
    let schema = schema();
    let bytes = b"\x12\x03\x01\x09\x02\x10\x09\x08\x09";
    assert_eq!(
        remove(strict(&schema), "levels", bytes),
        b"\x12\x01\x09\x10\x09\x08\x09"
    );
    assert_eq!(
        remove(strict(&schema), "levels[1]", bytes),
        b"\x12\x02\x01\x09\x10\x09\x08\x09"
    );
    let set_level = |value| set(strict(&schema), "level", bytes, Scalar::Enum(value));
    assert_eq!(
        set_level(2).unwrap(),
        b"\x12\x03\x01\x09\x02\x10\x09\x08\x09\x08\x02"
    );
    let expected = EditError::UnknownEnumValue {
        path: "level".to_owned(),
        number: 3,
    };
    assert_eq!(set_level(3).unwrap_err(), expected);
}

#[test]
fn extensions_are_edited_like_other_fields() {
    let schema = schema();
    let out = set(strict(&schema), "[edits.more].(edits.more).text", b"", "x").unwrap();
    assert_eq!(out, b"\xa2\x06\x06\xa2\x06\x03\x3a\x01x");
    let numbers = [NewValue::from(1), NewValue::from(2)];
    let out = set(strict(&schema), "[edits.numbers]", b"", NewValue::List(&numbers)).unwrap();
    assert_eq!(out, b"\xaa\x06\x02\x01\x02");
}

#[test]
fn message_sets_are_edited_item_by_item() {
    let schema = schema();
    let root = schema.message("sets.Set").unwrap();
    let bytes = b"\x0b\x10\xe9\x07\x1a\x00\x0c\x0b\x1a\x03\x0a\x01a\x10\xe8\x07\x0c";
    let text = "[sets.Title.title].text";
    let path = Path::compile(root, text).unwrap();
    assert_eq!(path.get(bytes).unwrap().unwrap().as_str(), Some("a"));
    let edited = set(root, text, bytes, "longer").unwrap();
    assert_eq!(
        edited,
        b"\x0b\x10\xe9\x07\x1a\x00\x0c\x0b\x1a\x08\x0a\x06longer\x10\xe8\x07\x0c"
    );
    assert_eq!(
        set(root, text, b"", "a").unwrap(),
        b"\x0b\x10\xe8\x07\x1a\x03\x0a\x01a\x0c"
    );
    assert_eq!(
        remove(root, "[sets.Title.title]", bytes),
        b"\x0b\x10\xe9\x07\x1a\x00\x0c"
    );
    let mut out = Vec::new();
    Trimmer::new()
        .trim(bytes, &Mask::parse(root, text).unwrap(), &mut out)
        .unwrap();
    assert_eq!(out, b"\x0b\x1a\x03\x0a\x01a\x10\xe8\x07\x0c");
    Trimmer::new()
        .trim(bytes, &Mask::narrower(root, root), &mut out)
        .unwrap();
    assert_eq!(out, b"\x0b\x1a\x03\x0a\x01a\x10\xe8\x07\x0c");
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let schema = schema();
    let refused = |text: &str, value: NewValue<'_>| match set(node(&schema), text, b"", value) {
        Err(EditError::WrongType { expected, path }) => {
            assert_eq!(path, text);
            expected
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("number", "x".into()), "an integer of 32 bits");
    assert_eq!(refused("number", (1_i64 << 31).into()), "an integer of 32 bits");
    assert_eq!(refused("maybe", (-1).into()), "an unsigned integer of 32 bits");
    assert_eq!(refused("flag", 1.into()), "a bool");
    assert_eq!(
        refused("text", NewValue::from(&b"\xff"[..])),
        "a string that is UTF-8"
    );
    assert_eq!(refused("child", 1.into()), "an encoded message");
    assert_eq!(refused("words", 1.into()), "all elements of a list");
    assert_eq!(refused("counts", 1.into()), "all entries of a map");
    let malformed = set(
        node(&schema),
        "child",
        b"",
        NewValue::Message(b"\x08\x01\x0a\x05"),
    );
    assert!(matches!(malformed, Err(EditError::InvalidMessage { source, .. }) if source.offset() == 3));
    assert_eq!(set(node(&schema), "signed", b"", 5_u32).unwrap(), b"\x10\x0a");
}

#[test]
fn changes_that_do_not_fit_the_place_are_refused() {
    let schema = schema();
    let (number, words) = (
        Path::compile(node(&schema), "number").unwrap(),
        Path::compile(node(&schema), "child.words").unwrap(),
    );
    let mut out = vec![1];
    let mut apply = |edit: Edit<'_>| Editor::new().apply(b"", &[edit], &mut out).unwrap_err();
    assert!(matches!(
        apply(Edit::append(&number, &[])),
        EditError::WrongChange { .. }
    ));
    assert!(matches!(
        apply(Edit::insert(&words, 1, &[])),
        EditError::OutOfRange { count: 0, .. }
    ));
    let element = Path::compile(node(&schema), "words[2]").unwrap();
    let edit = Edit::set(&element, "x");
    let error = Editor::new()
        .apply(b"\x62\x00\x62\x00", &[edit], &mut out)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to edit `words[2]`: the list has 2 elements"
    );
    let inside = Path::compile(node(&schema), "nodes[-3].child.text").unwrap();
    let error = Editor::new()
        .set(b"\x4a\x00\x4a\x00", &inside, "x", &mut out)
        .unwrap_err();
    assert!(matches!(error, EditError::OutOfRange { count: 2, .. }), "{error}");
    let foreign = Path::compile(strict(&schema), "text").unwrap();
    let edits = [Edit::remove(&number), Edit::remove(&foreign)];
    let error = Editor::new().apply(b"", &edits, &mut out).unwrap_err();
    assert!(matches!(error, EditError::ForeignPath { .. }));
}

#[test]
fn errors_tell_path_and_offset() {
    let schema = schema();
    let bytes = b"\x08\x01\x42\x04\x42\x02\x00\x00";
    let Err(EditError::Decode(error)) = set(node(&schema), "child.child.number", bytes, 1) else {
        panic!("accepted");
    };
    assert_eq!((error.path().as_str(), error.offset()), ("child.child", 6));
    let merged = Merger::new(node(&schema)).merge(b"\x42\x02\x42\x00", bytes, &mut Vec::new());
    let Err(EditError::Decode(error)) = merged else {
        panic!("accepted");
    };
    // Offsets go on in the second message.
    assert_eq!((error.path().as_str(), error.offset()), ("child.child", 10));
}

#[test]
fn limits_hold_for_edits() {
    let schema = schema();
    let path = Path::compile(node(&schema), "child.child.text").unwrap();
    let edit = |limits: Limits, bytes: &[u8]| {
        let mut out = vec![7];
        let edited = Editor::with_limits(limits).set(bytes, &path, "twelve bytes", &mut out);
        assert_eq!(edited.is_err(), out.is_empty());
        edited.unwrap_err()
    };
    let default = Limits::default();
    let shallow = edit(Limits { depth: 2, ..default }, b"");
    assert!(matches!(shallow, EditError::Decode(error) if error.kind() == DecodeErrorKind::TooDeep));
    let small = edit(Limits { bytes: 17, ..default }, b"");
    assert_eq!(small, EditError::TooLarge { bytes: 18, limit: 17 });
    let large = edit(Limits { bytes: 3, ..default }, b"\x08\x01\x08\x01");
    assert!(matches!(large, EditError::Decode(error) if error.kind() == DecodeErrorKind::TooLarge));
    let pieces = b"\x42\x00".repeat(1_000);
    let held = edit(
        Limits {
            allocation: 10_000,
            ..default
        },
        &pieces,
    );
    assert!(matches!(held, EditError::Decode(error) if error.kind() == DecodeErrorKind::AllocationLimit));
    let many = edit(
        Limits {
            elements: 10,
            ..default
        },
        &pieces,
    );
    assert!(matches!(many, EditError::Decode(error) if error.kind() == DecodeErrorKind::TooManyElements));
}

#[test]
fn plans_of_many_small_changes_meet_the_limit_on_what_they_hold() {
    let schema = schema();
    let limits = Limits {
        allocation: 100_000,
        ..Limits::default()
    };
    let mut out = Vec::new();
    // Every other number is one that the enum does not name, so that each removal stands alone.
    let mut bomb = b"\x12\xc0\x9a\x0c".to_vec();
    bomb.extend([1, 9].repeat(100_000));
    let levels = Path::compile(strict(&schema), "levels").unwrap();
    let held = allocation_counter::measure(|| {
        let edited = Editor::with_limits(limits).remove(&bomb, &levels, &mut out);
        assert!(
            matches!(edited, Err(EditError::Allocation { limit: 100_000 })),
            "{edited:?}"
        );
        let mask = Mask::parse(strict(&schema), "levels[5]").unwrap();
        let trimmed = Trimmer::with_limits(limits).trim(&bomb, &mask, &mut out);
        assert!(
            matches!(trimmed, Err(EditError::Decode(error)) if error.kind() == DecodeErrorKind::AllocationLimit)
        );
        let mask = Mask::parse(node(&schema), "number").unwrap();
        let trimmed = Trimmer::with_limits(limits).trim(&b"\x08\x01\x10\x01".repeat(50_000), &mask, &mut out);
        assert!(
            matches!(trimmed, Err(EditError::Decode(error)) if error.kind() == DecodeErrorKind::AllocationLimit)
        );
    });
    assert!(held.bytes_max < 1 << 20, "{held:?}");
    let few = Limits {
        elements: 1_000,
        ..Limits::default()
    };
    let edited = Editor::with_limits(few).remove(&bomb, &levels, &mut out);
    assert!(
        matches!(edited, Err(EditError::Decode(error)) if error.kind() == DecodeErrorKind::TooManyElements)
    );
}

#[test]
fn truncated_input_is_an_error_or_beside_the_point_and_never_a_panic() {
    let schema = schema();
    let bytes = b"\x42\x08\x1a\x01x\x52\x03\x01\xac\x02\x7a\x06\x08\x01\x12\x02\x08\x05\x52\x02\x01\x02\x9a\x01\x02\x08\x01";
    let values = [NewValue::from(1)];
    let paths = [
        "child.packed",
        "child.text",
        "by_id[1].number",
        "packed",
        "packed[-1]",
        "three.number",
        "child",
    ];
    for end in 0..=bytes.len() {
        let bytes = &bytes[..end];
        let mut out = Vec::new();
        for text in paths {
            let path = Path::compile(node(&schema), text).unwrap();
            drop(Editor::new().apply(bytes, &[Edit::remove(&path)], &mut out));
            drop(Editor::new().apply(bytes, &[Edit::set(&path, 1)], &mut out));
            drop(Editor::new().apply(bytes, &[Edit::insert(&path, 1, &values)], &mut out));
            drop(Editor::new().apply(bytes, &[Edit::slice(&path, 1..2)], &mut out));
            drop(Trimmer::new().trim(bytes, &Mask::parse(node(&schema), text).unwrap(), &mut out));
        }
        drop(Merger::new(node(&schema)).merge(bytes, bytes, &mut out));
    }
}

#[test]
fn masks_say_what_is_wrong_with_their_paths() {
    let schema = schema();
    for (text, expected) in [
        ("child.nubmer", "did you mean `number`?"),
        ("by_id.text", "is a map: say which value"),
        ("counts[\"a\"].x", "has no fields: its type is int32"),
        ("number[*]", "is neither a list nor a map"),
        ("nodes[3:x]", "a range is two numbers"),
        ("counts[1:2]", "selects several values"),
    ] {
        let error = Mask::parse(node(&schema), text).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let error = Mask::new(node(&schema), &["child,number"]).unwrap_err();
    assert!(matches!(error.kind, PathErrorKind::Syntax(_)));
}

#[test]
fn masks_join_what_several_paths_keep() {
    let schema = schema();
    let trim = |mask: &str, bytes: &[u8]| {
        let mut out = Vec::new();
        Trimmer::new()
            .trim(bytes, &Mask::parse(node(&schema), mask).unwrap(), &mut out)
            .unwrap();
        out
    };
    let bytes = b"\x08\x01\x4a\x04\x08\x01\x10\x02\x4a\x04\x08\x03\x10\x04\xc0\x3e\x07";
    assert_eq!(trim("*", bytes), bytes);
    assert_eq!(trim("", bytes), b"");
    assert_eq!(trim("nodes", bytes), &bytes[2..14]);
    assert_eq!(trim("nodes.signed", bytes), b"\x4a\x02\x10\x02\x4a\x02\x10\x04");
    assert_eq!(
        trim("nodes[0].number,nodes[-1].signed", bytes),
        b"\x4a\x02\x08\x01\x4a\x02\x10\x04"
    );
    assert_eq!(
        trim("nodes[*].signed, nodes[1]", bytes),
        b"\x4a\x02\x10\x02\x4a\x04\x08\x03\x10\x04"
    );
    assert_eq!(trim("nodes[1:].number", bytes), b"\x4a\x02\x08\x03");
    // A member that another one has put out does not come back.
    assert_eq!(trim("one", b"\x88\x01\x05\x92\x01\x00"), b"");
    assert_eq!(trim("one,two", b"\x88\x01\x05\x92\x01\x00"), b"\x92\x01\x00");
}

#[test]
fn merging_again_does_not_grow_the_message() {
    let schema = schema();
    let bytes = b"\x42\x05\x08\x01\x1a\x01x\x72\x05\x0a\x01a\x10\x01\x72\x05\x10\x02\x0a\x01a\x92\x01\x00";
    let (mut merger, mut one, mut two) = (Merger::new(node(&schema)), Vec::new(), Vec::new());
    merger.merge(bytes, bytes, &mut one).unwrap();
    merger.merge(&one, bytes, &mut two).unwrap();
    assert_eq!(one, two);
    assert!(one.len() < bytes.len());
}

#[test]
fn edits_trims_and_merges_allocate_nothing_once_they_are_warm() {
    let schema = schema();
    let bytes = b"\x42\x08\x1a\x01x\x52\x03\x01\xac\x02\x7a\x06\x08\x01\x12\x02\x08\x05\x52\x02\x01\x02\x9a\x01\x02\x08\x01";
    let paths = [
        "child.packed",
        "child.text",
        "by_id[1].number",
        "packed[-1]",
        "three.number",
    ];
    let paths = paths.map(|text| Path::compile(node(&schema), text).unwrap());
    let values = [NewValue::from(1)];
    let edits = [
        Edit::append(&paths[0], &values),
        Edit::set(&paths[1], "longer"),
        Edit::set(&paths[2], 7),
        Edit::remove(&paths[3]),
        Edit::remove(&paths[4]),
        Edit::set(&paths[1], "again"),
    ];
    let mask = Mask::parse(node(&schema), "child.packed[1:],by_id[*].number,one").unwrap();
    let (mut editor, mut trimmer, mut merger) = (Editor::new(), Trimmer::new(), Merger::new(node(&schema)));
    let mut out = Vec::new();
    let mut work = || {
        editor.apply(bytes, &edits, &mut out).unwrap();
        trimmer.trim(bytes, &mask, &mut out).unwrap();
        merger.merge(bytes, bytes, &mut out).unwrap();
    };
    work();
    work();
    assert_eq!(allocation_counter::measure(work).count_total, 0);
}

#[test]
fn messages_as_deep_as_trusted_input_may_be_fit_the_stack() {
    let schema = schema();
    let depth = Limits::TRUSTED.depth as usize;
    let mut bytes = Vec::new();
    for _ in 0..depth {
        let mut outer = vec![0x42];
        crate::wire::put_varint(&mut outer, bytes.len() as u64);
        outer.append(&mut bytes);
        bytes = outer;
    }
    let mut out = Vec::new();
    let mask = Mask::narrower(node(&schema), schema.message("edits.Narrow").unwrap());
    let mut trimmer = Trimmer::with_limits(Limits::TRUSTED);
    trimmer.trim(&bytes, &mask, &mut out).unwrap();
    assert_eq!(out, bytes);
    let mut merger = Merger::with_limits(node(&schema), Limits::TRUSTED);
    merger.merge(&bytes, &bytes, &mut out).unwrap();
    assert_eq!(out, bytes);
    let path = Path::compile(node(&schema), &vec!["child"; depth].join(".")).unwrap();
    let mut editor = Editor::with_limits(Limits::TRUSTED);
    editor.remove(&bytes, &path, &mut out).unwrap();
    let path = path.with_limits(Limits::TRUSTED);
    assert!(path.get(&bytes).unwrap().is_some());
    assert!(path.get(&out).unwrap().is_none());
    editor.set(b"", &path, NewValue::Message(b""), &mut out).unwrap();
    assert_eq!(out, bytes);
}
