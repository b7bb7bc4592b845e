//! Lists whose elements each have a tag: those that stand together are read in one go.

use super::super::arena::List;
use super::scalar::scalar;
use super::{Decoder, Frame, NO_NODE, Next, packed, past_tag, upto};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{Entry, MessageTable, Op};

impl Decoder<'_> {
    /// Reads a list and the elements that follow its first at once. `at` is where its first tag begins and ends.
    #[inline(always)]
    pub(super) fn repeated(
        &mut self,
        entry: &Entry,
        source: &[u8],
        end: &mut usize,
        at: (usize, usize),
    ) -> Next {
        let (table, frame) = (self.table, self.frame);
        if entry.is(Entry::PACKED) {
            return self.packed(table, entry, frame, upto(source, *end), at.1);
        }
        if entry.is(Entry::MAP) {
            return self.map(table, entry, frame, upto(source, *end), at);
        }
        if entry.op == Op::Message && !self.tables.message(entry.sub).message_set {
            return self.enter_list(entry, source, end, at.1);
        }
        let first = !self.arena.has(frame.node, u32::from(entry.slot));
        if first && !matches!(entry.op, Op::EnumClosed | Op::Message | Op::Group) {
            return self.scalars(entry, source, *end, at.1);
        }
        self.elements(table, entry, frame, upto(source, *end), at)
    }

    /// Reads the scalars that stand together into a list that was empty; the tag of the first is past.
    fn scalars(&mut self, entry: &Entry, source: &[u8], end: usize, mut pos: usize) -> Next {
        let (table, frame) = (self.table, self.frame);
        let list_at = frame.node + table.slots_at + u32::from(entry.slot);
        let header = self.arena.begin_list();
        let header = header.map_err(|kind| self.failed(table, entry, kind, pos))?;
        let read = match entry.op {
            Op::String | Op::Bytes => self.push_scalars(Op::String, entry, source, end, &mut pos),
            op => self.push_scalars(op, entry, source, end, &mut pos),
        };
        let list = read
            .and_then(|()| self.arena.end_list(header))
            .and_then(|list| self.count(list));
        match list {
            Ok(list) => {
                self.arena.set_has(frame.node, u32::from(entry.slot));
                self.arena.set_word(list_at, list.to_word());
                Ok(pos)
            }
            Err(kind) => {
                let index = self.arena.since(header);
                Err(self.inside(DecodeError::new(kind, pos).in_element(index), table, entry))
            }
        }
    }

    #[inline(always)]
    fn push_scalars(
        &mut self,
        op: Op,
        entry: &Entry,
        source: &[u8],
        end: usize,
        at: &mut usize,
    ) -> Result<(), DecodeErrorKind> {
        loop {
            let mut pos = *at;
            let read = scalar(op, entry, source, end, &mut pos)?;
            if pos > end {
                return Err(DecodeErrorKind::Truncated);
            }
            if !read.regular {
                self.arena.touch(self.frame.node);
            }
            self.arena.push(read.value)?;
            *at = pos;
            match past_tag(source, end, pos, entry.tag) {
                Some(after) => *at = after,
                None => return Ok(()),
            }
        }
    }

    /// Counts a list's elements against the limit.
    #[inline(always)]
    pub(super) fn count(&mut self, list: List) -> Result<List, DecodeErrorKind> {
        let left = self.elements.checked_sub(list.len as usize);
        self.elements = left.ok_or(DecodeErrorKind::TooManyElements)?;
        Ok(list)
    }

    /// Reads the elements of a list that stand together, one by one.
    #[inline(never)]
    pub(super) fn elements(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        at: (usize, usize),
    ) -> Next {
        let tag = input.get(at.0..at.1).unwrap_or_default();
        let base = self.scratch.len();
        let mut pos = at.1;
        loop {
            pos = if matches!(entry.op, Op::Message | Op::Group) {
                self.message_element(table, entry, frame, input, (base, pos))?
            } else {
                self.scalar_element(table, entry, frame, input, (base, pos, tag.len()))?
            };
            self.check_room(self.scratch.len() - base)
                .map_err(|kind| self.failed(table, entry, kind, pos))?;
            if !follows(input, pos, tag) {
                break;
            }
            pos += tag.len();
        }
        self.commit(table, entry, frame, input, base)
            .map_err(|kind| self.failed(table, entry, kind, pos))?;
        Ok(pos)
    }

    #[inline(always)]
    fn message_element(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        (base, pos): (usize, usize),
    ) -> Next {
        match self.child(entry, NO_NODE, frame, input, pos) {
            Ok(next) => {
                self.scratch.push(u64::from(self.child));
                if !self.arena.is_verbatim(self.child) {
                    self.arena.touch(frame.node);
                }
                Ok(next)
            }
            Err(error) => Err(self.inside(error.in_element(self.scratch.len() - base), table, entry)),
        }
    }

    #[inline(always)]
    fn scalar_element(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        (base, start, tag_len): (usize, usize, usize),
    ) -> Next {
        let mut pos = start;
        let read = scalar(entry.op, entry, input, input.len(), &mut pos).map_err(|kind| {
            let index = self.scratch.len() - base;
            self.inside(DecodeError::new(kind, start).in_element(index), table, entry)
        })?;
        if entry.op == Op::EnumClosed && !self.knows(entry, read.value) {
            // The number leaves its place in the list, so the order of fields is not all that encoding would change.
            self.arena.touch(frame.node);
            self.unknown_span(frame, start - tag_len, pos)?;
            return Ok(pos);
        }
        if !read.regular {
            self.arena.touch(frame.node);
        }
        self.scratch.push(read.value);
        Ok(pos)
    }

    /// Checks that a list may have so many elements, and that what is being read has room.
    #[inline(always)]
    pub(super) fn check_room(&self, count: usize) -> Result<(), DecodeErrorKind> {
        if count > self.elements {
            return Err(DecodeErrorKind::TooManyElements);
        }
        if self.scratch.len() > self.most_scratch {
            return Err(DecodeErrorKind::AllocationLimit);
        }
        Ok(())
    }

    /// Moves what was read since `base` into the field's list.
    #[inline]
    pub(super) fn commit(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        base: usize,
    ) -> Result<(), DecodeErrorKind> {
        let count = self.scratch.len() - base;
        if count == 0 {
            return Ok(());
        }
        self.elements = self
            .elements
            .checked_sub(count)
            .ok_or(DecodeErrorKind::TooManyElements)?;
        let list_at = frame.node + table.slots_at + u32::from(entry.slot);
        if self.arena.set_has(frame.node, u32::from(entry.slot)) {
            self.arena.touch(frame.node);
            packed::unalias(self.arena, entry.op, list_at, input)?;
            let elements = self.scratch.get(base..).unwrap_or_default();
            self.arena.extend_list(list_at, elements, 1)?;
        } else {
            let list = self.arena.new_list(count)?;
            let elements = self.scratch.get(base..).unwrap_or_default();
            self.arena.slice_mut(list.at, count).copy_from_slice(elements);
            self.arena.set_word(list_at, list.to_word());
        }
        self.scratch.truncate(base);
        Ok(())
    }

    /// Puts an element on the scratch.
    #[inline(always)]
    pub(super) fn push_element(&mut self, word: u64, pos: usize) -> Result<(), DecodeError> {
        if self.scratch.len() == self.scratch.capacity() {
            self.grow_scratch().map_err(|kind| DecodeError::new(kind, pos))?;
        }
        self.scratch.push(word);
        Ok(())
    }

    /// Makes room on the scratch as far as the limit allows.
    #[cold]
    #[inline(never)]
    fn grow_scratch(&mut self) -> Result<(), DecodeErrorKind> {
        let len = self.scratch.len();
        if len >= self.most_scratch {
            return Err(DecodeErrorKind::AllocationLimit);
        }
        self.scratch.reserve(len.max(16));
        Ok(())
    }
}

/// Whether the next bytes are this tag again.
#[inline(always)]
pub(super) fn follows(input: &[u8], pos: usize, tag: &[u8]) -> bool {
    match tag {
        [one] => input.get(pos) == Some(one),
        _ => input.get(pos..).is_some_and(|rest| rest.starts_with(tag)),
    }
}
