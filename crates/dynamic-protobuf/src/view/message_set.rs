//! Extensions of a MessageSet, which stand in items: groups of a number and a message.

use super::parts::{Collected, Parts};
use super::scan::{Fault, Field, Fields, Scan};
use super::seek::Seek;
use super::target::Target;
use crate::message::message_set::{ITEM_START, MESSAGE, TYPE_ID};
use crate::wire;

/// What an item says; of numbers and messages the first counts.
#[derive(Default)]
struct Item<'a> {
    /// Zero when there is none.
    number: u64,
    message: Option<&'a [u8]>,
}

/// Number and message of the extension that a field of a MessageSet is: of an item, or written like any other.
pub(crate) fn extension<'a>(bytes: &'a [u8], field: &Field, depth: u32) -> Scan<Option<(u32, &'a [u8])>> {
    let content = bytes.get(field.body..field.end).unwrap_or_default();
    if field.tag != ITEM_START {
        return Ok(field.is_len().then_some((field.number(), content)));
    }
    let item = item(content, depth)?;
    let number = u32::try_from(item.number).ok();
    Ok(number.zip(item.message))
}

fn item(content: &[u8], depth: u32) -> Scan<Item<'_>> {
    let mut item = Item::default();
    let mut fields = Fields::new(content, depth);
    while let Some(field) = fields.next()? {
        match field.tag {
            TYPE_ID if item.number == 0 => {
                item.number = wire::varint(content, &mut { field.value })
                    .map_err(|kind| Fault::new(kind, content, field.value))?;
            }
            MESSAGE if item.message.is_none() => item.message = content.get(field.body..field.end),
            _ => {}
        }
    }
    Ok(item)
}

impl<'a> Seek<'_, '_, 'a> {
    /// The occurrences of an extension of a MessageSet.
    #[cold]
    pub(crate) fn item(&self, target: &Target) -> Scan<Option<Parts<'a>>> {
        let mut found = Collected::default();
        for &bytes in self.parts.slices() {
            let mut fields = Fields::new(bytes, self.bounds.depth);
            while let Some(field) = fields.next()? {
                match extension(bytes, &field, self.bounds.depth)? {
                    Some((number, message)) if number == target.number() => {
                        self.collect(&mut found, message)?
                    }
                    _ => {}
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
