//! Views that own what they look at: a schema and reference-counted bytes, of which parts are handed on without a copy.

use super::{Value, View, check_size};
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::{MessageDescriptor, Schema};
use bytes::Bytes;

/// A message in [`Bytes`], with its schema: can be stored, sent to other threads and cut without copying.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, view::SharedView};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let host = schema.message("doc.Host").ok_or("no doc.Host in the schema")?;
/// let shared = SharedView::new(host, bytes::Bytes::from_static(b"\x0a\x02db"))?;
/// let name = shared.bytes("name")?.ok_or("not set")?;
/// assert_eq!(name, "db");
/// assert_eq!(name.as_ptr(), shared.as_bytes()[2..].as_ptr());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedView {
    schema: Schema,
    message: u32,
    bytes: Bytes,
    limits: Limits,
}

impl SharedView {
    /// A view with the default [`Limits`].
    ///
    /// # Errors
    /// When there are more bytes than the limits allow.
    pub fn new(descriptor: MessageDescriptor<'_>, bytes: Bytes) -> Result<Self, DecodeError> {
        Self::with_limits(descriptor, bytes, Limits::default())
    }

    /// A view with limits of one's own.
    ///
    /// # Errors
    /// When there are more bytes than the limits allow.
    pub fn with_limits(
        descriptor: MessageDescriptor<'_>,
        bytes: Bytes,
        limits: Limits,
    ) -> Result<Self, DecodeError> {
        check_size(&bytes, &limits)?;
        Ok(Self {
            schema: descriptor.schema().clone(),
            message: descriptor.index(),
            bytes,
            limits,
        })
    }

    /// The message's type.
    pub fn descriptor(&self) -> MessageDescriptor<'_> {
        MessageDescriptor::new(&self.schema, self.message)
    }

    /// The bytes of the message.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The view to read fields with.
    ///
    /// # Errors
    /// None that [`SharedView::new`] has not told already.
    pub fn view(&self) -> Result<View<'_, '_>, DecodeError> {
        View::with_limits(self.descriptor(), &self.bytes, &self.limits)
    }

    /// The payload of a `string` or `bytes` field, sharing memory with the message.
    ///
    /// # Errors
    /// When the message is malformed.
    pub fn bytes(&self, name: &str) -> Result<Option<Bytes>, DecodeError> {
        let value = self.view()?.field(name)?;
        Ok(value
            .as_ref()
            .and_then(Value::as_bytes)
            .map(|found| self.bytes.slice_ref(found)))
    }

    /// The message in a field, sharing memory with this one; only one that is merged from several is copied.
    ///
    /// # Errors
    /// When the message is malformed, or nests deeper than the limits allow.
    pub fn message(&self, name: &str) -> Result<Option<Self>, DecodeError> {
        let value = self.view()?.field(name)?;
        let Some(view) = value.as_ref().and_then(Value::as_message) else {
            return Ok(None);
        };
        Ok(Some(self.share(view)))
    }

    /// Keeps a message that was found in this one, sharing memory with it; only one that is merged from several
    /// occurrences is copied, and one that is not of this message's bytes.
    pub fn share(&self, view: &View<'_, '_>) -> Self {
        let bytes = match view.as_bytes() {
            Some(slice) if self.contains(slice) => self.bytes.slice_ref(slice),
            _ => {
                let mut merged = Vec::new();
                view.encode_into(&mut merged);
                merged.into()
            }
        };
        Self {
            schema: view.descriptor.schema().clone(),
            message: view.descriptor.index(),
            bytes,
            limits: Limits {
                depth: view.context.bounds.depth,
                ..self.limits
            },
        }
    }

    fn contains(&self, slice: &[u8]) -> bool {
        let (own, slice) = (self.bytes.as_ptr_range(), slice.as_ptr_range());
        own.start <= slice.start && slice.end <= own.end
    }
}
