//! Trims messages to a mask: everything else is cut out in one copy.

mod fate;

use super::apply::Part;
use super::error::EditError;
use super::mask::{Mask, Node, number_bit};
use super::plan::{Plan, ROOT};
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::schema::tables::Tables;
use crate::view::check_size;
use crate::view::message_set::unwrapped;
use crate::view::scan::{Fault, Field, Fields, Scan};
use std::ops::Range;

/// Trims messages, and keeps its storage between them: in steady state nothing is allocated.
///
/// See [`Mask`] for what is kept. What is kept stays as it is, byte by byte; lengths around are repaired.
#[derive(Debug, Default)]
pub struct Trimmer {
    limits: Limits,
    plan: Plan,
    state: State,
}

/// What is known of the messages on the way down. Each message's entries stand behind those of the ones around it.
#[derive(Debug, Default)]
struct State {
    parts: Vec<Part>,
    /// The nodes that say what is kept: all that selected the message.
    active: Vec<u32>,
    counters: Vec<Counter>,
    oneofs: Vec<Current>,
    joined: Vec<Joined>,
    elements: usize,
}

/// How many elements of a list were passed, and how many it has where that is asked for.
#[derive(Clone, Copy, Debug)]
struct Counter {
    number: u32,
    passed: usize,
    total: usize,
}

/// The current member of a oneof, and where its first occurrence begins that counts.
#[derive(Clone, Copy, Debug)]
struct Current {
    oneof: u16,
    tag: u32,
    start: usize,
}

/// An occurrence of a singular message that counts as one with others.
#[derive(Clone, Copy, Debug)]
struct Joined {
    frame: u32,
    field: Field,
}

impl Trimmer {
    /// A trimmer with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A trimmer with limits of one's own: `allocation` holds for what it holds itself.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Writes what `mask` keeps of `bytes` into `out`, whose content is replaced.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, edit::{Mask, Trimmer}};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let mask = Mask::new(order, &["lines[*].sku", "totals[\"net\"]"])?;
    /// let (mut trimmer, mut out) = (Trimmer::new(), Vec::new());
    /// let message = b"\x12\x05\x0a\x01a\x10\x02\x1a\x07\x0a\x03net\x10\x07\x1a\x05\x0a\x01x\x10\x07";
    /// trimmer.trim(message, &mask, &mut out)?;
    /// assert_eq!(out, b"\x12\x03\x0a\x01a\x1a\x07\x0a\x03net\x10\x07");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the message is malformed where it is looked into, or a limit is met; `out` is empty then.
    pub fn trim(&mut self, bytes: &[u8], mask: &Mask, out: &mut Vec<u8>) -> Result<(), EditError> {
        out.clear();
        check_size(bytes, &self.limits).map_err(EditError::Decode)?;
        self.plan.clear();
        self.state.clear();
        if !mask.all {
            let mut trim = Trim {
                tables: mask.schema.tables(),
                bytes,
                mask,
                limits: &self.limits,
                plan: &mut self.plan,
                state: &mut self.state,
            };
            trim.run()
                .map_err(|fault| EditError::Decode(fault.error(bytes.as_ptr().addr())))?;
        }
        self.plan.emit(bytes, out, &self.limits)
    }
}

impl State {
    fn clear(&mut self) {
        self.parts.clear();
        self.active.clear();
        self.counters.clear();
        self.oneofs.clear();
        self.joined.clear();
        self.elements = 0;
    }

    fn held(&self) -> usize {
        self.parts.len() * size_of::<Part>()
            + self.active.len() * size_of::<u32>()
            + self.counters.len() * size_of::<Counter>()
            + self.oneofs.len() * size_of::<Current>()
            + self.joined.len() * size_of::<Joined>()
    }
}

struct Trim<'p> {
    tables: &'p Tables,
    bytes: &'p [u8],
    mask: &'p Mask,
    limits: &'p Limits,
    plan: &'p mut Plan,
    state: &'p mut State,
}

/// One message: its occurrences, what is kept of it, and where its own state begins.
#[derive(Clone)]
struct Place {
    parts: Range<usize>,
    active: Range<usize>,
    counters: usize,
    oneofs: usize,
    depth: u32,
}

/// What becomes of a field.
enum Fate {
    Kept,
    Cut,
    /// What is in it is trimmed, by the nodes that were made active last.
    Trimmed,
}

impl<'p> Trim<'p> {
    fn run(&mut self) -> Scan<()> {
        let end = self.bytes.len();
        self.state.parts.push(Part {
            frame: ROOT,
            start: 0,
            end,
        });
        self.state.active.push(0);
        self.message(0..1, 0..1, self.limits.depth)
    }

    fn message(&mut self, parts: Range<usize>, active: Range<usize>, depth: u32) -> Scan<()> {
        let place = Place {
            parts: parts.clone(),
            active,
            counters: self.state.counters.len(),
            oneofs: self.state.oneofs.len(),
            depth,
        };
        let joined = self.state.joined.len();
        self.prepare(&place)?;
        let message = self.nodes(place.active.clone()).find_map(|node| node.message);
        let table = message.map(|message| self.tables.message(message));
        let numbers = self
            .nodes(place.active.clone())
            .fold(0, |all, node| all | node.numbers);
        for part in parts {
            let Some(part) = self.state.parts.get(part).copied() else {
                continue;
            };
            let mut fields = self.fields(part, depth);
            while let Some(field) = fields.next()? {
                let field = match table {
                    Some(table) => unwrapped(table, self.bytes, field, depth)?,
                    None => field,
                };
                if numbers & number_bit(field.number()) == 0 {
                    self.plan.remove(part.frame, field.start..field.next);
                } else {
                    self.field(&place, part.frame, &field)?;
                }
                self.check_allocation(field.start)?;
            }
        }
        self.join(&place, joined)?;
        self.state.counters.truncate(place.counters);
        self.state.oneofs.truncate(place.oneofs);
        self.state.joined.truncate(joined);
        Ok(())
    }

