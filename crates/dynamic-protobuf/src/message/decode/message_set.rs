//! MessageSet, the wire format of proto1 that some proto2 types still use: extensions as groups of a type id and a message.

use super::{Decoder, Frame, NO_GROUP, Next};
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
        frame: Frame,
        input: &[u8],
        mut pos: usize,
    ) -> Next {
        // It is written item by item in any case: too rare a format to be copied.
        self.arena.touch(frame.node);
        while pos < input.len() {
            let start = pos;
            let tag = wire::read_tag(input, &mut pos).map_err(|kind| DecodeError::new(kind, start))?;
            if tag == frame.end_group {
                return Ok(pos);
            }
            let entry = table.entry_ref(tag >> 3);
            if tag == ITEM_START {
                pos = self.item(table, frame, input, (start, pos))?;
            } else if entry.tag == tag && entry.op == Op::Message {
                // Some writers encode an extension of a MessageSet like any other.
                pos = self.singular_message(table, entry, frame, input, pos)?;
            } else {
                wire::skip_value(input, &mut pos, tag, frame.depth)
                    .map_err(|kind| DecodeError::new(kind, start))?;
                self.unknown_span(frame, start, pos)?;
            }
        }
        if frame.end_group != NO_GROUP {
            return Err(DecodeError::new(DecodeErrorKind::Truncated, pos));
        }
        Ok(pos)
    }

    fn item(
        &mut self,
        table: &MessageTable,
        frame: Frame,
        input: &[u8],
        (start, mut pos): (usize, usize),
    ) -> Next {
        let item = scan(frame, input, &mut pos).map_err(|kind| DecodeError::new(kind, start))?;
        let entry = table.entry_ref(u32::try_from(item.type_id).unwrap_or_default());
        match item.message_at {
            Some(at) if entry.op == Op::Message => {
                self.singular_message(table, entry, frame, input, at).map(drop)?
            }
            _ => self.unknown_span(frame, start, pos)?,
        }
        Ok(pos)
    }
}

/// Reads to the end of an item whose start is past; type and message stand in either order.
fn scan(frame: Frame, input: &[u8], pos: &mut usize) -> Result<Item, DecodeErrorKind> {
    let mut item = Item {
        type_id: 0,
        message_at: None,
    };
    loop {
        if *pos >= input.len() {
            return Err(DecodeErrorKind::Truncated);
        }
        let tag = wire::read_tag(input, pos)?;
        match tag {
            ITEM_END => return Ok(item),
            TYPE_ID if item.type_id == 0 => item.type_id = wire::varint(input, pos)?,
            MESSAGE if item.message_at.is_none() => {
                item.message_at = Some(*pos);
                wire::skip_value(input, pos, tag, frame.depth)?;
            }
            _ => wire::skip_value(input, pos, tag, frame.depth)?,
        }
    }
}
