//! Trims messages to a mask: everything else is cut out in one copy.

use super::apply::{Elements, Part};
use super::error::EditError;
use super::mask::{Mask, Node, Rule, Select, WHOLE, number_bit};
use super::plan::{Plan, ROOT};
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::schema::tables::Tables;
use crate::view::check_size;
use crate::view::message_set::unwrapped;
use crate::view::scan::{At, Fault, Field, Fields, Scan};
use crate::view::seek::{count_of, is_entry, key_of};
use crate::view::target::is_known;
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
            }
            self.check_allocation(part.start)?;
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

    /// Counts and settles beforehand what a field's fate may depend on.
    fn prepare(&mut self, place: &Place) -> Scan<()> {
        for at in place.active.clone() {
            let mask = self.mask;
            let node = self
                .state
                .active
                .get(at)
                .and_then(|node| mask.nodes.get(*node as usize));
            let Some(node) = node.filter(|node| node.joined) else {
                continue;
            };
            for rule in node.rules.iter().filter(|rule| rule.counts()) {
                self.add_counter(place, rule)?;
            }
            if !node.torn_oneofs.is_empty() {
                self.settle_oneofs(place, node)?;
            }
        }
        Ok(())
    }

    fn add_counter(&mut self, place: &Place, rule: &Rule) -> Scan<()> {
        let number = rule.target.number();
        let mut total = 0;
        if rule.counts_back() {
            for part in self.state.parts.get(place.parts.clone()).unwrap_or_default() {
                let mut fields = self.fields(*part, place.depth);
                while let Some(field) = fields.next()? {
                    if rule.target.takes(field.tag) {
                        total += count_of(self.tables, &rule.target, self.bytes, &field)?;
                    }
                }
            }
        }
        let counters = self.state.counters.get_mut(place.counters..).unwrap_or_default();
        match counters.iter_mut().find(|counter| counter.number == number) {
            Some(counter) => counter.total = counter.total.max(total),
            None => self.state.counters.push(Counter {
                number,
                passed: 0,
                total,
            }),
        }
        Ok(())
    }

    /// Finds the current member of each oneof that is torn.
    fn settle_oneofs(&mut self, place: &Place, node: &Node) -> Scan<()> {
        let Some(table) = node.message.map(|index| self.tables.message(index)) else {
            return Ok(());
        };
        for at in place.parts.clone() {
            let Some(part) = self.state.parts.get(at).copied() else {
                continue;
            };
            let mut fields = self.fields(part, place.depth);
            while let Some(field) = fields.next()? {
                let entry = table.entry(field.number());
                let at = At {
                    bytes: self.bytes,
                    pos: field.value,
                };
                let counts = entry.tag == field.tag && is_known(self.tables, &entry, at);
                if !counts || !node.torn_oneofs.contains(&entry.oneof) {
                    continue;
                }
                let current = Current {
                    oneof: entry.oneof,
                    tag: field.tag,
                    start: field.start,
                };
                let known = self.state.oneofs.get_mut(place.oneofs..).unwrap_or_default();
                match known.iter_mut().find(|known| known.oneof == entry.oneof) {
                    Some(known) if known.tag == field.tag => {}
                    Some(known) => *known = current,
                    None => self.state.oneofs.push(current),
                }
            }
        }
        Ok(())
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

    /// Whether a later member of its oneof has put it out.
    fn is_put_out(&self, place: &Place, field: &Field) -> bool {
        let known = self.state.oneofs.get(place.oneofs..).unwrap_or_default();
        if known.is_empty() {
            return false;
        }
        let message = self.nodes(place.active.clone()).find_map(|node| node.message);
        let Some(message) = message else {
            return false;
        };
        let entry = self.tables.message(message).entry(field.number());
        let current = known.iter().find(|known| known.oneof == entry.oneof);
        entry.tag == field.tag
            && current.is_some_and(|current| current.tag != field.tag || field.start < current.start)
    }

    fn fate(&mut self, place: &Place, frame: u32, field: &Field) -> Scan<Fate> {
        let (number, mask) = (field.number(), self.mask);
        let mut fate = Fate::Cut;
        let mut position = None;
        for at in place.active.clone() {
            let node = self
                .state
                .active
                .get(at)
                .and_then(|node| mask.nodes.get(*node as usize));
            let Some(rule) = node.and_then(|node| node.find(number)) else {
                continue;
            };
            if !rule.target.takes(field.tag) {
                continue;
            }
            if rule.target.is_packed(field.tag) {
                return self.packed(place, frame, field, rule);
            }
            let at = At {
                bytes: self.bytes,
                pos: field.value,
            };
            if rule.checked && !is_known(self.tables, &rule.target.entry, at) {
                continue;
            }
            let element = match position {
                Some(element) => element,
                None => *position.insert(self.pass_element(place, number, field)?),
            };
            for (select, child) in &rule.selections {
                if !self.is_selected(place, rule, select, element, field)? {
                    continue;
                }
                if *child == WHOLE {
                    return Ok(Fate::Kept);
                }
                self.state.active.push(*child);
                fate = Fate::Trimmed;
            }
        }
        Ok(fate)
    }

    /// The index of an element and how many there are; zeros for what nobody counts.
    fn pass_element(&mut self, place: &Place, number: u32, field: &Field) -> Scan<(usize, usize)> {
        self.state.elements += 1;
        if self.state.elements > self.limits.elements {
            return Err(Fault::new(
                DecodeErrorKind::TooManyElements,
                self.bytes,
                field.start,
            ));
        }
        let counters = self.state.counters.get_mut(place.counters..).unwrap_or_default();
        let counter = counters.iter_mut().find(|counter| counter.number == number);
        Ok(counter.map_or((0, 0), |counter| {
            counter.passed += 1;
            (counter.passed - 1, counter.total)
        }))
    }

    fn is_selected(
        &self,
        place: &Place,
        rule: &Rule,
        select: &Select,
        (index, total): (usize, usize),
        field: &Field,
    ) -> Scan<bool> {
        let Some((key_target, value)) = &rule.entry else {
            return Ok(select.takes_element(index, total));
        };
        let entry = self.bytes.get(field.body..field.end).unwrap_or_default();
        match select {
            Select::Key(key) if !key_of(key_target, entry, place.depth)?.is(key) => Ok(false),
            _ if rule.checked_entry() => is_entry(self.tables, value, entry, place.depth),
            _ => Ok(true),
        }
    }

    /// Cuts out of a packed list what no rule selects.
    fn packed(&mut self, place: &Place, frame: u32, field: &Field, rule: &Rule) -> Scan<Fate> {
        let number = field.number();
        let everything = self
            .selections(place, number)
            .any(|select| *select == Select::All);
        if everything {
            return Ok(Fate::Kept);
        }
        let mark = self.plan.mark();
        let inner = self.plan.frame(frame, field);
        let mut stays = field.end == field.body;
        let mut elements = Elements::new(self.tables, &rule.target, self.bytes, field);
        while let Some((range, known)) = elements.next()? {
            if !known {
                stays = true;
                continue;
            }
            let (index, total) = self.pass_element(place, number, field)?;
            if self
                .selections(place, number)
                .any(|select| select.takes_element(index, total))
            {
                stays = true;
            } else {
                self.plan.remove(inner, range);
            }
        }
        if stays {
            return Ok(Fate::Kept);
        }
        self.plan.rollback(mark);
        Ok(Fate::Cut)
    }

    /// All that is selected of a field.
    fn selections(&self, place: &Place, number: u32) -> impl Iterator<Item = &'p Select> + use<'p, '_> {
        self.nodes(place.active.clone())
            .filter_map(move |node| node.find(number))
            .flat_map(|rule| &rule.selections)
            .map(|(select, _)| select)
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

    fn check_allocation(&self, pos: usize) -> Scan<()> {
        if self.plan.held() + self.state.held() > self.limits.allocation {
            return Err(Fault::new(DecodeErrorKind::AllocationLimit, self.bytes, pos));
        }
        Ok(())
    }
}

impl Rule {
    /// Whether entries of a map are left out whose value a closed enum does not name.
    fn checked_entry(&self) -> bool {
        self.target.is_map() && self.checked
    }
}
