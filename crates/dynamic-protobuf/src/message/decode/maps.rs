//! Maps: entries become pairs, ascending by key and without repetitions, so that a lookup is a binary search.

use super::super::arena::{List, unpack};
use super::lists::follows;
use super::scalar::scalar;
use super::{Decoder, Frame, NO_NODE, Next, past_tag};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{Entry, MessageTable, Op};
use crate::wire;
use std::cmp::Ordering;

/// What an entry holds, as far as it is read.
#[derive(Default)]
struct Pair {
    key: Option<u64>,
    value: Option<u64>,
    irregular: bool,
}

impl Decoder<'_> {
    /// Reads a map's entries that stand together. `at` is where the first one's tag begins and ends.
    #[inline(never)]
    pub(super) fn map(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        at: (usize, usize),
    ) -> Next {
        let tag = input.get(at.0..at.1).unwrap_or_default();
        let tables = self.tables;
        let entry_table = tables.message(entry.sub);
        let base = self.scratch.len();
        let (mut start, mut pos) = at;
        loop {
            pos = self
                .entry(entry_table, frame, input, (start, pos))
                .map_err(|error| {
                    let index = (self.scratch.len() - base) / 2;
                    self.inside(error.in_element(index), table, entry)
                })?;
            self.check_room((self.scratch.len() - base) / 2)
                .map_err(|kind| self.failed(table, entry, kind, pos))?;
            if !follows(input, pos, tag) {
                break;
            }
            start = pos;
            pos += tag.len();
        }
        self.commit_map(table, entry, frame, input, base)
            .map_err(|kind| self.failed(table, entry, kind, pos))?;
        Ok(pos)
    }

    /// Reads one entry, whose tag stands at `at`, onto the scratch; one whose value its closed enum does not know is kept as
    /// unknown field.
    #[inline]
    fn entry(&mut self, table: &MessageTable, frame: Frame, input: &[u8], at: (usize, usize)) -> Next {
        let (start, mut pos) = at;
        if let Some((pair, regular, end)) = self.usual_entry(table, input, pos) {
            if !regular {
                self.arena.touch(frame.node);
            }
            self.scratch.extend_from_slice(&pair);
            return Ok(end);
        }
        let depth = frame
            .depth
            .checked_sub(1)
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::TooDeep, start))?;
        let len = wire::read_len(input, &mut pos).map_err(|kind| DecodeError::new(kind, start))?;
        let end = pos + len;
        let content = input.get(..end).unwrap_or_default();
        let value_entry = table.entry_ref(2);
        let mut pair = Pair::default();
        while pos < end {
            pos = self.entry_field(table, Frame { depth, ..frame }, content, pos, &mut pair)?;
        }
        if value_entry.op == Op::EnumClosed && pair.value.is_some_and(|value| !self.knows(value_entry, value))
        {
            self.unknown_span(frame, start, end)?;
            return Ok(end);
        }
        if pair.irregular || pair.key.is_none() || pair.value.is_none() {
            self.arena.touch(frame.node);
        }
        let value = match pair.value {
            Some(value) => value,
            None => self.missing_value(table, value_entry, end)?,
        };
        self.scratch
            .extend_from_slice(&[pair.key.unwrap_or_default(), value]);
        Ok(end)
    }

    /// Reads an entry as encoders write it, from its length on: a key, then a value, both scalars. `None` for all others.
    #[inline(always)]
    fn usual_entry(
        &self,
        table: &MessageTable,
        input: &[u8],
        mut pos: usize,
    ) -> Option<([u64; 2], bool, usize)> {
        let (key, value) = (table.entry_ref(1), table.entry_ref(2));
        let len = wire::read_len(input, &mut pos).ok()?;
        let end = pos + len;
        if matches!(value.op, Op::Message | Op::Group | Op::EnumClosed) {
            return None;
        }
        pos = past_tag(input, end, pos, key.tag)?;
        let first = scalar(key.op, key, input, end, &mut pos).ok()?;
        pos = past_tag(input, end, pos, value.tag)?;
        let second = scalar(value.op, value, input, end, &mut pos).ok()?;
        (pos == end).then_some(([first.value, second.value], first.regular && second.regular, end))
    }

    #[inline(never)]
    fn entry_field(
        &mut self,
        table: &MessageTable,
        frame: Frame,
        content: &[u8],
        start: usize,
        pair: &mut Pair,
    ) -> Next {
        let mut pos = start;
        let tag = wire::read_tag(content, &mut pos).map_err(|kind| DecodeError::new(kind, start))?;
        let (key, value) = (table.entry_ref(1), table.entry_ref(2));
        if tag == key.tag {
            let read = scalar(key.op, key, content, content.len(), &mut pos)
                .map_err(|kind| self.failed(table, key, kind, start))?;
            pair.irregular |= !read.regular || pair.key.is_some() || pair.value.is_some();
            pair.key = Some(read.value);
        } else if tag == value.tag && matches!(value.op, Op::Message | Op::Group) {
            // A message that occurs twice in one entry is merged.
            let merged = pair.value.map_or(NO_NODE, |node| node as u32);
            pos = self
                .child(value, merged, frame, content, pos)
                .map_err(|error| self.inside(error, table, value))?;
            pair.irregular |= merged != NO_NODE || !self.arena.is_verbatim(self.child);
            if merged != NO_NODE {
                self.arena.touch(self.child);
            }
            pair.value = Some(u64::from(self.child));
        } else if tag == value.tag {
            let read = scalar(value.op, value, content, content.len(), &mut pos)
                .map_err(|kind| self.failed(table, value, kind, start))?;
            pair.irregular |= !read.regular || pair.value.is_some();
            pair.value = Some(read.value);
        } else {
            pair.irregular = true;
            wire::skip_value(content, &mut pos, tag, frame.depth)
                .map_err(|kind| DecodeError::new(kind, start))?;
        }
        Ok(pos)
    }

    /// The value of an entry that has none: its type's default.
    #[cold]
    fn missing_value(&mut self, table: &MessageTable, entry: &Entry, at: usize) -> Result<u64, DecodeError> {
        if matches!(entry.op, Op::Message | Op::Group) {
            let tables = self.tables;
            let node = self.arena.node(entry.sub, tables.message(entry.sub), at, 0);
            return node
                .map(u64::from)
                .map_err(|kind| self.failed(table, entry, kind, at));
        }
        Ok(self.default_of(table, entry))
    }

    /// Moves the pairs since `base` into the field's list.
    fn commit_map(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        base: usize,
    ) -> Result<(), DecodeErrorKind> {
        let pairs = self.scratch.get(base..).unwrap_or_default();
        if pairs.is_empty() {
            return Ok(());
        }
        self.elements = self.elements.saturating_sub(pairs.len() / 2);
        let list_at = frame.node + table.slots_at + u32::from(entry.slot);
        if self.arena.set_has(frame.node, u32::from(entry.slot)) {
            self.arena.touch(frame.node);
        } else {
            self.arena.set_word(list_at, 0);
        }
        self.arena.extend_list(list_at, pairs, 2)?;
        self.scratch.truncate(base);
        let tables = self.tables;
        if !self.order(tables.message(entry.sub).entry_ref(1), list_at, input) {
            self.arena.touch(frame.node);
        }
        Ok(())
    }

    /// Makes the pairs of a list ascend, the last of each key remaining; whether none was dropped. The order of entries is free,
    /// so a map that only had to be sorted is still regular.
    fn order(&mut self, key: &Entry, list_at: u32, input: &[u8]) -> bool {
        let list = List::from_word(self.arena.word(list_at));
        let count = list.len as usize;
        let (pairs, _) = self.arena.slice_mut(list.at, count * 2).as_chunks_mut::<2>();
        let ascending = |pairs: &[[u64; 2]]| {
            pairs.windows(2).all(|pair| matches!(pair, [one, other] if compare(key, input, one[0], other[0]) == Ordering::Less))
        };
        if ascending(pairs) {
            return true;
        }
        let base = self.scratch.len();
        self.scratch.extend(0..count as u64);
        let order = self.scratch.get_mut(base..).unwrap_or_default();
        order.sort_unstable_by(|one, other| {
            compare(key, input, pairs[*one as usize][0], pairs[*other as usize][0]).then(one.cmp(other))
        });
        let kept = dedup(key, input, pairs, order);
        // The permutation is applied by way of the scratch, so that nothing is allocated in the steady state.
        for at in 0..kept {
            let pair = pairs[self.scratch[base + at] as usize];
            self.scratch.extend_from_slice(&pair);
        }
        let sorted = self.scratch.get(base + count..).unwrap_or_default();
        for (pair, words) in pairs.iter_mut().zip(sorted.as_chunks::<2>().0) {
            *pair = *words;
        }
        self.scratch.truncate(base);
        self.arena.set_word(
            list_at,
            List {
                len: kept as u32,
                ..list
            }
            .to_word(),
        );
        kept == count
    }
}

