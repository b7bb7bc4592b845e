//! Changing lists.

use super::super::arena::{At, List};
use super::super::{ListRef, Message, MessageRef};
use super::{MessageMut, Scalar, SetError};
use crate::schema::FieldDescriptor;
use crate::schema::tables::FieldTable;

/// A repeated field for changing.
#[derive(Debug)]
pub struct ListMut<'m> {
    pub(super) message: &'m mut Message,
    pub(super) node: At,
    /// The field's index among all.
    pub(super) field: u32,
    pub(super) list_at: At,
}

impl ListMut<'_> {
    fn list(&self) -> List {
        List::from_word(self.message.arena.word(self.list_at))
    }

    fn table(&self) -> &FieldTable {
        self.message.schema.tables().field(self.field)
    }

    /// The list as it is now.
    pub fn as_ref(&self) -> Option<ListRef<'_>> {
        let index = self.message.arena.message_of(self.node);
        let field = FieldDescriptor::new(&self.message.schema, self.field);
        MessageRef::new(self.message, index, self.node)
            .get(field)
            .as_list()
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.list().len as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.list().len == 0
    }

    /// Appends a value.
    ///
    /// # Errors
    /// When it is not of the list's type.
    pub fn push<'v>(&mut self, value: impl Into<Scalar<'v>>) -> Result<(), SetError> {
        let word = self.message.word_of(self.field, value.into())?;
        self.push_word(word)
    }

    fn push_word(&mut self, word: u64) -> Result<(), SetError> {
        self.message.arena.extend_list(self.list_at, &[word], 1)?;
        let slot = u32::from(self.table().entry.slot);
        self.message.arena.set_has(self.node, slot);
        Ok(())
    }

    /// Appends an empty message, and returns it for changing.
    ///
    /// # Errors
    /// When the list is not one of messages.
    pub fn push_message(&mut self) -> Result<MessageMut<'_>, SetError> {
        let table = self.table();
        if !table.kind.is_message() {
            return Err(super::wrong_element(table));
        }
        let node = self.message.new_node(table.entry.sub)?;
        self.push_word(u64::from(node))?;
        self.message.arena.touch(node);
        Ok(MessageMut::new(self.message, node))
    }

    /// Replaces the element at `index`.
    ///
    /// # Errors
    /// When there is none, or the value is not of the list's type.
    pub fn set<'v>(&mut self, index: usize, value: impl Into<Scalar<'v>>) -> Result<(), SetError> {
        let at = self.element_at(index)?;
        let word = self.message.word_of(self.field, value.into())?;
        self.message.arena.set_word(at, word);
        Ok(())
    }

    /// The message at `index`, for changing.
    ///
    /// # Errors
    /// When there is none, or the list is not one of messages.
    pub fn message(&mut self, index: usize) -> Result<MessageMut<'_>, SetError> {
        let table = self.table();
        if !table.kind.is_message() {
            return Err(super::wrong_element(table));
        }
        let at = self.element_at(index)?;
        let node = self.message.arena.word(at) as At;
        Ok(MessageMut::new(self.message, node))
    }

    fn element_at(&self, index: usize) -> Result<At, SetError> {
        let list = self.list();
        let found = u32::try_from(index).ok().filter(|index| *index < list.len);
        let out_of_range = || SetError::OutOfRange {
            field: self.table().full_name.to_string(),
            index,
        };
        Ok(list.at + found.ok_or_else(out_of_range)?)
    }

    /// Removes the element at `index`; those after it move up.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&mut self, index: usize) -> Result<(), SetError> {
        let at = self.element_at(index)?;
        let list = self.list();
        let rest = (list.at + list.len - at) as usize;
        self.message.arena.slice_mut(at, rest).rotate_left(1);
        self.truncate(self.len() - 1);
        Ok(())
    }

    /// Removes what is past the first `len` elements.
    pub fn truncate(&mut self, len: usize) {
        let list = self.list();
        if len >= list.len as usize {
            return;
        }
        self.message.arena.set_word(
            self.list_at,
            List {
                len: len as u32,
                ..list
            }
            .to_word(),
        );
        if len == 0 {
            let slot = u32::from(self.table().entry.slot);
            self.message.arena.clear_has(self.node, slot);
        }
    }
}
