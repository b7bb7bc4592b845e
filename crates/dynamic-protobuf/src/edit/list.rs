//! Edits of lists: their elements may stand alone, or packed, or both.

use super::Change;
use super::apply::{Apply, Elements, Hit};
use super::error::EditError;
use super::place::Place;
use super::value::NewValue;
use crate::error::DecodeErrorKind;
use crate::path::Step;
use crate::schema::tables::Entry;
use crate::view::scan::Fault;
use std::ops::Range;

impl Apply<'_, '_> {
    /// Plans a change of a whole list, of which `hits` are the occurrences.
    pub(super) fn list(
        &mut self,
        place: &Place,
        step: &Step,
        change: &Change<'_>,
        hits: Range<usize>,
    ) -> Result<(), EditError> {
        match change {
            Change::Set(value) => self.replace_list(place, step, value, hits),
            Change::Remove => self.keep_elements(place, step, hits, 0..0),
            Change::Keep(range) => self.keep_elements(place, step, hits, range.clone()),
            Change::Append(values) => self.append(place, step, values, hits),
            Change::Insert(index, values) => self.insert(place, step, *index, values, hits),
        }
    }

    fn replace_list(
        &mut self,
        place: &Place,
        step: &Step,
        value: &NewValue<'_>,
        hits: Range<usize>,
    ) -> Result<(), EditError> {
        let from = self.plan.scratch.len();
        self.build_value(place, step, value)?;
        let (frame, at) = match self.hits.get(hits.clone()).and_then(<[Hit]>::first) {
            Some(first) => (first.frame, first.field.start),
            None => {
                let end = self.end_of(place);
                (end.frame, end.end)
            }
        };
        if self.plan.scratch.len() > from {
            self.plan.splice(frame, at..at, from);
        }
        self.keep_elements(place, step, hits, 0..0)
    }

    /// Removes all elements whose index is not in `kept`.
    fn keep_elements(
        &mut self,
        place: &Place,
        step: &Step,
        hits: Range<usize>,
        kept: Range<usize>,
    ) -> Result<(), EditError> {
        let mut index = 0;
        for at in hits {
            let Some(hit) = self.hits.get(at).copied() else {
                continue;
            };
            if step.target.is_packed(hit.field.tag) {
                self.keep_packed(place, step, &hit, &kept, &mut index)?;
                continue;
            }
            if !kept.contains(&index) {
                self.plan.remove(hit.frame, hit.range());
            }
            index += 1;
        }
        Ok(())
    }

    fn keep_packed(
        &mut self,
        place: &Place,
        step: &Step,
        hit: &Hit,
        kept: &Range<usize>,
        index: &mut usize,
    ) -> Result<(), EditError> {
        let first = *index;
        let mut stays = false;
        let mut elements = Elements::new(self.tables, &step.target, self.bytes, &hit.field);
        while let Some((_, known)) = elements
            .next()
            .map_err(|fault| self.locate_node(&place.node, fault))?
        {
            stays |= !known || kept.contains(index);
            *index += usize::from(known);
            if *index > self.limits.elements {
                let fault = Fault::new(DecodeErrorKind::TooManyElements, self.bytes, hit.field.start);
                return Err(self.locate_node(&place.node, fault));
            }
        }
        if !stays {
            self.plan.remove(hit.frame, hit.range());
            return Ok(());
        }
        let frame = self.plan.frame_again(place.frames, hit.frame, &hit.field);
        *index = first;
        let mut elements = Elements::new(self.tables, &step.target, self.bytes, &hit.field);
        while let Some((range, known)) = elements
            .next()
            .map_err(|fault| self.locate_node(&place.node, fault))?
        {
            if known && !kept.contains(index) {
                self.plan.remove(frame, range);
                self.check_allocation()?;
            }
            *index += usize::from(known);
        }
        Ok(())
    }

