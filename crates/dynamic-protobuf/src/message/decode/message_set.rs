//! MessageSet, the wire format of proto1 that some proto2 types still use: extensions as groups of a type id and a message.

use super::{Decoder, NO_GROUP, Place};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{MessageTable, Op};
use crate::wire::{self, WireType};

/// The start of one item.
pub(crate) const ITEM_START: u32 = wire::tag(1, WireType::StartGroup);
/// Its end.
pub(crate) const ITEM_END: u32 = wire::tag(1, WireType::EndGroup);
/// The number of the extension, inside an item.
pub(crate) const TYPE_ID: u32 = wire::tag(2, WireType::Varint);
/// The extension's message, inside an item.
pub(crate) const MESSAGE: u32 = wire::tag(3, WireType::Len);

/// What an item says: its type, and where its messages are.
struct Item {
    type_id: u64,
    /// The first message, from its length on; an item has one.
    message_at: Option<usize>,
}

impl Decoder<'_> {
    #[cold]
    pub(super) fn message_set(
        &mut self,
        table: &MessageTable,
        place: &mut Place,
        input: &[u8],
        end_group: u32,
    ) -> Result<(), DecodeError> {
        // It is written item by item in any case: too rare a format to be copied.
        self.arena.touch(place.node);
        while place.pos < input.len() {
            let start = place.pos;
            let tag = wire::read_tag(input, &mut place.pos).map_err(|kind| DecodeError::new(kind, start))?;
            if tag == end_group {
                return Ok(());
            }
            let entry = table.entry(tag >> 3);
            if tag == ITEM_START {
                self.item(table, place, input, start)?;
            } else if entry.tag == tag && entry.op == Op::Message {
                // Some writers encode an extension of a MessageSet like any other.
                self.singular_message(table, &entry, place, input)?;
            } else {
                wire::skip_value(input, &mut place.pos, tag, place.depth)
                    .map_err(|kind| DecodeError::new(kind, start))?;
                self.unknown_span(place, start, place.pos)?;
            }
        }
        if end_group != NO_GROUP {
            return Err(DecodeError::new(DecodeErrorKind::Truncated, place.pos));
        }
        Ok(())
    }

    fn item(
        &mut self,
        table: &MessageTable,
        place: &mut Place,
        input: &[u8],
        start: usize,
    ) -> Result<(), DecodeError> {
        let item = scan(place, input).map_err(|kind| DecodeError::new(kind, start))?;
        let entry = table.entry(u32::try_from(item.type_id).unwrap_or_default());
        let end = place.pos;
        match item.message_at {
            Some(at) if entry.op == Op::Message => {
                let mut inner = Place {
                    node: place.node,
                    pos: at,
                    depth: place.depth,
                };
                self.singular_message(table, &entry, &mut inner, input)?;
                Ok(())
            }
            _ => self.unknown_span(place, start, end),
        }
    }
}

/// Reads to the end of an item whose start is past; type and message stand in either order.
fn scan(place: &mut Place, input: &[u8]) -> Result<Item, DecodeErrorKind> {
    let mut item = Item {
        type_id: 0,
        message_at: None,
    };
    loop {
        if place.pos >= input.len() {
            return Err(DecodeErrorKind::Truncated);
        }
        let tag = wire::read_tag(input, &mut place.pos)?;
        match tag {
            ITEM_END => return Ok(item),
            TYPE_ID if item.type_id == 0 => item.type_id = wire::varint(input, &mut place.pos)?,
            MESSAGE if item.message_at.is_none() => {
                item.message_at = Some(place.pos);
                wire::skip_value(input, &mut place.pos, tag, place.depth)?;
            }
            _ => wire::skip_value(input, &mut place.pos, tag, place.depth)?,
        }
    }
}
