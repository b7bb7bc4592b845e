//! The fields of a message as they stand on the wire, one by one.

use super::View;
use super::message_set::item;
use super::parts::Parts;
use super::scan::{At, Field, Fields};
use super::target::{Target, is_known};
use super::value::Context;
use crate::error::DecodeError;
use crate::wire::WireType;
use crate::{FieldDescriptor, MessageDescriptor};

/// One occurrence of a field.
#[derive(Clone, Copy, Debug)]
pub struct RawField<'s, 'a> {
    /// Its number.
    pub number: u32,
    /// How its value is laid out.
    pub wire_type: WireType,
    /// The whole of it, tag included.
    pub bytes: &'a [u8],
    /// Its payload: without tag and length, and for groups without the end tag.
    pub payload: &'a [u8],
    /// Where it begins in the whole input, in bytes.
    pub offset: usize,
    /// The field it is; `None` when it is unknown.
    pub field: Option<FieldDescriptor<'s>>,
}

/// An iterator over the fields of a [`View`] in the order of the wire. After an error there are no more.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, view::View};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// let view = View::new(order, b"\x20\x01\xc0\x3e\x07")?;
/// let numbers: Vec<_> = view.raw_fields().map(|field| field.map(|field| field.number)).collect::<Result<_, _>>()?;
/// assert_eq!(numbers, [4, 1000]);
/// assert_eq!(view.unknown_fields().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RawFields<'s, 'a> {
    descriptor: MessageDescriptor<'s>,
    parts: Parts<'a>,
    context: Context<'s>,
    part: usize,
    pos: usize,
    only_unknown: bool,
}

impl<'s, 'a> RawFields<'s, 'a> {
    pub(super) fn new(view: &View<'s, 'a>, only_unknown: bool) -> Self {
        Self {
            descriptor: view.descriptor,
            parts: view.parts.clone(),
            context: view.context,
            part: 0,
            pos: 0,
            only_unknown,
        }
    }

    fn raw(&self, bytes: &'a [u8], field: &Field) -> Option<RawField<'s, 'a>> {
        Some(RawField {
            number: field.number(),
            wire_type: WireType::of_tag(field.tag)?,
            bytes: bytes.get(field.start..field.next)?,
            payload: bytes.get(field.body..field.end)?,
            offset: (bytes.as_ptr().addr() + field.start).wrapping_sub(self.context.base),
            field: self.known(bytes, field),
        })
    }

    fn known(&self, bytes: &'a [u8], field: &Field) -> Option<FieldDescriptor<'s>> {
        let tables = self.context.schema.tables();
        if self.descriptor.is_message_set() {
            let item = item(bytes, field, self.context.bounds.depth).ok().flatten();
            if let Some((type_id, _)) = item {
                return self.descriptor.field(type_id);
            }
        }
        let known = self.descriptor.field(field.number())?;
        let target = Target::of(tables, known.index());
        let packed = target.is_packed(field.tag);
        let at = At {
            bytes,
            pos: field.value,
        };
        let valid = packed || is_known(tables, &target.entry, at);
        (target.takes(field.tag) && valid).then_some(known)
    }
}

impl<'s, 'a> Iterator for RawFields<'s, 'a> {
    type Item = Result<RawField<'s, 'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let &bytes = self.parts.slices().get(self.part)?;
            let mut fields = Fields::new(bytes, self.context.bounds.depth);
            fields.pos = self.pos;
            match fields.next() {
                Ok(Some(field)) => {
                    self.pos = fields.pos;
                    let raw = self.raw(bytes, &field)?;
                    if raw.field.is_none() || !self.only_unknown {
                        return Some(Ok(raw));
                    }
                }
                Ok(None) => (self.part, self.pos) = (self.part + 1, 0),
                Err(fault) => {
                    self.part = usize::MAX;
                    return Some(Err(fault.error(self.context.base)));
                }
            }
        }
    }
}
