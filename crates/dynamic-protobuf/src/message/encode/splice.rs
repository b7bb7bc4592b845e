//! Messages of which one field was changed: that field is written, and what stands around it is copied.

use super::{Back, Encoder, Unchanged, chain};
use crate::message::Message;
use crate::message::arena::At;
use crate::schema::tables::{Entry, FieldTable, MessageTable, Op};
use crate::view::pass::{skip, tag};
use std::ops::Range;

/// The one field in which a message differs from its span.
struct Change<'e> {
    table: &'e MessageTable,
    field: &'e FieldTable,
    span: &'e [u8],
    /// Where in the span the field stood.
    run: Range<usize>,
    /// What it holds now; `None` when it is not set any more.
    word: Option<u64>,
}

impl<'e> Change<'e> {
    /// `None` when the message has to be written field by field.
    #[inline]
    fn of(message: &'e Message, node: At) -> Option<Self> {
        let (arena, tables) = (&message.arena, message.schema.tables());
        let slot = arena.changed_field(node)?;
        let table = tables.message(arena.message_of(node));
        let field = tables.fields_of(table).get(usize::from(slot))?;
        if !stands_together(table, &field.entry) {
            return None;
        }
        let (start, len) = arena.span(node);
        let span = message.bytes(start, len);
        let slot = u32::from(slot);
        let is_set = arena.has(node, slot);
        Some(Self {
            table,
            field,
            span,
            run: run_of(span, field.entry.tag)?,
            word: is_set.then(|| arena.word(node + table.slots_at + slot)),
        })
    }

    fn before(&self) -> &'e [u8] {
        self.span.get(..self.run.start).unwrap_or_default()
    }

    fn behind(&self) -> &'e [u8] {
        self.span.get(self.run.end..).unwrap_or_default()
    }
}

/// Appends a message of which one field was changed to `out`: only that field is written from back to front. `false` when it
/// has to be written field by field; nothing is written then.
pub(super) fn encode_around(message: &Message, out: &mut Vec<u8>) -> bool {
    if chain::encode_number(message, out) {
        return true;
    }
    let Some(change) = Change::of(message, message.root) else {
        return false;
    };
    out.extend_from_slice(change.before());
    if let Some(word) = change.word {
        let mut encoder = Encoder {
            tables: message.schema.tables(),
            message,
            unchanged: Unchanged::Copy,
            back: Back::over(out, change.run.len() + message.added.len()),
        };
        encoder.field(change.table, change.field, word);
        encoder.back.finish();
    }
    out.extend_from_slice(change.behind());
    true
}

impl Encoder<'_, '_> {
    /// Writes a message of which one field was changed. `false` when it has to be written field by field; nothing is written
    /// then.
    #[inline]
    pub(super) fn around_change(&mut self, node: At) -> bool {
        let Some(change) = Change::of(self.message, node) else {
            return false;
        };
        self.back.slice(change.behind());
        if let Some(word) = change.word {
            self.field(change.table, change.field, word);
        }
        self.back.slice(change.before());
        true
    }
}

/// Whether everything in a regular span that has the field's tag is the field, and stands in one place. Numbers that a
/// closed enum does not name are unknown fields with the same tag, and a MessageSet's fields stand in items.
pub(super) fn stands_together(table: &MessageTable, entry: &Entry) -> bool {
    !table.message_set && !entry.is(Entry::MAP) && entry.op != Op::EnumClosed
}

/// Where the first records with this tag stand that follow each other; the end where there are none.
pub(super) fn run_of(span: &[u8], wanted: u32) -> Option<Range<usize>> {
    let mut pos = 0;
    let begin = loop {
        let start = pos;
        if start >= span.len() {
            break start;
        }
        let tag = tag(span, &mut pos)?;
        skip(span, &mut pos, tag)?;
        if tag == wanted {
            break start;
        }
    };
    let mut end = pos;
    while pos < span.len() {
        let tag = tag(span, &mut pos)?;
        if tag != wanted {
            break;
        }
        skip(span, &mut pos, tag)?;
        end = pos;
    }
    Some(begin..end)
}

#[cfg(test)]
mod tests {
    use crate::{FieldDescriptor, MapKey, Message, MessageMut, Scalar, Schema};
    use prost_reflect::prost::Message as _;

