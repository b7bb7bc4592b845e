//! Changing maps.

use super::super::arena::{At, List};
use super::super::{MapKey, MapRef, Message, MessageRef};
use super::{MessageMut, Scalar, SetError};
use crate::schema::tables::FieldTable;
use crate::schema::{FieldDescriptor, Kind};

/// A map field for changing.
#[derive(Debug)]
pub struct MapMut<'m> {
    pub(super) message: &'m mut Message,
    pub(super) node: At,
    /// The field's index among all.
    pub(super) field: u32,
    pub(super) list_at: At,
}

impl MapMut<'_> {
    fn list(&self) -> List {
        List::from_word(self.message.arena.word(self.list_at))
    }

    fn table(&self) -> &FieldTable {
        self.message.schema.tables().field(self.field)
    }

    /// The index of the entry's key field; its value's follows.
    fn key_field(&self) -> u32 {
        self.message
            .schema
            .tables()
            .message(self.table().entry.sub)
            .fields
            .start
    }

    /// The map as it is now.
    pub fn as_ref(&self) -> Option<MapRef<'_>> {
        let index = self.message.arena.message_of(self.node);
        let field = FieldDescriptor::new(&self.message.schema, self.field);
        MessageRef::new(self.message, index, self.node)
            .get(field)
            .as_map()
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.list().len as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.list().len == 0
    }

    /// Where a key is, or would be.
    fn position(&self, key: MapKey<'_>) -> Result<Result<usize, usize>, SetError> {
        let wrong = || super::wrong_type(self.message.schema.tables().field(self.key_field()));
        if self.is_empty() {
            let kind = self.message.schema.tables().field(self.key_field()).kind;
            let fits =
                matches!((key, kind), (MapKey::String(_), Kind::String)) || key.to_word(kind).is_some();
            return if fits { Ok(Err(0)) } else { Err(wrong()) };
        }
        self.as_ref().and_then(|map| map.position(key)).ok_or_else(wrong)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// When key or value are not of the map's types.
    pub fn insert<'v>(&mut self, key: MapKey<'_>, value: impl Into<Scalar<'v>>) -> Result<(), SetError> {
        let position = self.position(key)?;
        let word = self.message.word_of(self.key_field() + 1, value.into())?;
        self.put(key, position, word)
    }

    /// Sets the value of a key to an empty message, and returns that for changing.
    ///
    /// # Errors
    /// When the key is not of the map's type, or its values are not messages.
    pub fn insert_message(&mut self, key: MapKey<'_>) -> Result<MessageMut<'_>, SetError> {
        let position = self.position(key)?;
        let value = self.message.schema.tables().field(self.key_field() + 1);
        if !value.kind.is_message() {
            return Err(super::wrong_type(value));
        }
        let node = self.message.new_node(value.entry.sub)?;
        self.put(key, position, u64::from(node))?;
        self.message.arena.touch(node);
        Ok(MessageMut::new(self.message, node))
    }

    /// The message of a key, for changing.
    ///
    /// # Errors
    /// When the key is not of the map's type, or its values are not messages.
    pub fn message(&mut self, key: MapKey<'_>) -> Result<Option<MessageMut<'_>>, SetError> {
        let value = self.message.schema.tables().field(self.key_field() + 1);
        if !value.kind.is_message() {
            return Err(super::wrong_type(value));
        }
        let Ok(index) = self.position(key)? else {
            return Ok(None);
        };
        let node = self.message.arena.word(self.list().at + index as u32 * 2 + 1) as At;
        Ok(Some(MessageMut::new(self.message, node)))
    }

    fn put(&mut self, key: MapKey<'_>, position: Result<usize, usize>, value: u64) -> Result<(), SetError> {
        match position {
            Ok(index) => self
                .message
                .arena
                .set_word(self.list().at + index as u32 * 2 + 1, value),
            Err(index) => {
                let key = self.key_word(key)?;
                self.message.arena.extend_list(self.list_at, &[key, value], 2)?;
                let list = self.list();
                let rest = (list.len as usize - index) * 2;
                self.message
                    .arena
                    .slice_mut(list.at + index as u32 * 2, rest)
                    .rotate_right(2);
            }
        }
        let slot = u32::from(self.table().entry.slot);
        self.message.arena.set_has(self.node, slot);
        Ok(())
    }

    fn key_word(&mut self, key: MapKey<'_>) -> Result<u64, SetError> {
        if let MapKey::String(key) = key {
            return Ok(self.message.add_bytes(key.as_bytes())?);
        }
        let field = self.message.schema.tables().field(self.key_field());
        key.to_word(field.kind).ok_or_else(|| super::wrong_type(field))
    }

    /// Removes a key, and returns whether it was there.
    ///
    /// # Errors
    /// When the key is not of the map's type.
    pub fn remove(&mut self, key: MapKey<'_>) -> Result<bool, SetError> {
        let Ok(index) = self.position(key)? else {
            return Ok(false);
        };
        let list = self.list();
        let rest = (list.len as usize - index) * 2;
        self.message
            .arena
            .slice_mut(list.at + index as u32 * 2, rest)
            .rotate_left(2);
        self.message.arena.set_word(
            self.list_at,
            List {
                len: list.len - 1,
                ..list
            }
            .to_word(),
        );
        if list.len == 1 {
            let slot = u32::from(self.table().entry.slot);
            self.message.arena.clear_has(self.node, slot);
        }
        Ok(true)
    }
}
