//! Decides what becomes of a field: whether it is kept, cut out, or trimmed inside.

use super::super::apply::Elements;
use super::super::mask::{Node, Rule, Select, WHOLE};
use super::{Counter, Current, Fate, Place, Trim};
use crate::error::DecodeErrorKind;
use crate::view::scan::{At, Fault, Field, Scan};
use crate::view::seek::{count_of, is_entry, key_of};
use crate::view::target::is_known;

impl<'p> Trim<'p> {
    /// Counts and settles beforehand what a field's fate may depend on.
    pub(super) fn prepare(&mut self, place: &Place) -> Scan<()> {
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

    /// Whether a later member of its oneof has put it out.
    pub(super) fn is_put_out(&self, place: &Place, field: &Field) -> bool {
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

    pub(super) fn fate(&mut self, place: &Place, frame: u32, field: &Field) -> Scan<Fate> {
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
                self.check_allocation(field.start)?;
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
}

impl Rule {
    /// Whether entries of a map are left out whose value a closed enum does not name.
    fn checked_entry(&self) -> bool {
        self.target.is_map() && self.checked
    }
}
