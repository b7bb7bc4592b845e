//! What edits may take, of memory and of the stack.

use super::{node, schema, strict};
use crate::edit::{Edit, EditError, Editor, Mask, Merger, NewValue, Trimmer};
use crate::path::Path;
use crate::{DecodeErrorKind, Limits};

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
