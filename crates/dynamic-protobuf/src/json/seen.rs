//! Which fields and oneofs of a message occurred: bits in two words, or on a stack for messages with more than 64.

use crate::schema::tables::{Entry, MessageTable};

/// The words of the messages under way that have more than 64 fields or oneofs.
#[derive(Debug, Default)]
pub(super) struct SeenStack {
    words: Vec<u64>,
}

/// The fields and oneofs of one message that occurred so far.
#[derive(Debug)]
pub(super) struct Seen {
    /// Those of the first 64 slots.
    slots: u64,
    /// Those of the first 64 oneofs.
    oneofs: u64,
    /// Where the words of the others begin on the stack.
    base: usize,
}

impl SeenStack {
    #[inline(always)]
    pub(super) fn open(&mut self, table: &MessageTable) -> Seen {
        let base = self.words.len();
        if table.field_count() > 64 || table.oneofs.len() > 64 {
            let words = table.field_count().div_ceil(64) + table.oneofs.len().div_ceil(64);
            self.words.resize(base + words, 0);
        }
        Seen {
            slots: 0,
            oneofs: 0,
            base,
        }
    }

    /// Gives back what `open` took.
    #[inline(always)]
    pub(super) fn close(&mut self, seen: &Seen) {
        self.words.truncate(seen.base);
    }

    /// The height of the stack, to come back to.
    pub(super) fn mark(&self) -> usize {
        self.words.len()
    }

    /// Gives back what was opened since the mark.
    pub(super) fn back_to(&mut self, mark: usize) {
        self.words.truncate(mark);
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
    }

    /// Marks a field, and reports whether it was not marked before.
    #[inline(always)]
    pub(super) fn first(&mut self, seen: &mut Seen, entry: Entry) -> bool {
        match entry.slot {
            slot @ 0..64 => mark(&mut seen.slots, usize::from(slot)),
            slot => self.mark_far(seen.base, usize::from(slot)),
        }
    }

    /// Marks a field's oneof, and reports whether it was not marked before, or there is none.
    #[inline(always)]
    pub(super) fn first_of_oneof(&mut self, seen: &mut Seen, entry: Entry) -> bool {
        match entry.oneof {
            0 => true,
            oneof @ 1..=64 => mark(&mut seen.oneofs, usize::from(oneof - 1)),
            // Oneofs are counted from the end, so that the number of fields need not be known.
            oneof => {
                let last = (self.words.len() - seen.base) * 64;
                self.mark_far(seen.base, last - usize::from(oneof))
            }
        }
    }

    #[inline(never)]
    fn mark_far(&mut self, base: usize, bit: usize) -> bool {
        self.words
            .get_mut(base + bit / 64)
            .is_some_and(|word| mark(word, bit % 64))
    }

    /// Whether a field was marked.
    pub(super) fn has(&self, seen: &Seen, slot: u16) -> bool {
        let word = match slot {
            0..64 => Some(&seen.slots),
            slot => self.words.get(seen.base + usize::from(slot) / 64),
        };
        word.is_some_and(|word| word >> (slot % 64) & 1 != 0)
    }
}

#[inline(always)]
fn mark(word: &mut u64, bit: usize) -> bool {
    let mask = 1u64 << (bit & 63);
    let fresh = *word & mask == 0;
    *word |= mask;
    fresh
}
