//! Merges two encoded messages: what concatenating them means, with each singular message in one piece again.

mod compose;

use super::error::EditError;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::schema::tables::{Entry, MessageTable, Op};
use crate::view::check_size;
use crate::view::scan::{At, Fault, Field, Fields, Scan};
use crate::view::target::is_known;
use crate::wire::{MAX_MESSAGE_BYTES, WireType, put_varint};
use crate::{MessageDescriptor, Schema};
use std::ops::Range;

/// Merges messages of one type, and keeps its storage between them.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, edit::Merger};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// let (mut merger, mut out) = (Merger::new(order), Vec::new());
/// // customer { name: "Ada" } codes: [1], and customer { port: 80 } codes: [2]
/// merger.merge(b"\x0a\x05\x0a\x03Ada\x22\x01\x01", b"\x0a\x02\x10\x50\x22\x01\x02", &mut out)?;
/// assert_eq!(out, b"\x0a\x07\x0a\x03Ada\x10\x50\x22\x01\x01\x22\x01\x02");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Merger {
    schema: Schema,
    root: u32,
    limits: Limits,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    parts: Vec<Part>,
    occurrences: Vec<Occurrence>,
    /// One for each field of the messages on the way down.
    slots: Vec<Slot>,
    /// One for each oneof of them: the number of its current member.
    oneofs: Vec<u32>,
    keys: Vec<EntryKey>,
    pieces: Vec<Piece>,
}

/// One occurrence of a message, in one of the two inputs.
#[derive(Clone, Copy, Debug)]
struct Part {
    second: bool,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Occurrence {
    second: bool,
    field: Field,
    role: Role,
    /// The next occurrence of the same singular field; its own index when there is none.
    next: usize,
}

/// What a field's occurrence is to the merged message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    /// Elements and unknown fields: each one counts.
    Kept,
    /// A map's entry with a later one of the same key.
    Superseded,
    /// A singular field: the slot knows.
    Singular(u32),
}

/// What is known of a singular field: which of its occurrences count.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    first: usize,
    last: usize,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct EntryKey {
    occurrence: usize,
    number: u32,
    second: bool,
    /// Of a number its bits, of a string its place.
    key: (u64, u64),
    text: bool,
}

/// What the output is made of.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Copy(Part),
    /// A tag, and the length behind it unless a group begins.
    Open {
        tag: u32,
        len: usize,
    },
    Close {
        tag: u32,
    },
}

impl Merger {
    /// A merger with the default [`Limits`].
    pub fn new(root: MessageDescriptor<'_>) -> Self {
        Self::with_limits(root, Limits::default())
    }

    /// A merger with limits of one's own: `bytes` holds for both messages together.
    pub fn with_limits(root: MessageDescriptor<'_>, limits: Limits) -> Self {
        Self {
            schema: root.schema().clone(),
            root: root.index(),
            limits,
            state: State::default(),
        }
    }

    /// Writes `one` with `other` merged into it to `out`, whose content is replaced.
    ///
    /// The result decodes to what the two decode to one after the other: scalars and members of oneofs of `other`
    /// replace those of `one`, messages are merged, lists are joined, map entries of `other` replace those of the same
    /// key, unknown fields of both stay. What is superseded is left out, so that merging again and again does not grow
    /// the message. Messages that only one of them has are copied as they are.
    ///
    /// # Errors
    /// When either is malformed where they meet, or a limit is met; `out` is empty then. Offsets in errors count from
    /// the start of `one` and go on in `other`.
    pub fn merge(&mut self, one: &[u8], other: &[u8], out: &mut Vec<u8>) -> Result<(), EditError> {
        out.clear();
        check_size(one, &self.limits).map_err(EditError::Decode)?;
        check_size(other, &self.limits).map_err(EditError::Decode)?;
        let limit = self.limits.bytes.min(MAX_MESSAGE_BYTES);
        let bytes = one.len() + other.len();
        if bytes > limit {
            return Err(EditError::TooLarge { bytes, limit });
        }
        self.state.clear();
        let mut merge = Merge {
            schema: &self.schema,
            inputs: (one, other),
            limits: &self.limits,
            state: &mut self.state,
        };
        merge.run(self.root).map_err(EditError::Decode)?;
        out.reserve(bytes);
        self.state.emit(one, other, out);
        Ok(())
    }
}

impl State {
    fn clear(&mut self) {
        self.parts.clear();
        self.occurrences.clear();
        self.slots.clear();
        self.oneofs.clear();
        self.keys.clear();
        self.pieces.clear();
    }

    fn held(&self) -> usize {
        self.parts.len() * size_of::<Part>()
            + self.occurrences.len() * size_of::<Occurrence>()
            + self.slots.len() * size_of::<Slot>()
            + self.keys.len() * size_of::<EntryKey>()
            + self.pieces.len() * size_of::<Piece>()
    }

