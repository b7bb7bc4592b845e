//! Edits of fields whose kind has rules of its own.

use super::{node, remove, schema, set, strict};
use crate::edit::{Edit, EditError, Editor, Mask, NewValue, Trimmer};
use crate::message::Scalar;
use crate::path::Path;

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
