//! Walks over a message along the tree of edits and plans what is to change.

use super::Edit;
use super::error::EditError;
use super::place::Place;
use super::plan::{Plan, ROOT};
use super::tree::{NONE, Node, Tree};
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::path::{Selector, Step};
use crate::schema::tables::{Entry, Tables};
use crate::view::message_set::unwrapped;
use crate::view::scan::{At, Fault, Field, Fields, Scan};
use crate::view::seek::{count_of, is_entry, key_of};
use crate::view::target::{Target, bits, is_known};
use std::ops::Range;

/// One occurrence of a message that is walked over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The frame around its fields.
    pub(super) frame: u32,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// An occurrence of a field that a node asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) node: u32,
    /// The frame that it stands in.
    pub(super) frame: u32,
    pub(super) field: Field,
    /// It is another member of the node's oneof.
    pub(super) sibling: bool,
    /// Of an element in a packed list, its place in the message.
    pub(super) element: Option<(usize, usize)>,
}

impl Hit {
    pub(super) fn range(&self) -> Range<usize> {
        self.field.start..self.field.next
    }
}

/// One pass of edits over a message. Ranges of parts and hits are those of a message that is being walked over; those
/// of messages inside it come behind them.
pub(super) struct Apply<'p, 'e> {
    pub(super) tables: &'e Tables,
    pub(super) bytes: &'p [u8],
    pub(super) edits: &'p [Edit<'e>],
    pub(super) limits: &'p Limits,
    pub(super) tree: &'p mut Tree,
    pub(super) plan: &'p mut Plan,
    pub(super) parts: &'p mut Vec<Part>,
    pub(super) hits: &'p mut Vec<Hit>,
}

impl<'p, 'e> Apply<'p, 'e> {
    pub(super) fn run(mut self) -> Result<(), EditError> {
        let (root, end) = (self.tree.root, self.bytes.len());
        self.parts.push(Part {
            frame: ROOT,
            start: 0,
            end,
        });
        self.message(root, 0..1, self.limits.depth)
    }

    /// Plans the edits below the nodes from `first` on, in the message that `parts` make up.
    pub(super) fn message(&mut self, first: u32, parts: Range<usize>, depth: u32) -> Result<(), EditError> {
        let (from, frames) = (self.hits.len(), self.plan.frames());
        self.scan(first, parts.clone(), depth)
            .map_err(|fault| self.locate(first, fault))?;
        self.check_allocation()?;
        let several = self.tree.node(first).is_some_and(|node| node.next != NONE);
        if several && let Some(hits) = self.hits.get_mut(from..) {
            hits.sort_unstable_by_key(|hit| (hit.node, hit.field.start));
        }
        let mut index = first;
        while let Some(node) = self.tree.node(index).copied() {
            let hits = self.hits.get(from..).unwrap_or_default();
            let start = from + hits.partition_point(|hit| several && hit.node < index);
            let end = from + hits.partition_point(|hit| !several || hit.node <= index);
            let place = Place {
                node,
                parts: parts.clone(),
                frames,
                depth,
            };
            self.place(&place, start..end)?;
            index = node.next;
        }
        self.hits.truncate(from);
        Ok(())
    }

    /// Notes the occurrences that the nodes from `first` on ask for.
    fn scan(&mut self, first: u32, parts: Range<usize>, depth: u32) -> Scan<()> {
        let (mut interesting, mut oneofs, mut message) = (0u64, false, None);
        let mut index = first;
        while let Some(node) = self.tree.node(index).copied() {
            if let Some(step) = node.step(self.edits) {
                interesting |= 1 << (step.target.number() % u64::BITS);
                oneofs |= step.target.entry.oneof != 0;
                message = Some(step.message);
                let remaining = self.position(step, parts.clone(), depth)?;
                if let Some(node) = self.tree.node_mut(index) {
                    node.remaining = remaining;
                }
            }
            index = node.next;
        }
        let Some(message) = message else {
            return Ok(());
        };
        for part in parts {
            let Some(part) = self.parts.get(part).copied() else {
                continue;
            };
            let table = self.tables.message(message);
            let mut fields = self.fields(part, depth);
            while let Some(field) = fields.next()? {
                let field = unwrapped(table, self.bytes, field, depth)?;
                if oneofs || interesting >> (field.number() % u64::BITS) & 1 != 0 {
                    self.note(first, message, part.frame, &field, depth)?;
                }
            }
        }
        Ok(())
    }

