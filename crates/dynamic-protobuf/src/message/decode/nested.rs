//! Messages inside of messages, without a call for each: the ones around wait on a stack.

use super::super::arena::At;
use super::scalar::len_before;
use super::{Decoder, Frame, NO_GROUP, Next, past_tag, upto};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{Entry, MessageTable};

/// A message around the one that is being read, and the field of it that leads there.
#[derive(Clone, Copy, Debug)]
pub(in crate::message) struct Around {
    node: At,
    /// Where its bytes end.
    end: u32,
    /// The field's tag.
    tag: u32,
    /// How many elements of the field are on the scratch, the one that is being read included; [`SINGULAR`] when it is no list.
    elements: u32,
}

/// Not a list.
const SINGULAR: u32 = u32::MAX;

impl<'d> Decoder<'d> {
    /// Begins to read a message whose tag is past.
    #[inline(always)]
    pub(super) fn enter(&mut self, entry: &Entry, source: &[u8], end: &mut usize, pos: usize) -> Next {
        let (table, node, slot) = (self.table, self.frame.node, u32::from(entry.slot));
        let inner = self.tables.message(entry.sub);
        if entry.oneof != 0 && self.leave_oneof(table, entry, node) {
            self.arena.touch(node);
        }
        if inner.message_set || self.arena.has(node, slot) {
            return self.singular_message(table, entry, self.frame, upto(source, *end), pos);
        }
        self.arena.set_has(node, slot);
        self.push(entry, *end, SINGULAR);
        let next = self.open(entry.sub, inner, source, end, pos)?;
        self.arena
            .set_word(node + table.slots_at + slot, u64::from(self.frame.node));
        Ok(next)
    }

    /// Begins to read the messages of a list; the tag of the first is past.
    #[inline(always)]
    pub(super) fn enter_list(&mut self, entry: &Entry, source: &[u8], end: &mut usize, pos: usize) -> Next {
        self.push(entry, *end, 1);
        let inner = self.tables.message(entry.sub);
        let next = self.open(entry.sub, inner, source, end, pos)?;
        self.push_element(u64::from(self.frame.node), pos)?;
        Ok(next)
    }

    /// Puts the message that is being read on the stack.
    #[inline(always)]
    fn push(&mut self, entry: &Entry, end: usize, elements: u32) {
        self.stack.push(Around {
            node: self.frame.node,
            end: end as u32,
            tag: entry.tag,
            elements,
        });
    }

    /// Makes a new node for a message whose length is next, and brings the end near.
    #[inline(always)]
    fn open(
        &mut self,
        message: u32,
        table: &'d MessageTable,
        source: &[u8],
        end: &mut usize,
        mut pos: usize,
    ) -> Next {
        let at = pos;
        if self.frame.depth == 0 {
            return Err(DecodeError::new(DecodeErrorKind::TooDeep, at));
        }
        let len = len_before(source, *end, &mut pos).map_err(|kind| DecodeError::new(kind, at))?;
        let node = self
            .arena
            .node(message, table, pos, len)
            .map_err(|kind| DecodeError::new(kind, at))?;
        self.table = table;
        self.frame = Frame {
            node,
            depth: self.frame.depth - 1,
            end_group: NO_GROUP,
        };
        *end = pos + len;
        Ok(pos)
    }

    /// Goes on after the end of a message, `source` being the whole input: with the next of its list, or the message around it.
    #[inline(always)]
    pub(super) fn leave(&mut self, source: &[u8], end: &mut usize, mut pos: usize) -> Next {
        let Some(around) = self.stack.last_mut() else {
            return Ok(pos);
        };
        let node = self.frame.node;
        *end = around.end as usize;
        if !self.arena.is_verbatim(node) {
            self.arena.touch(around.node);
        }
        self.frame.depth += 1;
        if around.elements != SINGULAR
            && let Some(after) = past_tag(source, *end, pos, around.tag)
        {
            around.elements += 1;
            pos = after;
            let next = self.open(self.arena.message_of(node), self.table, source, end, pos)?;
            self.push_element(u64::from(self.frame.node), pos)?;
            return Ok(next);
        }
        let around = *around;
        self.stack.pop();
        let table = self.tables.message(self.arena.message_of(around.node));
        self.table = table;
        self.frame.node = around.node;
        if around.elements != SINGULAR {
            let entry = table.entry_ref(around.tag >> 3);
            let base = self.scratch.len().saturating_sub(around.elements as usize);
            self.commit(table, entry, self.frame, source, base)
                .map_err(|kind| self.failed(table, entry, kind, pos))?;
        }
        Ok(pos)
    }

    /// Adds to an error where it happened, and forgets the messages above `base`.
    #[cold]
    pub(super) fn unwind(&mut self, mut error: DecodeError, base: usize) -> DecodeError {
        while self.stack.len() > base
            && let Some(around) = self.stack.pop()
        {
            if around.elements != SINGULAR {
                error = error.in_element(around.elements as usize - 1);
            }
            let table = self.tables.message(self.arena.message_of(around.node));
            error = self.inside(error, table, table.entry_ref(around.tag >> 3));
        }
        error
    }
}