    fn append(
        &mut self,
        place: &Place,
        step: &Step,
        values: &[NewValue<'_>],
        hits: Range<usize>,
    ) -> Result<(), EditError> {
        if values.is_empty() {
            return Ok(());
        }
        let last = hits.last().and_then(|last| self.hits.get(last)).copied();
        if let Some(hit) = last.filter(|hit| step.target.is_packed(hit.field.tag)) {
            let frame = self.plan.frame_again(place.frames, hit.frame, &hit.field);
            return self.put_packed(place, step, values, frame, hit.field.end..hit.field.end);
        }
        let end = self.end_of(place);
        let from = self.plan.scratch.len();
        self.put_list(place, step, values, false)?;
        self.plan.splice(end.frame, end.end..end.end, from);
        Ok(())
    }

    fn insert(
        &mut self,
        place: &Place,
        step: &Step,
        index: usize,
        values: &[NewValue<'_>],
        hits: Range<usize>,
    ) -> Result<(), EditError> {
        let mut passed = 0;
        for at in hits.clone() {
            let Some(hit) = self.hits.get(at).copied() else {
                continue;
            };
            if step.target.is_packed(hit.field.tag) {
                if let Some(pos) = self.position_in_run(place, step, &hit, index, &mut passed)? {
                    let frame = self.plan.frame_again(place.frames, hit.frame, &hit.field);
                    return self.put_packed(place, step, values, frame, pos..pos);
                }
                continue;
            }
            if passed == index {
                let from = self.plan.scratch.len();
                self.put_list(place, step, values, true)?;
                self.plan
                    .splice(hit.frame, hit.field.start..hit.field.start, from);
                return Ok(());
            }
            passed += 1;
        }
        if passed == index {
            return self.append(place, step, values, hits);
        }
        Err(self.out_of_range(place, passed))
    }

    /// Where element `index` begins, when it is in this packed occurrence.
    fn position_in_run(
        &self,
        place: &Place,
        step: &Step,
        hit: &Hit,
        index: usize,
        passed: &mut usize,
    ) -> Result<Option<usize>, EditError> {
        let failed = |fault: Fault| self.locate_node(&place.node, fault);
        let mut elements = Elements::new(self.tables, &step.target, self.bytes, &hit.field);
        while let Some((range, known)) = elements.next().map_err(failed)? {
            if known && *passed == index {
                return Ok(Some(range.start));
            }
            *passed += usize::from(known);
        }
        Ok(None)
    }

    /// Sets the element that is the only one in `hits`.
    pub(super) fn set_element(
        &mut self,
        place: &Place,
        step: &Step,
        value: &NewValue<'_>,
        hits: Range<usize>,
    ) -> Result<(), EditError> {
        let Some(hit) = self.hits.get(hits).and_then(<[Hit]>::first).copied() else {
            let count = self.count_at(place, step)?;
            return Err(self.out_of_range(place, count));
        };
        if let Some((start, end)) = hit.element {
            let frame = self.plan.frame_again(place.frames, hit.frame, &hit.field);
            return self.put_packed(place, step, std::slice::from_ref(value), frame, start..end);
        }
        let from = self.plan.scratch.len();
        self.put_list(place, step, std::slice::from_ref(value), true)?;
        self.plan.splice(hit.frame, hit.range(), from);
        Ok(())
    }

    /// Removes the element that is the only one in `hits`; the packed list too, when there is no other in it.
    pub(super) fn remove_element(&mut self, place: &Place, hits: Range<usize>) {
        let Some(hit) = self.hits.get(hits).and_then(<[Hit]>::first).copied() else {
            return;
        };
        match hit.element {
            Some((start, end)) if (start, end) != (hit.field.body, hit.field.end) => {
                let frame = self.plan.frame_again(place.frames, hit.frame, &hit.field);
                self.plan.remove(frame, start..end);
            }
            _ => self.plan.remove(hit.frame, hit.range()),
        }
    }

    /// Puts elements without tags in the place of `range`.
    fn put_packed(
        &mut self,
        place: &Place,
        step: &Step,
        values: &[NewValue<'_>],
        frame: u32,
        range: Range<usize>,
    ) -> Result<(), EditError> {
        let from = self.plan.scratch.len();
        let writer = self.writer(place.depth);
        for value in values {
            let written = writer.payload(&mut self.plan.scratch, &step.target, value);
            written.map_err(|misfit| misfit.at(place.node.path(self.edits)))?;
        }
        self.plan.splice(frame, range, from);
        Ok(())
    }

    /// Writes elements with tags to the scratch.
    pub(super) fn put_list(
        &mut self,
        place: &Place,
        step: &Step,
        values: &[NewValue<'_>],
        loose: bool,
    ) -> Result<(), EditError> {
        let loose = loose || !step.target.entry.is(Entry::PACKED);
        let writer = self.writer(place.depth);
        let written = writer.list(&mut self.plan.scratch, &step.target, values, loose);
        written.map_err(|misfit| misfit.at(place.node.path(self.edits)))
    }

    pub(super) fn count_at(&self, place: &Place, step: &Step) -> Result<usize, EditError> {
        self.count(&step.target, place.parts.clone(), place.depth)
            .map_err(|fault| self.locate_node(&place.node, fault))
    }

    pub(super) fn out_of_range(&self, place: &Place, count: usize) -> EditError {
        let path = place.node.path(self.edits).to_owned();
        EditError::OutOfRange { path, count }
    }
}
