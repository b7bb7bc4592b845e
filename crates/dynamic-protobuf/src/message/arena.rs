//! The storage of decoded messages: one vector of words that is reused from message to message.
//!
//! A message is a node: a header of three words (type and flags, its span in the source, its unknown fields), presence bits, and
//! one word, its slot, for each field of the type. Slots hold numbers as they are, strings and bytes as offset and length, messages
//! as the index of their node, and lists as index and length of a run of such words elsewhere in the arena; a map is a list of
//! pairs by ascending key. Offsets count through the source and on through the bytes that edits have added.

use crate::error::DecodeErrorKind;
use crate::schema::tables::MessageTable;

/// The index of a word.
pub(crate) type At = u32;

const SPAN: At = 1;
const UNKNOWN: At = 2;
const PRESENCE: At = 3;

/// The node is exactly what encoding it would write, so its span of the source is copied instead.
const VERBATIM: u64 = 1 << 32;
/// Where the slot of the only field in which the node may differ from its span stands, one more than it; zero says nothing.
const CHANGED_AT: u32 = 48;
/// The list's elements stand in the source, one after the other, in the width that their type has there.
const ALIASED: u32 = 1 << 31;

/// Where the slots of a message with so many fields begin.
pub(crate) const fn slots_at(fields: usize) -> At {
    let words = fields.div_ceil(64);
    PRESENCE + if words == 0 { 1 } else { words as At }
}

/// Two numbers of 32 bits in one word.
#[inline(always)]
pub(crate) const fn pack(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The inverse of [`pack`].
#[inline(always)]
pub(crate) const fn unpack(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// A list as its slot holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    /// The first element's word, or its offset in the source when aliased.
    pub(crate) at: u32,
    /// How many elements, or pairs.
    pub(crate) len: u32,
    pub(crate) aliased: bool,
}

impl List {
    #[inline(always)]
    pub(crate) fn from_word(word: u64) -> Self {
        let (at, len) = unpack(word);
        Self {
            at,
            len: len & !ALIASED,
            aliased: len & ALIASED != 0,
        }
    }

    #[inline(always)]
    pub(crate) fn to_word(self) -> u64 {
        pack(self.at, self.len | if self.aliased { ALIASED } else { 0 })
    }
}

/// The words. Index 0 is never a node or an element, so that it can stand for nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    words: Vec<u64>,
    used: usize,
    /// How many words there may be.
    most: usize,
}

impl Arena {
    /// Forgets everything but keeps the memory.
    pub(crate) fn clear(&mut self, most_bytes: usize) {
        self.used = 1;
        self.most = (most_bytes / 8).clamp(1, u32::MAX as usize);
    }

    #[inline(always)]
    pub(crate) fn word(&self, at: At) -> u64 {
        self.words[at as usize]
    }

    #[inline(always)]
    pub(crate) fn set_word(&mut self, at: At, word: u64) {
        self.words[at as usize] = word;
    }

    #[inline(always)]
    pub(crate) fn slice(&self, at: At, len: usize) -> &[u64] {
        &self.words[at as usize..at as usize + len]
    }

    #[inline(always)]
    pub(crate) fn slice_mut(&mut self, at: At, len: usize) -> &mut [u64] {
        &mut self.words[at as usize..at as usize + len]
    }

