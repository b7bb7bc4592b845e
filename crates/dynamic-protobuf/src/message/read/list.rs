//! Reading lists.

use super::super::Message;
use super::super::arena::List;
use super::super::decode::packed::{aliased_element, aliased_width};
use super::Value;
use super::value::single;
use crate::schema::tables::FieldTable;

/// A repeated field for reading.
#[derive(Clone, Copy)]
pub struct ListRef<'m> {
    pub(super) message: &'m Message,
    pub(super) field: &'m FieldTable,
    pub(super) list: List,
}

impl<'m> ListRef<'m> {
    /// How many elements it has.
    #[inline]
    pub fn len(self) -> usize {
        self.list.len as usize
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.list.len == 0
    }

    /// The element at `index`, from zero.
    #[inline]
    pub fn get(self, index: usize) -> Option<Value<'m>> {
        if index >= self.len() {
            return None;
        }
        let word = if self.list.aliased {
            let width = aliased_width(self.field.entry.op) as u32;
            let bytes = self.message.bytes(self.list.at + index as u32 * width, width);
            aliased_element(self.field.entry.op, bytes)
        } else {
            self.message.arena.word(self.list.at + index as u32)
        };
        Some(single(self.message, self.field, word))
    }

    /// The elements in order.
    pub fn iter(self) -> Iter<'m> {
        Iter { list: self, next: 0 }
    }
}

impl<'m> IntoIterator for ListRef<'m> {
    type Item = Value<'m>;
    type IntoIter = Iter<'m>;

    fn into_iter(self) -> Iter<'m> {
        self.iter()
    }
}

/// The elements of a list.
pub struct Iter<'m> {
    list: ListRef<'m>,
    next: usize,
}

impl<'m> Iterator for Iter<'m> {
    type Item = Value<'m>;

    #[inline]
    fn next(&mut self) -> Option<Value<'m>> {
        let value = self.list.get(self.next)?;
        self.next += 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.list.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
