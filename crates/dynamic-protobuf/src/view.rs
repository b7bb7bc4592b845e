//! Lazy views over encoded messages: nothing is decoded before it is asked for, and nothing is copied.

mod list;
mod map;
mod raw;
mod shared;
mod value;

pub(crate) mod message_set;
pub(crate) mod parts;
pub(crate) mod pass;
pub(crate) mod scan;
pub(crate) mod seek;
pub(crate) mod target;

#[cfg(test)]
mod tests;

pub use list::{Elements, List};
pub use map::{KeyValue, Map};
pub use raw::{RawField, RawFields};
pub use shared::SharedView;
pub use value::Value;

pub(crate) use list::has_element;
pub(crate) use map::value_of_entry;
pub(crate) use value::Context;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::wire::MAX_MESSAGE_BYTES;
use crate::{FieldDescriptor, MessageDescriptor, OneofDescriptor};
use parts::Parts;
use scan::{Fault, Scan};
use seek::{Bounds, Seek, is_implied};
use target::Target;

/// A message on the wire: reading a field walks over the message's own tags and no deeper.
///
/// What is malformed is found when it is walked over, so that an error may come late and names its place. Where a
/// singular message occurs more than once, its view is the merged message.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, view::View};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// // customer { name: "Ada" }, twice: the second one adds a port.
/// let view = View::new(order, b"\x0a\x05\x0a\x03Ada\x0a\x02\x10\x50")?;
/// let customer = view.field("customer")?.ok_or("not set")?;
/// let customer = customer.as_message().ok_or("not a message")?;
/// assert_eq!(customer.field("name")?.and_then(|name| name.as_str()), Some("Ada"));
/// assert_eq!(customer.field("port")?.and_then(|port| port.as_u64()), Some(80));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct View<'s, 'a> {
    pub(crate) descriptor: MessageDescriptor<'s>,
    pub(crate) parts: Parts<'a>,
    pub(crate) context: Context<'s>,
}

impl<'s, 'a> View<'s, 'a> {
    /// A view with the default [`Limits`].
    ///
    /// # Errors
    /// When there are more bytes than the limits allow.
    pub fn new(descriptor: MessageDescriptor<'s>, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::with_limits(descriptor, bytes, &Limits::default())
    }

    /// A view with limits of one's own. Lists and maps meet that on elements one by one.
    ///
    /// # Errors
    /// When there are more bytes than the limits allow.
    pub fn with_limits(
        descriptor: MessageDescriptor<'s>,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        check_size(bytes, limits)?;
        Ok(Self {
            descriptor,
            parts: Parts::One(bytes),
            context: Context {
                schema: descriptor.schema(),
                base: bytes.as_ptr().addr(),
                bounds: Bounds::new(limits),
            },
        })
    }

    /// The message's type.
    pub fn descriptor(&self) -> MessageDescriptor<'s> {
        self.descriptor
    }

    /// The value of a field; `None` when it is not set, and for lists and maps when they are empty.
    ///
    /// A zero where presence is implicit counts as not set. A field of another message is never set.
    ///
    /// # Errors
    /// When the message is malformed.
    pub fn get(&self, field: FieldDescriptor<'s>) -> Result<Option<Value<'s, 'a>>, DecodeError> {
        if field.containing_message() != self.descriptor {
            return Ok(None);
        }
        let target = Target::of(self.context.schema.tables(), field.index());
        self.seek()
            .get(&self.context, &target)
            .map_err(|fault| fault.error(self.context.base).in_field(field.name()))
    }

    /// The value of a field, or the default of its type when it is not set.
    ///
    /// # Errors
    /// When the message is malformed.
    pub fn get_or_default(&self, field: FieldDescriptor<'s>) -> Result<Value<'s, 'a>, DecodeError>
    where
        's: 'a,
    {
        if let Some(value) = self.get(field)? {
            return Ok(value);
        }
        let target = Target::of(self.context.schema.tables(), field.index());
        let value = self.context.default(&target);
        value.map_err(|fault| fault.error(self.context.base).in_field(field.name()))
    }

    /// The value of the field that has this name, JSON name or, as `[full.name]`, is this extension.
    ///
    /// # Errors
    /// When the message is malformed. A name that no field has is not an error but not set.
    pub fn field(&self, name: &str) -> Result<Option<Value<'s, 'a>>, DecodeError> {
        let found = self.descriptor.field_spelled(name);
        found.map_or(Ok(None), |field| self.get(field))
    }

    /// Whether a field is set: as [`View::get`] sees it.
    ///
    /// # Errors
    /// When the message is malformed.
    pub fn has(&self, field: FieldDescriptor<'s>) -> Result<bool, DecodeError> {
        Ok(self.get(field)?.is_some())
    }

    /// The member of a oneof that is set.
    ///
    /// # Errors
    /// When the message is malformed.
    pub fn which_oneof(
        &self,
        oneof: OneofDescriptor<'s>,
    ) -> Result<Option<FieldDescriptor<'s>>, DecodeError> {
        for field in oneof.fields() {
            if self.has(field)? {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }

    /// The fields as they stand on the wire, unknown ones included.
    pub fn raw_fields(&self) -> RawFields<'s, 'a> {
        RawFields::new(self, false)
    }

    /// The fields that the schema does not know, or knows with another wire type, as they stand on the wire.
    pub fn unknown_fields(&self) -> RawFields<'s, 'a> {
        RawFields::new(self, true)
    }

    /// The bytes of the message, when it occurs in one piece.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.parts.slices() {
            [slice] => Some(slice),
            _ => None,
        }
    }

    /// Appends the message: all its pieces, which decode to the merged message.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        for slice in self.parts.slices() {
            out.extend_from_slice(slice);
        }
    }

    fn seek(&self) -> Seek<'s, '_, 'a> {
        Seek {
            tables: self.context.schema.tables(),
            parts: &self.parts,
            message: self.descriptor.index(),
            bounds: self.context.bounds,
        }
    }
}

impl<'a> Seek<'_, '_, 'a> {
    /// The value of a field, when it is set.
    #[inline]
    pub(crate) fn get<'s>(&self, context: &Context<'s>, target: &Target) -> Scan<Option<Value<'s, 'a>>> {
        let context = Context {
            bounds: self.bounds,
            ..*context
        };
        if target.is_list() {
            let any = has_element(self, target)?;
            return Ok(any.then(|| context.repeated(target, self.parts.clone())));
        }
        if target.is_map() {
            let value = context.repeated(target, self.parts.clone());
            let any = value.as_map().map_or(Ok(false), Map::has_entry)?;
            return Ok(any.then_some(value));
        }
        if target.is_message() {
            let Some(parts) = self.message(target)? else {
                return Ok(None);
            };
            return Ok(Some(Value::Message(context.view(target.entry.sub, parts)?)));
        }
        match self.scalar(target)? {
            Some(at) if !is_implied(&target.entry, at) => context.read(target, at).map(Some),
            _ => Ok(None),
        }
    }
}

/// Refuses input that is larger than the limits or the format allow.
#[inline]
pub(crate) fn check_size(bytes: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    if bytes.len() > limits.bytes.min(MAX_MESSAGE_BYTES) {
        let fault = Fault::new(DecodeErrorKind::TooLarge, bytes, 0);
        return Err(fault.error(bytes.as_ptr().addr()));
    }
    Ok(())
}
