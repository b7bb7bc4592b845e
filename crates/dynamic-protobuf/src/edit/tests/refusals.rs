//! What is refused, and how errors say so.

use super::{node, schema, set, strict};
use crate::edit::{Edit, EditError, Editor, Mask, Merger, NewValue, Trimmer};
use crate::path::Path;

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