    fn fields(&self, part: Part, depth: u32) -> Fields<'p> {
        let mut fields = Fields::new(self.bytes.get(..part.end).unwrap_or_default(), depth);
        fields.pos = part.start;
        fields
    }

    /// The index from the front of the element that `step` chooses.
    fn position(&self, step: &Step, parts: Range<usize>, depth: u32) -> Scan<Option<usize>> {
        let Selector::Index(index) = step.selector else {
            return Ok(None);
        };
        if let Ok(index) = usize::try_from(index) {
            return Ok(Some(index));
        }
        let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(self.count(&step.target, parts, depth)?.checked_sub(back))
    }

    /// How many elements a list has.
    pub(super) fn count(&self, target: &Target, parts: Range<usize>, depth: u32) -> Scan<usize> {
        let mut count = 0;
        for part in self.parts.get(parts).unwrap_or_default() {
            let mut fields = self.fields(*part, depth);
            while let Some(field) = fields.next()? {
                if target.takes(field.tag) {
                    count += count_of(self.tables, target, self.bytes, &field)?;
                }
                if count > self.limits.elements {
                    return Err(Fault::new(
                        DecodeErrorKind::TooManyElements,
                        self.bytes,
                        field.start,
                    ));
                }
            }
        }
        Ok(count)
    }

    /// Notes `field` for each node that asks for it.
    fn note(&mut self, first: u32, message: u32, frame: u32, field: &Field, depth: u32) -> Scan<()> {
        let mut index = first;
        while let Some(node) = self.tree.node(index).copied() {
            let Some(step) = node.step(self.edits) else {
                return Ok(());
            };
            let mut hit = Hit {
                node: index,
                frame,
                field: *field,
                sibling: false,
                element: None,
            };
            if step.target.takes(field.tag) {
                if self.is_hit(step, index, &mut hit, depth)? {
                    self.push(hit)?;
                }
            } else if step.target.entry.oneof != 0 && self.is_sibling(step, message, field) {
                hit.sibling = true;
                self.push(hit)?;
            }
            index = node.next;
        }
        Ok(())
    }

    fn push(&mut self, hit: Hit) -> Scan<()> {
        if self.hits.len() >= self.limits.allocation / size_of::<Hit>() {
            return Err(Fault::new(
                DecodeErrorKind::AllocationLimit,
                self.bytes,
                hit.field.start,
            ));
        }
        if self.hits.len() >= self.limits.elements {
            return Err(Fault::new(
                DecodeErrorKind::TooManyElements,
                self.bytes,
                hit.field.start,
            ));
        }
        self.hits.push(hit);
        Ok(())
    }

    fn is_sibling(&self, step: &Step, message: u32, field: &Field) -> bool {
        let entry = self.tables.message(message).entry(field.number());
        entry.oneof == step.target.entry.oneof && entry.tag == field.tag && self.is_known(&entry, field)
    }

    fn is_known(&self, entry: &Entry, field: &Field) -> bool {
        is_known(
            self.tables,
            entry,
            At {
                bytes: self.bytes,
                pos: field.value,
            },
        )
    }

    fn is_hit(&mut self, step: &Step, index: u32, hit: &mut Hit, depth: u32) -> Scan<bool> {
        let (target, field) = (&step.target, hit.field);
        let payload = self.bytes.get(field.body..field.end).unwrap_or_default();
        match &step.selector {
            Selector::Whole if target.is_map() => {
                let (_, value) = target.of_entry(self.tables);
                is_entry(self.tables, &value, payload, depth)
            }
            Selector::Whole => Ok(target.is_packed(field.tag) || self.is_known(&target.entry, &field)),
            Selector::Key {
                key,
                key_target,
                value,
            } => {
                Ok(key_of(key_target, payload, depth)?.is(key)
                    && is_entry(self.tables, value, payload, depth)?)
            }
            Selector::Index(_) => self.is_element(target, index, hit),
        }
    }

    /// Whether the element that is asked for stands in this occurrence of its list.
    fn is_element(&mut self, target: &Target, index: u32, hit: &mut Hit) -> Scan<bool> {
        let Some(remaining) = self.tree.node(index).and_then(|node| node.remaining) else {
            return Ok(false);
        };
        let count = count_of(self.tables, target, self.bytes, &hit.field)?;
        let found = remaining < count;
        if found && target.is_packed(hit.field.tag) {
            let mut elements = Elements::new(self.tables, target, self.bytes, &hit.field);
            let mut passed = 0;
            while let Some((range, known)) = elements.next()? {
                if known && passed == remaining {
                    hit.element = Some((range.start, range.end));
                    break;
                }
                passed += usize::from(known);
            }
        }
        if let Some(node) = self.tree.node_mut(index) {
            node.remaining = if found { None } else { Some(remaining - count) };
        }
        Ok(found)
    }

    pub(super) fn check_allocation(&self) -> Result<(), EditError> {
        let held =
            self.plan.held() + self.hits.len() * size_of::<Hit>() + self.parts.len() * size_of::<Part>();
        let limit = self.limits.allocation;
        if held > limit {
            Err(EditError::Allocation { limit })
        } else {
            Ok(())
        }
    }

    /// An error found while walking over the message that has the nodes from `first` on.
    #[cold]
    fn locate(&self, first: u32, fault: Fault) -> EditError {
        let way = self.tree.node(first).map_or(&[][..], |node| node.way(self.edits));
        let way = way.split_last().map_or(&[][..], |(_, way)| way);
        self.located(way, fault)
    }

    #[cold]
    pub(super) fn locate_node(&self, node: &Node, fault: Fault) -> EditError {
        self.located(node.way(self.edits), fault)
    }

    fn located(&self, way: &[Step], fault: Fault) -> EditError {
        let error = fault.error(self.bytes.as_ptr().addr());
        let schema = self.edits.first().map(|edit| &edit.path.schema);
        EditError::Decode(match schema {
            Some(schema) if !way.is_empty() => crate::path::locate(schema, error, way, way.len() - 1),
            _ => error,
        })
    }
}

/// The elements of one packed occurrence of a list, as ranges of the message.
pub(super) struct Elements<'t, 'b> {
    tables: &'t Tables,
    target: Target,
    bytes: &'b [u8],
    pos: usize,
}

impl<'t, 'b> Elements<'t, 'b> {
    pub(super) fn new(tables: &'t Tables, target: &Target, bytes: &'b [u8], field: &Field) -> Self {
        Self {
            tables,
            target: *target,
            bytes: bytes.get(..field.end).unwrap_or_default(),
            pos: field.body,
        }
    }

    /// The next element, and whether it is one: unknown numbers of closed enums are not.
    pub(super) fn next(&mut self) -> Scan<Option<(Range<usize>, bool)>> {
        if self.pos >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.pos;
        let known = is_known(
            self.tables,
            &self.target.entry,
            At {
                bytes: self.bytes,
                pos: start,
            },
        );
        bits(self.target.entry.op, self.bytes, &mut self.pos)
            .map_err(|kind| Fault::new(kind, self.bytes, start))?;
        Ok(Some((start..self.pos, known)))
    }
}
