//! Masks, and what merges keep.

use super::{node, schema};
use crate::edit::{Mask, Merger, Trimmer};
use crate::path::PathErrorKind;

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