    /// Takes so many words; what is in them is left over from earlier messages.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: usize) -> Result<At, DecodeErrorKind> {
        let at = self.used;
        let end = at + count;
        if end > self.words.len() {
            self.grow(end)?;
        }
        self.used = end;
        Ok(at as At)
    }

    /// Takes one word, next to the one taken before, and sets it.
    #[inline(always)]
    pub(crate) fn push(&mut self, word: u64) -> Result<(), DecodeErrorKind> {
        let at = self.take(1)?;
        self.set_word(at, word);
        Ok(())
    }

    /// Begins a list whose elements are then pushed one by one, with nothing else taken in between; returns where it begins.
    #[inline(always)]
    pub(crate) fn begin_list(&mut self) -> Result<At, DecodeErrorKind> {
        self.take(1)
    }

    /// How many words were pushed since a list began at `header`.
    pub(crate) fn since(&self, header: At) -> usize {
        self.used - header as usize - 1
    }

    /// The list of what was pushed since it began at `header`.
    #[inline(always)]
    pub(crate) fn end_list(&mut self, header: At) -> Result<List, DecodeErrorKind> {
        let len = self.since(header);
        if len >= ALIASED as usize {
            return Err(DecodeErrorKind::TooManyElements);
        }
        self.set_word(header, len as u64);
        Ok(List {
            at: header + 1,
            len: len as u32,
            aliased: false,
        })
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, needed: usize) -> Result<(), DecodeErrorKind> {
        if needed > self.most {
            return Err(DecodeErrorKind::AllocationLimit);
        }
        let doubled = (self.words.len() * 2).clamp(64, self.most.max(64));
        self.words.resize(doubled.max(needed), 0);
        Ok(())
    }

    /// A new message without fields, whose content is this span of the source.
    #[inline(always)]
    pub(crate) fn node(
        &mut self,
        message: u32,
        table: &MessageTable,
        start: usize,
        len: usize,
    ) -> Result<At, DecodeErrorKind> {
        let slots_at = table.slots_at as usize;
        let node = self.take(slots_at + table.field_count())?;
        let head = self.slice_mut(node, slots_at);
        // Nearly all types have at most 64 fields: four words, and no call to fill them.
        let [type_and_flags, span, unknown, presence, more @ ..] = head else {
            return Ok(node);
        };
        *type_and_flags = u64::from(message) | VERBATIM;
        *span = pack(start as u32, len as u32);
        *unknown = 0;
        *presence = 0;
        if !more.is_empty() {
            more.fill(0);
        }
        Ok(node)
    }

    /// The index of the node's message type.
    #[inline(always)]
    pub(crate) fn message_of(&self, node: At) -> u32 {
        self.word(node) as u32
    }

    #[inline(always)]
    pub(crate) fn is_verbatim(&self, node: At) -> bool {
        self.word(node) & VERBATIM != 0
    }

    /// The node differs from its span from now on.
    #[inline(always)]
    pub(crate) fn touch(&mut self, node: At) {
        self.words[node as usize] &= u64::from(u32::MAX);
    }

    /// The node differs from its span from now on; in this field alone, if it did in no other before.
    pub(crate) fn touch_field(&mut self, node: At, slot: u16) {
        let head = self.word(node);
        let changed = u64::from(slot) + 1;
        let alone = head & VERBATIM != 0 || head >> CHANGED_AT == changed;
        self.touch(node);
        if alone {
            self.words[node as usize] |= changed << CHANGED_AT;
        }
    }

    /// The slot of the only field in which the node differs from its span; `None` when that is not known.
    #[inline]
    pub(crate) fn changed_field(&self, node: At) -> Option<u16> {
        ((self.word(node) >> CHANGED_AT) as u16).checked_sub(1)
    }

    /// The node's content in the source: offset and length.
    #[inline(always)]
    pub(crate) fn span(&self, node: At) -> (u32, u32) {
        unpack(self.word(node + SPAN))
    }

    /// For groups the end is known only after their fields.
    #[inline(always)]
    pub(crate) fn set_span(&mut self, node: At, start: usize, len: usize) {
        self.set_word(node + SPAN, pack(start as u32, len as u32));
    }

    #[inline(always)]
    pub(crate) fn has(&self, node: At, slot: u32) -> bool {
        self.word(node + PRESENCE + slot / 64) >> (slot % 64) & 1 != 0
    }

    /// Sets the presence bit, and returns whether it was set before.
    #[inline(always)]
    pub(crate) fn set_has(&mut self, node: At, slot: u32) -> bool {
        let word = &mut self.words[(node + PRESENCE + slot / 64) as usize];
        let bit = 1u64 << (slot % 64);
        let had = *word & bit != 0;
        *word |= bit;
        had
    }

    #[inline(always)]
    pub(crate) fn clear_has(&mut self, node: At, slot: u32) {
        self.words[(node + PRESENCE + slot / 64) as usize] &= !(1u64 << (slot % 64));
    }

    /// Clears the presence bits of a oneof's members, and returns whether one was set.
    #[inline]
    pub(crate) fn clear_masks(&mut self, node: At, masks: &[(u32, u64)]) -> bool {
        let mut had = false;
        for (word, mask) in masks {
            let word = &mut self.words[(node + PRESENCE + word) as usize];
            had |= *word & mask != 0;
            *word &= !mask;
        }
        had
    }

    /// A word of presence bits.
    #[inline(always)]
    pub(crate) fn presence(&self, node: At, word: u32) -> u64 {
        self.word(node + PRESENCE + word)
    }

    /// The list of spans of the node's unknown fields.
    #[inline(always)]
    pub(crate) fn unknown(&self, node: At) -> List {
        List::from_word(self.word(node + UNKNOWN))
    }

    /// The word that holds the list of unknown fields.
    #[inline(always)]
    pub(crate) fn unknown_at(node: At) -> At {
        node + UNKNOWN
    }

    /// Appends `words` to the list whose word is at `list_at`. `width` words make one element. A list's capacity, in words, stands
    /// in the word before its first element.
    pub(crate) fn extend_list(
        &mut self,
        list_at: At,
        words: &[u64],
        width: usize,
    ) -> Result<(), DecodeErrorKind> {
        let list = List::from_word(self.word(list_at));
        let (old, added) = (list.len as usize * width, words.len());
        let capacity = if list.at == 0 {
            0
        } else {
            self.word(list.at - 1) as usize
        };
        let at = if old + added <= capacity {
            list.at
        } else {
            self.relocate(list, old, old + added)?
        };
        self.slice_mut(at + old as u32, added).copy_from_slice(words);
        let len = (old + added) / width;
        if len >= ALIASED as usize {
            return Err(DecodeErrorKind::TooManyElements);
        }
        self.set_word(
            list_at,
            List {
                at,
                len: len as u32,
                aliased: false,
            }
            .to_word(),
        );
        Ok(())
    }

    /// A place for `needed` words that begins with the list's `old` ones. A list that grows for the second time gets room to
    /// double, so that appending stays linear.
    fn relocate(&mut self, list: List, old: usize, needed: usize) -> Result<At, DecodeErrorKind> {
        let capacity = if old == 0 {
            needed
        } else {
            needed.next_power_of_two()
        };
        let at = self.take(capacity + 1)?;
        self.set_word(at, capacity as u64);
        if old > 0 {
            let from = list.at as usize;
            self.words.copy_within(from..from + old, at as usize + 1);
        }
        Ok(at + 1)
    }

    /// A place for a list of `len` elements of one word.
    #[inline]
    pub(crate) fn new_list(&mut self, len: usize) -> Result<List, DecodeErrorKind> {
        if len >= ALIASED as usize {
            return Err(DecodeErrorKind::TooManyElements);
        }
        let at = self.take(len + 1)?;
        self.set_word(at, len as u64);
        Ok(List {
            at: at + 1,
            len: len as u32,
            aliased: false,
        })
    }

    /// How much memory is held, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}