    const PROTO2: &str = r#"
syntax = "proto2";
package t;
enum Level { LOW = 1; HIGH = 2; }
message All {
  optional int32 number = 1;
  optional string text = 2;
  optional All child = 3;
  repeated All children = 4;
  repeated int32 loose = 5;
  repeated int32 packed = 6 [packed = true];
  optional Level level = 7;
  repeated Level levels = 8;
  optional group Body = 9 { optional int32 number = 1; optional string text = 2; }
  oneof choice { int32 one = 10; string two = 11; }
  map<string, int32> counts = 12;
  optional sint64 signed = 13;
  optional fixed32 four = 14;
  optional double eight = 15;
}
"#;

    /// Out of order, with unknown fields in between: 7: 9 and 8: 9 are of closed enums, 1: "x" is of another wire type.
    const WIRE: &[u8] = b"\x12\x01t\xc0\x3e\x07\x38\x02\x38\x09\x0a\x01x\x22\x02\x08\x01\x22\x06\x12\x01u\xc0\x3e\x08\x1a\x05\x12\x01v\x08\x03\
\x28\x01\x28\x02\x32\x02\x03\x04\x4b\x12\x01b\x08\x05\x4c\x08\x06\x40\x01\x40\x09\x50\x01\x62\x05\x0a\x01k\x10\x01\xc3\x3e\xc4\x3e";