    fn fields(&self, part: Part, depth: u32) -> Fields<'p> {
        let mut fields = Fields::new(self.bytes.get(..part.end).unwrap_or_default(), depth);
        fields.pos = part.start;
        fields
    }

    fn nodes(&self, active: Range<usize>) -> impl Iterator<Item = &'p Node> + use<'p, '_> {
        let mask = self.mask;
        let active = self.state.active.get(active).unwrap_or_default();
        active
            .iter()
            .filter_map(move |node| mask.nodes.get(*node as usize))
    }

    /// Plans what becomes of one field.
    fn field(&mut self, place: &Place, frame: u32, field: &Field) -> Scan<()> {
        let active = self.state.active.len();
        let fate = if self.is_put_out(place, field) {
            Fate::Cut
        } else {
            self.fate(place, frame, field)?
        };
        match fate {
            Fate::Kept => {}
            Fate::Cut => self.plan.remove(frame, field.start..field.next),
            Fate::Trimmed => self.inside(place, frame, field, active)?,
        }
        self.state.active.truncate(active);
        Ok(())
    }

    /// Trims what is in a message or a map entry, by the nodes that are active since `active`.
    fn inside(&mut self, place: &Place, frame: u32, field: &Field, active: usize) -> Scan<()> {
        let rule = self
            .nodes(place.active.clone())
            .find_map(|node| node.find(field.number()));
        let Some(rule) = rule else {
            return Ok(());
        };
        let active = active..self.state.active.len();
        let single = !rule.target.is_list() && !rule.target.is_map();
        if single && self.nodes(active.clone()).any(|node| node.joined) {
            self.state.joined.push(Joined { frame, field: *field });
            return Ok(());
        }
        let depth = self.nested(place, field)?;
        let inner = self.plan.frame(frame, field);
        let from = self.state.parts.len();
        match &rule.entry {
            None => self.state.parts.push(Part {
                frame: inner,
                start: field.body,
                end: field.end,
            }),
            Some((_, value)) => {
                let entry = Part {
                    frame: inner,
                    start: field.body,
                    end: field.end,
                };
                let mut fields = self.fields(entry, depth);
                while let Some(field) = fields.next()? {
                    if field.tag == value.tag {
                        let frame = self.plan.frame(inner, &field);
                        self.state.parts.push(Part {
                            frame,
                            start: field.body,
                            end: field.end,
                        });
                    }
                }
            }
        }
        self.message(from..self.state.parts.len(), active, depth)?;
        self.state.parts.truncate(from);
        Ok(())
    }

    /// Trims the singular messages whose occurrences count as one, field by field.
    fn join(&mut self, place: &Place, joined: usize) -> Scan<()> {
        let own = self.state.joined.get_mut(joined..).unwrap_or_default();
        own.sort_unstable_by_key(|joined| (joined.field.tag, joined.field.start));
        let end = self.state.joined.len();
        let mut at = joined;
        while let Some(first) = self.state.joined.get(at).copied() {
            if at >= end {
                break;
            }
            let depth = self.nested(place, &first.field)?;
            let (from, active) = (self.state.parts.len(), self.state.active.len());
            self.activate(place, first.field.number());
            while let Some(next) = self.state.joined.get(at).copied().filter(|_| at < end) {
                if next.field.tag != first.field.tag {
                    break;
                }
                let frame = self.plan.frame(next.frame, &next.field);
                self.state.parts.push(Part {
                    frame,
                    start: next.field.body,
                    end: next.field.end,
                });
                at += 1;
            }
            let nodes = active..self.state.active.len();
            self.message(from..self.state.parts.len(), nodes, depth)?;
            self.state.parts.truncate(from);
            self.state.active.truncate(active);
        }
        Ok(())
    }

    /// Makes active what is kept of a singular message.
    fn activate(&mut self, place: &Place, number: u32) {
        for at in place.active.clone() {
            let mask = self.mask;
            let node = self
                .state
                .active
                .get(at)
                .and_then(|node| mask.nodes.get(*node as usize));
            let selections = node
                .and_then(|node| node.find(number))
                .map(|rule| &rule.selections);
            for (_, child) in selections.into_iter().flatten() {
                self.state.active.push(*child);
            }
        }
    }

    fn nested(&self, place: &Place, field: &Field) -> Scan<u32> {
        let fault = || Fault::new(DecodeErrorKind::TooDeep, self.bytes, field.start);
        place.depth.checked_sub(1).ok_or_else(fault)
    }

    #[inline]
    fn check_allocation(&self, pos: usize) -> Scan<()> {
        if self.plan.held() + self.state.held() > self.limits.allocation {
            return Err(Fault::new(DecodeErrorKind::AllocationLimit, self.bytes, pos));
        }
        Ok(())
    }
}