    fn emit(&self, one: &[u8], other: &[u8], out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match *piece {
                Piece::Copy(part) => {
                    let input = if part.second { other } else { one };
                    out.extend_from_slice(input.get(part.start..part.end).unwrap_or_default());
                }
                Piece::Open { tag, len } => {
                    put_varint(out, tag.into());
                    if tag & 7 == WireType::Len as u32 {
                        put_varint(out, len as u64);
                    }
                }
                Piece::Close { tag } => put_varint(out, tag.into()),
            }
        }
    }
}

struct Merge<'p> {
    schema: &'p Schema,
    inputs: (&'p [u8], &'p [u8]),
    limits: &'p Limits,
    state: &'p mut State,
}

/// A message, and where its own state begins.
#[derive(Clone, Copy)]
struct Place<'p> {
    table: &'p MessageTable,
    occurrences: usize,
    slots: usize,
    oneofs: usize,
    depth: u32,
}

impl<'p> Merge<'p> {
    fn run(&mut self, root: u32) -> Result<(), DecodeError> {
        let (one, other) = self.inputs;
        self.state.parts.push(Part {
            second: false,
            start: 0,
            end: one.len(),
        });
        self.state.parts.push(Part {
            second: true,
            start: 0,
            end: other.len(),
        });
        self.message(root, 0..2, self.limits.depth).map(drop)
    }

    fn input(&self, second: bool) -> &'p [u8] {
        if second { self.inputs.1 } else { self.inputs.0 }
    }

    /// Plans the message that `parts` make up, and returns how long it is.
    fn message(&mut self, message: u32, parts: Range<usize>, depth: u32) -> Result<usize, DecodeError> {
        let table = self.schema.tables().message(message);
        let place = Place {
            table,
            occurrences: self.state.occurrences.len(),
            slots: self.state.slots.len(),
            oneofs: self.state.oneofs.len(),
            depth,
        };
        self.state
            .slots
            .resize(place.slots + table.field_count(), Slot::default());
        self.state.oneofs.resize(place.oneofs + table.oneofs.len(), 0);
        for part in parts {
            let Some(part) = self.state.parts.get(part).copied() else {
                continue;
            };
            self.scan(&place, part)
                .map_err(|fault| self.error(part.second, fault))?;
        }
        self.supersede(&place)?;
        let len = self.compose(&place)?;
        self.state.occurrences.truncate(place.occurrences);
        self.state.slots.truncate(place.slots);
        self.state.oneofs.truncate(place.oneofs);
        Ok(len)
    }

    fn error(&self, second: bool, fault: Fault) -> DecodeError {
        let base = self.input(second).as_ptr().addr();
        let before = if second { self.inputs.0.len() } else { 0 };
        fault.error(base.wrapping_sub(before))
    }

    /// Notes the fields of one occurrence of a message.
    fn scan(&mut self, place: &Place<'p>, part: Part) -> Scan<()> {
        let bytes = self.input(part.second).get(..part.end).unwrap_or_default();
        let mut fields = Fields::new(bytes, place.depth);
        fields.pos = part.start;
        while let Some(field) = fields.next()? {
            let role = self.role(place, bytes, &field);
            self.state.occurrences.push(Occurrence {
                second: part.second,
                field,
                role,
                next: self.state.occurrences.len(),
            });
            let elements = self.state.occurrences.len();
            if elements > self.limits.elements {
                return Err(Fault::new(DecodeErrorKind::TooManyElements, bytes, field.start));
            }
            if self.state.held() > self.limits.allocation {
                return Err(Fault::new(DecodeErrorKind::AllocationLimit, bytes, field.start));
            }
        }
        Ok(())
    }

    fn role(&mut self, place: &Place<'p>, bytes: &[u8], field: &Field) -> Role {
        let entry = place.table.entry(field.number());
        let at = At {
            bytes,
            pos: field.value,
        };
        let singular = entry.op != Op::Unknown
            && !entry.is(Entry::REPEATED)
            && entry.tag == field.tag
            && is_known(self.schema.tables(), &entry, at);
        if !singular {
            return Role::Kept;
        }
        let index = self.state.occurrences.len();
        let mut fresh = false;
        if let Some(current) = usize::from(entry.oneof)
            .checked_sub(1)
            .and_then(|oneof| self.state.oneofs.get_mut(place.oneofs + oneof))
        {
            // Another member was set in between: what this one had before is gone.
            fresh = *current != field.number();
            *current = field.number();
        }
        if let Some(slot) = self.state.slots.get_mut(place.slots + usize::from(entry.slot)) {
            if fresh || slot.count == 0 {
                *slot = Slot {
                    first: index,
                    last: index,
                    count: 0,
                };
            } else if let Some(before) = self.state.occurrences.get_mut(slot.last) {
                before.next = index;
            }
            slot.last = index;
            slot.count += 1;
        }
        Role::Singular(entry.slot.into())
    }
}
