//! Edits where the result is known byte by byte, and what is refused. `tests/wire_edits` generates the rest.

mod kinds;
mod limits;
mod masks;
mod refusals;

use super::{Edit, EditError, Editor, NewValue};
use crate::path::Path;
use crate::{MessageDescriptor, Schema};
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