/// Moves the last index of each key to the front of `order`, and returns how many keys there are.
fn dedup(key: &Entry, input: &[u8], pairs: &[[u64; 2]], order: &mut [u64]) -> usize {
    let mut kept = 0;
    for at in 0..order.len() {
        let this = order[at];
        let last_of_key = order.get(at + 1).is_none_or(|next| {
            compare(key, input, pairs[this as usize][0], pairs[*next as usize][0]) != Ordering::Equal
        });
        if last_of_key {
            order[kept] = this;
            kept += 1;
        }
    }
    kept
}

/// The order of two keys as slots hold them: by bytes for strings, else by number.
#[inline(always)]
fn compare(key: &Entry, input: &[u8], one: u64, other: u64) -> Ordering {
    match key.op {
        Op::String => text(input, one).cmp(text(input, other)),
        Op::Uint32 | Op::Fixed32 | Op::Bool => one.cmp(&other),
        // Unsigned numbers of 64 bits share their op with signed ones; any one order does for search.
        _ => (one as i64).cmp(&(other as i64)),
    }
}

#[inline(always)]
fn text(input: &[u8], word: u64) -> &[u8] {
    let (offset, len) = unpack(word);
    input
        .get(offset as usize..offset as usize + len as usize)
        .unwrap_or_default()
}
