//! Plans what one place of the tree of edits asks for, once its occurrences in a message are known.

use super::Change;
use super::apply::{Apply, Part};
use super::error::EditError;
use super::plan::ROOT;
use super::tree::Node;
use super::value::{Misfit, NewValue, Writer};
use crate::error::DecodeErrorKind;
use crate::message::Scalar;
use crate::path::{Key, Selector, Step};
use crate::view::scan::{Fault, Fields};
use crate::view::target::Target;
use std::ops::Range;

/// A node, and the message in which it is looked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) node: Node,
    pub(super) parts: Range<usize>,
    /// How many frames there were before the message's nodes made theirs.
    pub(super) frames: usize,
    pub(super) depth: u32,
}

/// A compiled key as a value to write.
pub(super) fn scalar(key: &Key) -> Scalar<'_> {
    match key {
        Key::Bool(key) => Scalar::Bool(*key),
        Key::Int(key) => Scalar::I64(*key),
        Key::Uint(key) => Scalar::U64(*key),
        Key::String(key) => Scalar::String(key),
    }
}

impl<'e> Apply<'_, 'e> {
    /// Plans what one node asks for, of which `hits` are the occurrences.
    pub(super) fn place(&mut self, place: &Place, hits: Range<usize>) -> Result<(), EditError> {
        let Some(step) = place.node.step(self.edits) else {
            return Ok(());
        };
        let hits = if step.target.entry.oneof == 0 {
            hits
        } else {
            match self.settle_oneof(hits, place.node.creates) {
                Some(hits) => hits,
                None => return Ok(()),
            }
        };
        match place.node.leaf.and_then(|leaf| self.edits.get(leaf as usize)) {
            Some(edit) => self.leaf(place, step, &edit.change, hits),
            None => self.descend(place, step, hits),
        }
    }

    /// Removes what a oneof has beside its current member, and that too when another one is to be set. `None` when
    /// another member is set and stays.
    fn settle_oneof(&mut self, hits: Range<usize>, creates: bool) -> Option<Range<usize>> {
        let all = self.hits.get(hits.clone()).unwrap_or_default();
        let Some(last) = all.last().copied() else {
            return Some(hits);
        };
        let current = all.iter().rposition(|hit| hit.field.tag != last.field.tag);
        let mut settled = hits.start + current.map_or(0, |at| at + 1);
        if last.sibling && creates {
            settled = hits.end;
        }
        self.remove_hits(hits.start..settled);
        (!last.sibling || creates).then_some(settled..hits.end)
    }

    pub(super) fn remove_hits(&mut self, hits: Range<usize>) {
        for hit in self.hits.get(hits).unwrap_or_default() {
            self.plan.remove(hit.frame, hit.range());
        }
    }

    fn descend(&mut self, place: &Place, step: &Step, hits: Range<usize>) -> Result<(), EditError> {
        let target = &step.target;
        if hits.is_empty() {
            if place.node.creates {
                if let Selector::Index(_) = step.selector {
                    let count = self.count_at(place, step)?;
                    return Err(self.out_of_range(place, count));
                }
                let end = self.end_of(place);
                let from = self.plan.scratch.len();
                self.build_node(&place.node, place.depth)?;
                self.plan.splice(end.frame, end.end..end.end, from);
            }
            return Ok(());
        }
        let depth = self.nested(place)?;
        let from = self.parts.len();
        match &step.selector {
            Selector::Whole | Selector::Index(_) => {
                for hit in self.hits.get(hits).unwrap_or_default() {
                    let frame = self.plan.frame(hit.frame, &hit.field);
                    self.parts.push(Part {
                        frame,
                        start: hit.field.body,
                        end: hit.field.end,
                    });
                }
            }
            Selector::Key { value, .. } => {
                self.remove_hits(hits.start..hits.end - 1);
                if !self.enter_entry(place, value, hits.end - 1)? {
                    return Ok(());
                }
            }
        }
        debug_assert!(target.is_message());
        let parts = from..self.parts.len();
        self.message(place.node.child, parts, depth)?;
        self.parts.truncate(from);
        Ok(())
    }

    /// Pushes the occurrences of the message in map entry `hit`. `false` when it has none, and all is planned.
    fn enter_entry(&mut self, place: &Place, value: &Target, hit: usize) -> Result<bool, EditError> {
        let Some(hit) = self.hits.get(hit).copied() else {
            return Ok(false);
        };
        let frame = self.plan.frame(hit.frame, &hit.field);
        let entry = Part {
            frame,
            start: hit.field.body,
            end: hit.field.end,
        };
        let mut fields = Fields::new(self.bytes.get(..entry.end).unwrap_or_default(), place.depth);
        fields.pos = entry.start;
        let mut any = false;
        while let Some(field) = fields
            .next()
            .map_err(|fault| self.locate_node(&place.node, fault))?
        {
            if field.tag == value.tag {
                let frame = self.plan.frame(frame, &field);
                self.parts.push(Part {
                    frame,
                    start: field.body,
                    end: field.end,
                });
                any = true;
            }
        }
        if !any && place.node.creates {
            let from = self.plan.scratch.len();
            self.build_message(value, place.node.child, place.depth)?;
            self.plan.splice(frame, entry.end..entry.end, from);
        }
        Ok(any)
    }

    fn leaf(
        &mut self,
        place: &Place,
        step: &Step,
        change: &Change<'_>,
        hits: Range<usize>,
    ) -> Result<(), EditError> {
        match (&step.selector, change) {
            (Selector::Whole, _) if step.target.is_list() => self.list(place, step, change, hits),
            (_, Change::Remove) if matches!(step.selector, Selector::Index(_)) => {
                self.remove_element(place, hits);
                Ok(())
            }
            (_, Change::Remove) => {
                self.remove_hits(hits);
                Ok(())
            }
            (Selector::Index(_), Change::Set(value)) => self.set_element(place, step, value, hits),
            (_, Change::Set(value)) => self.set(place, step, value, hits),
            (_, change) => Err(self.wrong_change(place, change)),
        }
    }

    /// Sets a singular field, a map's value, or all of a map.
    fn set(
        &mut self,
        place: &Place,
        step: &Step,
        value: &NewValue<'_>,
        hits: Range<usize>,
    ) -> Result<(), EditError> {
        let from = self.plan.scratch.len();
        self.build_value(place, step, value)?;
        if self.plan.scratch.len() == from && step.selector == Selector::Whole {
            self.remove_hits(hits);
            return Ok(());
        }
        let Some(last) = hits
            .clone()
            .next_back()
            .and_then(|last| self.hits.get(last))
            .copied()
        else {
            let end = self.end_of(place);
            self.plan.splice(end.frame, end.end..end.end, from);
            return Ok(());
        };
        self.plan.splice(last.frame, last.range(), from);
        self.remove_hits(hits.start..hits.end - 1);
        Ok(())
    }

    /// Writes the field with its value to the scratch; nothing, when that is the same as not setting it.
    pub(super) fn build_value(
        &mut self,
        place: &Place,
        step: &Step,
        value: &NewValue<'_>,
    ) -> Result<(), EditError> {
        let writer = self.writer(place.depth);
        let target = &step.target;
        let out = &mut self.plan.scratch;
        let written = match (&step.selector, value) {
            (Selector::Key { key, .. }, _) => writer.entry(out, target, &scalar(key), value),
            (Selector::Whole, NewValue::Map(entries)) if target.is_map() => entries
                .iter()
                .try_for_each(|(key, value)| writer.entry(out, target, key, value)),
            (Selector::Whole, NewValue::List(values)) if target.is_list() => {
                writer.list(out, target, values, false)
            }
            (Selector::Whole, _) if target.is_map() => Err(Misfit::Type("all entries of a map")),
            (Selector::Whole, _) if target.is_list() => Err(Misfit::Type("all elements of a list")),
            _ => {
                let from = out.len();
                let written = writer.field(out, target, value);
                if writer.is_implied(target, value) {
                    out.truncate(from);
                }
                written
            }
        };
        written.map_err(|misfit| misfit.at(place.node.path(self.edits)))
    }

    pub(super) fn writer(&self, depth: u32) -> Writer<'e> {
        Writer {
            tables: self.tables,
            depth,
        }
    }

    /// Where a field of the message around `place` can be appended.
    pub(super) fn end_of(&self, place: &Place) -> Part {
        let last = self.parts.get(place.parts.clone()).and_then(<[Part]>::last);
        last.copied().unwrap_or(Part {
            frame: ROOT,
            start: 0,
            end: self.bytes.len(),
        })
    }

    fn nested(&self, place: &Place) -> Result<u32, EditError> {
        place.depth.checked_sub(1).ok_or_else(|| {
            let fault = Fault::new(DecodeErrorKind::TooDeep, self.bytes, 0);
            self.locate_node(&place.node, fault)
        })
    }

    pub(super) fn wrong_change(&self, place: &Place, change: &Change<'_>) -> EditError {
        let (change, takes) = match change {
            Change::Set(_) => ("setting", "single values"),
            Change::Remove => ("removing", "what is set"),
            Change::Append(_) => ("appending", "whole lists"),
            Change::Insert(..) => ("inserting", "whole lists"),
            Change::Keep(_) => ("slicing", "whole lists"),
        };
        let path = place.node.path(self.edits).to_owned();
        EditError::WrongChange { path, change, takes }
    }
}