    fn schema() -> Schema {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("t.proto"), PROTO2).unwrap();
        let set = protox::compile(["t.proto"], [directory.path()]).unwrap();
        Schema::from_descriptor_set(&set.encode_to_vec()).unwrap()
    }

    /// What the message says, whatever the order of its fields.
    fn said(schema: &Schema, bytes: &[u8]) -> Vec<u8> {
        let mut message = Message::new(schema.message("t.All").unwrap());
        message.decode(bytes).unwrap();
        let mut out = Vec::new();
        message.encode_deterministic_into(&mut out);
        out
    }

    type Edit = fn(&Schema, &mut MessageMut<'_>);

    fn field<'s>(schema: &'s Schema, name: &str) -> FieldDescriptor<'s> {
        schema.message("t.All").unwrap().field_named(name).unwrap()
    }

    /// Sets a number so many messages deep.
    fn nested(schema: &Schema, message: &mut MessageMut<'_>, depth: usize) {
        match depth {
            0 => message.set(field(schema, "number"), 128).unwrap(),
            _ => nested(
                schema,
                &mut message.message(field(schema, "child")).unwrap(),
                depth - 1,
            ),
        }
    }

    const EDITS: [Edit; 23] = [
        |s, m| m.set(field(s, "eight"), 1.5).unwrap(),
        |s, m| {
            let mut child = m.message(field(s, "child")).unwrap();
            child.set(field(s, "signed"), -300_i64).unwrap();
        },
        |s, m| {
            let mut child = m.message(field(s, "child")).unwrap();
            child.set(field(s, "four"), 4_u32).unwrap();
        },
        |s, m| nested(s, m, 10),
        |s, m| m.set(field(s, "number"), 300).unwrap(),
        |s, m| m.set(field(s, "text"), "").unwrap(),
        |s, m| m.set(field(s, "level"), Scalar::Enum(1)).unwrap(),
        |s, m| m.set(field(s, "one"), 7).unwrap(),
        |s, m| m.set(field(s, "two"), "seven").unwrap(),
        |s, m| m.clear(field(s, "child")).unwrap(),
        |s, m| m.clear(field(s, "levels")).unwrap(),
        |s, m| m.clear(field(s, "counts")).unwrap(),
        |_, m| m.clear_unknown_fields(),
        |s, m| {
            let mut child = m.message(field(s, "child")).unwrap();
            child.set(field(s, "text"), "longer than it was").unwrap();
        },
        |s, m| {
            let mut child = m.message(field(s, "child")).unwrap();
            child.message(field(s, "child")).unwrap();
        },
        |s, m| {
            let mut children = m.list(field(s, "children")).unwrap();
            if let Ok(mut child) = children.message(1) {
                child.set(field(s, "number"), 9).unwrap();
            }
        },
        |s, m| {
            let mut children = m.list(field(s, "children")).unwrap();
            children.push_message().unwrap();
        },
        |s, m| m.list(field(s, "loose")).unwrap().push(5).unwrap(),
        |s, m| m.list(field(s, "loose")).unwrap().truncate(0),
        |s, m| m.list(field(s, "packed")).unwrap().push(500).unwrap(),
        |s, m| m.list(field(s, "levels")).unwrap().push(Scalar::Enum(2)).unwrap(),
        |s, m| {
            let group = s.message("t.All.Body").unwrap();
            let mut body = m.message(field(s, "body")).unwrap();
            body.set(group.field_named("number").unwrap(), 70_000).unwrap();
        },
        |s, m| {
            let mut counts = m.map(field(s, "counts")).unwrap();
            counts.insert(MapKey::String("j"), 2).unwrap();
        },
    ];

    #[test]
    fn any_two_changes_are_written_as_if_everything_was_written_anew() {
        let schema = schema();
        let mut message = Message::new(schema.message("t.All").unwrap());
        for wire in [WIRE, b"", b"\x08\x01\x08\x02\x12\x01a"] {
            for (one, first) in EDITS.iter().enumerate() {
                for (two, second) in EDITS.iter().enumerate() {
                    message.decode(wire).unwrap();
                    for edit in [first, second] {
                        edit(&schema, &mut message.as_mut());
                        let mut anew = Vec::new();
                        message.encode_deterministic_into(&mut anew);
                        assert_eq!(said(&schema, &message.encode_to_vec()), anew, "{one} {two}");
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_at_any_depth() {
        let schema = schema();
        for depth in 0..20 {
            let mut message = Message::new(schema.message("t.All").unwrap());
            for _ in 0..2 {
                nested(&schema, &mut message.as_mut(), depth);
                let bytes = message.encode_to_vec();
                let mut anew = Vec::new();
                message.encode_deterministic_into(&mut anew);
                assert_eq!(bytes, anew, "{depth}");
                message.decode(&bytes).unwrap();
            }
        }
    }

    #[test]
    fn lengths_around_a_number_may_grow_and_shrink() {
        let schema = schema();
        let (number, text) = (field(&schema, "number"), field(&schema, "text"));
        let mut message = Message::new(schema.message("t.All").unwrap());
        for length in 110..130 {
            for (first, second) in [(1, 2), (1, 300), (300, 1), (1, i32::MAX), (-1, 0)] {
                let mut built = Message::new(schema.message("t.All").unwrap());
                let mut root = built.as_mut();
                root.set(text, "root").unwrap();
                let mut child = root.message(field(&schema, "child")).unwrap();
                let mut inner = child.message(field(&schema, "child")).unwrap();
                inner.set(text, "t".repeat(length).as_str()).unwrap();
                inner.set(number, first).unwrap();
                message.decode(&built.encode_to_vec()).unwrap();
                nested(&schema, &mut message.as_mut(), 2);
                let mut root = message.as_mut();
                let mut child = root.message(field(&schema, "child")).unwrap();
                let mut inner = child.message(field(&schema, "child")).unwrap();
                inner.set(number, second).unwrap();
                let mut anew = Vec::new();
                message.encode_deterministic_into(&mut anew);
                assert_eq!(
                    said(&schema, &message.encode_to_vec()),
                    anew,
                    "{length} {first} {second}"
                );
            }
        }
    }

    #[test]
    fn a_message_put_in_the_place_of_another_is_written_whole() {
        let schema = schema();
        let mut message = Message::new(schema.message("t.All").unwrap());
        message
            .decode(b"\x08\x01\x1a\x05\x12\x01v\x08\x03\x12\x01t")
            .unwrap();
        message.as_mut().clear(field(&schema, "child")).unwrap();
        nested(&schema, &mut message.as_mut(), 2);
        assert_eq!(
            message.encode_to_vec(),
            b"\x08\x01\x1a\x05\x1a\x03\x08\x80\x01\x12\x01t"
        );
    }

    #[test]
    fn what_stands_around_a_change_stays_as_it_was_read() {
        let schema = schema();
        let mut message = Message::new(schema.message("t.All").unwrap());
        message
            .decode(b"\x12\x01t\xc0\x3e\x07\x22\x00\x22\x02\x08\x01\x08\x03")
            .unwrap();
        let mut root = message.as_mut();
        let mut children = root.list(field(&schema, "children")).unwrap();
        children
            .message(1)
            .unwrap()
            .set(field(&schema, "text"), "u")
            .unwrap();
        assert_eq!(
            message.encode_to_vec(),
            b"\x12\x01t\xc0\x3e\x07\x22\x00\x22\x05\x08\x01\x12\x01u\x08\x03"
        );
    }
}
