//! Extensions of a MessageSet, which stand in items: groups of a number and a message.

use super::parts::{Collected, Parts};
use super::scan::{Fault, Field, Fields, Scan};
use super::seek::Seek;
use super::target::Target;
use crate::message::message_set::{ITEM_START, MESSAGE, TYPE_ID};
use crate::schema::tables::{MessageTable, Op};
use crate::wire;

/// The number and the message in an item, of which the first ones count; `None` when it has none or is no item.
pub(crate) fn item(bytes: &[u8], field: &Field, depth: u32) -> Scan<Option<(u32, Field)>> {
    if field.tag != ITEM_START {
        return Ok(None);
    }
    let mut fields = Fields::new(bytes.get(..field.end).unwrap_or_default(), depth);
    fields.pos = field.body;
    let (mut number, mut message) = (0, None);
    while let Some(field) = fields.next()? {
        match field.tag {
            TYPE_ID if number == 0 => {
                number = wire::varint(bytes, &mut { field.value })
                    .map_err(|kind| Fault::new(kind, bytes, field.value))?;
            }
            MESSAGE if message.is_none() => message = Some(field),
            _ => {}
        }
    }
    Ok(u32::try_from(number).ok().zip(message))
}

/// The field itself; in a MessageSet the field that an item stands for, which begins and ends where the item does.
#[inline]
pub(crate) fn unwrapped(table: &MessageTable, bytes: &[u8], field: Field, depth: u32) -> Scan<Field> {
    if !table.message_set {
        return Ok(field);
    }
    let Some((number, message)) = item(bytes, &field, depth)? else {
        return Ok(field);
    };
    let entry = table.entry(number);
    if entry.op != Op::Message {
        return Ok(field);
    }
    Ok(Field {
        tag: entry.tag,
        start: field.start,
        next: field.next,
        ..message
    })
}

impl<'a> Seek<'_, '_, 'a> {
    /// The occurrences of an extension of a MessageSet, in items or written like any other field.
    #[cold]
    pub(super) fn message_of_set(&self, target: &Target) -> Scan<Option<Parts<'a>>> {
        let table = self.tables.message(self.message);
        let mut found = Collected::default();
        for &bytes in self.parts.slices() {
            let mut fields = Fields::new(bytes, self.bounds.depth);
            while let Some(field) = fields.next()? {
                let field = unwrapped(table, bytes, field, self.bounds.depth)?;
                if field.tag == target.tag {
                    self.collect(&mut found, bytes.get(field.body..field.end).unwrap_or_default())?;
                }
            }
        }
        Ok(found.finish())
    }
}

#[cfg(test)]
mod tests {
    use crate::view::View;
    use crate::{Message, Schema};
    use prost_reflect::prost::Message as _;

    /// Title { text: "a" } in an item whose number comes last, then Title { size: 9 } like any other field.
    const SET: &[u8] = b"\x0b\x1a\x03\x0a\x01a\x10\xe8\x07\x0c\xc2\x3e\x02\x10\x09";
    /// An item of an extension that nobody knows.
    const FOREIGN: &[u8] = b"\x0b\x10\xe9\x07\x1a\x00\x0c";

    fn schema() -> Schema {
        let set = protox::compile(["message_set.proto"], ["tests/proto"]).unwrap();
        Schema::from_descriptor_set(&set.encode_to_vec()).unwrap()
    }

    #[test]
    fn extensions_are_found_in_items_and_beside_them() {
        let schema = schema();
        let view = View::new(schema.message("sets.Set").unwrap(), SET).unwrap();
        let title = view.field("[sets.Title.title]").unwrap().unwrap();
        let title = title.as_message().unwrap();
        assert_eq!(title.field("text").unwrap().unwrap().as_str(), Some("a"));
        assert_eq!(title.field("size").unwrap().unwrap().as_i64(), Some(9));
    }

    #[test]
    fn a_decoded_message_says_the_same() {
        let schema = schema();
        let mut message = Message::new(schema.message("sets.Set").unwrap());
        message.decode(SET).unwrap();
        assert_eq!(
            message.encode_to_vec(),
            b"\x0b\x10\xe8\x07\x1a\x05\x0a\x01a\x10\x09\x0c"
        );
    }

    #[test]
    fn only_items_of_foreign_extensions_are_unknown() {
        let schema = schema();
        let bytes = [SET, FOREIGN].concat();
        let view = View::new(schema.message("sets.Set").unwrap(), &bytes).unwrap();
        let unknown: Vec<_> = view.unknown_fields().map(|field| field.unwrap().bytes).collect();
        assert_eq!(unknown, [FOREIGN]);
    }

    #[test]
    fn items_that_end_early_are_errors() {
        let schema = schema();
        let set = schema.message("sets.Set").unwrap();
        let title = schema.extension("sets.Title.title").unwrap();
        for end in (1..10).chain(11..SET.len()) {
            assert!(View::new(set, &SET[..end]).unwrap().get(title).is_err(), "{end}");
        }
    }
}
