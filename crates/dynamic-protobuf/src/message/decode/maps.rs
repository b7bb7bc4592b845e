//! Maps: entries become pairs, ascending by key and without repetitions, so that a lookup is a binary search.

use super::super::arena::{List, unpack};
use super::{Decoder, Place, follows, scalar};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{Entry, MessageTable, Op};
use crate::wire;
use std::cmp::Ordering;

/// What an entry held.
struct Pair {
    key: u64,
    value: u64,
    regular: bool,
}

impl Decoder<'_> {
    /// Reads a map's entries: the first, whose tag at `start` is past, and those that follow it at once.
    pub(super) fn map(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &mut Place,
        input: &[u8],
        start: usize,
    ) -> Result<bool, DecodeError> {
        let tag = input.get(start..place.pos).unwrap_or_default();
        let base = self.scratch.len();
        let mut regular = true;
        let mut at = start;
        loop {
            let read = self.entry(entry, place, input);
            match read.map_err(|error| {
                self.inside(error.in_element((self.scratch.len() - base) / 2), table, entry)
            })? {
                Some(pair) => {
                    regular &= pair.regular;
                    self.scratch.extend_from_slice(&[pair.key, pair.value]);
                }
                None => self.unknown_span(place, at, place.pos)?,
            }
            if (self.scratch.len() - base) / 2 > self.elements {
                return Err(self.failed(table, entry, DecodeErrorKind::TooManyElements, place.pos));
            }
            if !follows(input, place.pos, tag) {
                break;
            }
            at = place.pos;
            place.pos += tag.len();
        }
        let whole = self.commit_map(table, entry, place, input, base);
        Ok(whole.map_err(|kind| self.failed(table, entry, kind, place.pos))? && regular)
    }

    /// Reads one entry; `None` when its value is a number that its closed enum does not know.
    fn entry(&mut self, map: &Entry, place: &mut Place, input: &[u8]) -> Result<Option<Pair>, DecodeError> {
        let tables = self.tables;
        let table = tables.message(map.sub);
        let (key_entry, value_entry) = (table.entry(1), table.entry(2));
        let at = place.pos;
        let depth = place
            .depth
            .checked_sub(1)
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::TooDeep, at))?;
        let len = wire::read_len(input, &mut place.pos).map_err(|kind| DecodeError::new(kind, at))?;
        let end = place.pos + len;
        let content = input.get(..end).unwrap_or_default();
        let mut inner = Place {
            node: 0,
            pos: place.pos,
            depth,
        };
        let (mut key, mut value) = (None, None);
        let mut regular = true;
        while inner.pos < end {
            let start = inner.pos;
            let tag =
                wire::read_tag(content, &mut inner.pos).map_err(|kind| DecodeError::new(kind, start))?;
            if tag == key_entry.tag {
                let read = scalar(&key_entry, content, &mut inner.pos)
                    .map_err(|kind| self.failed(table, &key_entry, kind, start))?;
                regular &= read.regular && key.is_none() && value.is_none();
                key = Some(read.value);
            } else if tag == value_entry.tag {
                let (word, shortest) = self.entry_value(table, &value_entry, &mut inner, content, value)?;
                regular &= shortest && value.is_none();
                value = Some(word);
            } else {
                regular = false;
                wire::skip_value(content, &mut inner.pos, tag, depth)
                    .map_err(|kind| DecodeError::new(kind, start))?;
            }
        }
        place.pos = end;
        regular &= key.is_some() && value.is_some();
        if value_entry.op == Op::EnumClosed && value.is_some_and(|value| !self.knows(&value_entry, value)) {
            return Ok(None);
        }
        let value = match value {
            Some(value) => value,
            None => self.missing_value(table, &value_entry, end)?,
        };
        Ok(Some(Pair {
            key: key.unwrap_or_default(),
            value,
            regular,
        }))
    }

    /// Reads an entry's value; a message that occurs twice in one entry is merged.
    #[inline]
    fn entry_value(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        inner: &mut Place,
        content: &[u8],
        before: Option<u64>,
    ) -> Result<(u64, bool), DecodeError> {
        if matches!(entry.op, Op::Message | Op::Group) {
            let merged = before.map(|node| node as u32);
            let child = self
                .child(entry, merged, inner, content)
                .map_err(|error| self.inside(error, table, entry))?;
            if merged.is_some() {
                self.arena.touch(child);
            }
            return Ok((u64::from(child), self.arena.is_verbatim(child)));
        }
        let start = inner.pos;
        let read =
            scalar(entry, content, &mut inner.pos).map_err(|kind| self.failed(table, entry, kind, start))?;
        Ok((read.value, read.regular))
    }

    /// The value of an entry that has none: its type's default.
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

    /// Moves the pairs since `base` into the field's list; whether they were ascending and there was no list before.
    fn commit_map(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        place: &Place,
        input: &[u8],
        base: usize,
    ) -> Result<bool, DecodeErrorKind> {
        let count = (self.scratch.len() - base) / 2;
        if count == 0 {
            return Ok(true);
        }
        self.elements = self.elements.saturating_sub(count);
        let list_at = place.node + table.slots_at + u32::from(entry.slot);
        let fresh = !self.arena.set_has(place.node, u32::from(entry.slot));
        if fresh {
            self.arena.set_word(list_at, 0);
        }
        let pairs = self.scratch.get(base..).unwrap_or_default();
        self.arena.extend_list(list_at, pairs, 2)?;
        self.scratch.truncate(base);
        let key = self.tables.message(entry.sub).entry(1);
        let unique = self.order(&key, list_at, input)?;
        Ok(unique && fresh)
    }

    /// Makes the pairs of a list ascend, the last of each key remaining; whether none was dropped. The order of entries is free,
    /// so a map that only had to be sorted is still regular.
    fn order(&mut self, key: &Entry, list_at: u32, input: &[u8]) -> Result<bool, DecodeErrorKind> {
        let list = List::from_word(self.arena.word(list_at));
        let count = list.len as usize;
        let (pairs, _) = self.arena.slice_mut(list.at, count * 2).as_chunks_mut::<2>();
        let ascending = |pairs: &[[u64; 2]]| {
            pairs.windows(2).all(|pair| matches!(pair, [one, other] if compare(key, input, one[0], other[0]) == Ordering::Less))
        };
        if ascending(pairs) {
            return Ok(true);
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
        Ok(kept == count)
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
