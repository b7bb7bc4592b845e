//! Edits of any message at any place: all at once give what one after the other gives, and what is set is there.
#![no_main]

use arbitrary::Arbitrary;
use heddle_dynamic_protobuf::edit::{Edit, Editor, NewValue};
use heddle_dynamic_protobuf::path::{Path, PathSet};
use heddle_dynamic_protobuf::view::Value;
use heddle_dynamic_protobuf::{Message, MessageDescriptor, Scalar};
use heddle_fuzz::{LIMITS, Steps, deterministic, path, root, within_limits};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    root: u8,
    message: Vec<u8>,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
struct Operation {
    place: Steps,
    change: Change,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Set(New),
    Remove,
    Append(Vec<New>),
    Insert(u8, Vec<New>),
    Slice(u8, u8),
    SetList(Vec<New>),
}

#[derive(Arbitrary, Debug)]
enum New {
    Bool(bool),
    I32(i32),
    I64(i64),
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
    Text(String),
    Blob(Vec<u8>),
    Number(i8),
    Message(Vec<u8>),
}

impl New {
    fn value(&self) -> NewValue<'_> {
        NewValue::Scalar(match self {
            Self::Bool(value) => Scalar::Bool(*value),
            Self::I32(value) => Scalar::I32(*value),
            Self::I64(value) => Scalar::I64(*value),
            Self::U32(value) => Scalar::U32(*value),
            Self::U64(value) => Scalar::U64(*value),
            Self::F32(value) => Scalar::F32(*value),
            Self::F64(value) => Scalar::F64(*value),
            Self::Text(value) => Scalar::String(value),
            Self::Blob(value) => Scalar::Bytes(value),
            Self::Number(value) => Scalar::Enum((*value).into()),
            Self::Message(value) => return NewValue::Message(value),
        })
    }
}

/// More edits of one message find nothing new.
const MAX_OPERATIONS: usize = 8;

fuzz_target!(|input: Input| {
    let Some((descriptor, _)) = root(&[input.root]) else {
        return;
    };
    let operations: Vec<(Path, &Change, Vec<NewValue<'_>>)> = input
        .operations
        .iter()
        .take(MAX_OPERATIONS)
        .filter_map(|operation| {
            let path = path(descriptor, &operation.place)?.with_limits(LIMITS);
            Some((path, &operation.change, values(&operation.change)))
        })
        .collect();
    let edits: Vec<Edit<'_>> = operations
        .iter()
        .map(|(path, change, new)| edit(path, change, new))
        .collect();
    read(&operations, &input.message);
    let mut editor = Editor::with_limits(LIMITS);
    let mut at_once = Vec::new();
    let made = within_limits(input.message.len(), || {
        editor.apply(&input.message, &edits, &mut at_once)
    });
    let one_by_one = one_by_one(&mut editor, &input.message, &edits);
    let mut message = Message::with_limits(descriptor, LIMITS);
    if message.decode(&input.message).is_err() {
        return;
    }
    // Limits on what an edit may hold count for one call.
    if let (Ok(()), Some(one_by_one)) = (&made, &one_by_one) {
        same(descriptor, &at_once, one_by_one);
        if let (Some((path, Change::Set(_), new)), 1) = (operations.last(), operations.len()) {
            is_there(path, &new[0], &at_once);
        }
    }
});

fn values(change: &Change) -> Vec<NewValue<'_>> {
    match change {
        Change::Set(new) => vec![new.value()],
        Change::Append(new) | Change::Insert(_, new) | Change::SetList(new) => {
            new.iter().map(New::value).collect()
        }
        Change::Remove | Change::Slice(..) => Vec::new(),
    }
}

fn edit<'e>(path: &'e Path, change: &Change, new: &'e [NewValue<'e>]) -> Edit<'e> {
    match change {
        Change::Set(_) => Edit::set(path, new[0]),
        Change::Remove => Edit::remove(path),
        Change::Append(_) => Edit::append(path, new),
        Change::Insert(index, _) => Edit::insert(path, usize::from(*index), new),
        Change::Slice(from, to) => Edit::slice(path, usize::from(*from)..usize::from(*to)),
        Change::SetList(_) => Edit::set(path, NewValue::List(new)),
    }
}

/// Paths that are read together find what each finds alone, if nothing on the way is malformed.
fn read(operations: &[(Path, &Change, Vec<NewValue<'_>>)], bytes: &[u8]) {
    let paths: Vec<&Path> = operations.iter().map(|(path, ..)| path).collect();
    let alone: Vec<_> = paths.iter().map(|path| path.get(bytes)).collect();
    let Some(set) = PathSet::new(&paths) else {
        return;
    };
    if let Ok(together) = set.get_many(bytes) {
        for (alone, together) in alone.iter().zip(&together) {
            let Ok(alone) = alone else { continue };
            assert_eq!(format!("{alone:?}"), format!("{together:?}"));
        }
    }
}

fn one_by_one(editor: &mut Editor, bytes: &[u8], edits: &[Edit<'_>]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    for edit in edits {
        let mut out = Vec::new();
        editor.apply(&bytes, std::slice::from_ref(edit), &mut out).ok()?;
        bytes = out;
    }
    Some(bytes)
}

fn same(descriptor: MessageDescriptor<'_>, one: &[u8], other: &[u8]) {
    let decode = |bytes: &[u8]| {
        let mut message = Message::with_limits(descriptor, LIMITS);
        message
            .decode(bytes)
            .map(|()| deterministic(&message))
            .map_err(|error| error.kind())
    };
    assert_eq!(decode(one), decode(other), "of {one:02x?} and {other:02x?}");
}

/// A number that was set is read again, unless it is a zero where that is the same as nothing.
fn is_there(path: &Path, new: &NewValue<'_>, bytes: &[u8]) {
    let NewValue::Scalar(Scalar::I32(number)) = new else {
        return;
    };
    match path
        .get_or_default(bytes)
        .expect("what was edited is well-formed on the way")
    {
        Value::Enum(_, found) | Value::I32(found) => assert_eq!(found, *number),
        other => assert!(
            other.as_i64() == Some(i64::from(*number)) || other.as_f64() == Some(f64::from(*number)),
            "{other:?} is not {number}"
        ),
    }
}
