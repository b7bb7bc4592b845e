//! Messages that are decoded whole: every field is reachable in constant time, storage is reused, and what was not changed is
//! written again as it was read.

pub(crate) mod arena;
mod decode;
mod encode;
mod read;
mod required;
mod write;

pub use read::{Iter, ListRef, MapKey, MapRef, MessageRef, ProtoStr, Value};
pub use required::MissingRequired;
pub use write::{ListMut, MapMut, MessageMut, Scalar, SetError};

pub(crate) use arena::slots_at;
pub(crate) use decode::message_set;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::schema::{MessageDescriptor, Schema};
use arena::{Arena, At};
use bytes::Bytes;

/// A message of a type that is known only at run time.
///
/// Decoding again reuses the storage: a steady stream of messages allocates nothing.
///
/// ```
/// # use heddle_dynamic_protobuf::{Message, Schema};
/// # let pool = prost_reflect::DescriptorPool::global();
/// let schema = Schema::from_pool(&pool)?;
/// let descriptor = schema.message("google.protobuf.FileDescriptorProto").ok_or("no such type")?;
/// let mut message = Message::new(descriptor);
/// message.decode(b"\x0a\x07a.proto\x1a\x07b.proto")?;
/// let name = descriptor.field_named("name").ok_or("no such field")?;
/// assert_eq!(message.get(name).as_str(), Some("a.proto"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Message {
    schema: Schema,
    message: u32,
    limits: Limits,
    source: Source,
    /// Bytes that edits have added; their offsets go on where the source ends.
    added: Vec<u8>,
    arena: Arena,
    scratch: Vec<u64>,
    stack: Vec<decode::Around>,
    root: At,
}

/// The bytes a message was decoded from.
#[derive(Clone, Debug)]
enum Source {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Source {
    #[inline(always)]
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Message {
    /// An empty message, with the default limits.
    pub fn new(descriptor: MessageDescriptor<'_>) -> Self {
        Self::with_limits(descriptor, Limits::default())
    }

    /// An empty message that decodes within these limits.
    pub fn with_limits(descriptor: MessageDescriptor<'_>, limits: Limits) -> Self {
        let mut message = Self {
            schema: descriptor.schema().clone(),
            message: descriptor.index(),
            limits,
            source: Source::Owned(Vec::new()),
            added: Vec::new(),
            arena: Arena::default(),
            scratch: Vec::new(),
            stack: Vec::new(),
            root: 0,
        };
        message.clear();
        message
    }

    /// The message's type.
    pub fn descriptor(&self) -> MessageDescriptor<'_> {
        MessageDescriptor::new(&self.schema, self.message)
    }

    /// The schema it belongs to.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Unsets everything; storage is kept.
    pub fn clear(&mut self) {
        if let Source::Shared(_) = self.source {
            self.source = Source::Owned(Vec::new());
        }
        if let Source::Owned(bytes) = &mut self.source {
            bytes.clear();
        }
        self.reset(0);
    }

    /// An empty root over a source of so many bytes.
    fn reset(&mut self, source_len: usize) {
        self.added.clear();
        self.scratch.clear();
        self.stack.clear();
        let table = self.schema.tables().message(self.message);
        // A message always has a root, whatever the limit.
        let root_bytes = (table.slots_at as usize + table.field_count() + 1) * 8;
        self.arena.clear(self.limits.allocation.max(root_bytes));
        self.root = self
            .arena
            .node(self.message, table, 0, source_len)
            .unwrap_or_default();
    }

    /// Decodes `bytes` in place of what the message held. The bytes are copied; [`Message::decode_shared`] does without.
    ///
    /// # Errors
    /// When the bytes are no message of the type or exceed the limits; the message is empty then.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.check_size(bytes.len())?;
        let mut owned = match std::mem::replace(&mut self.source, Source::Owned(Vec::new())) {
            Source::Owned(owned) => owned,
            Source::Shared(_) => Vec::new(),
        };
        owned.clear();
        owned.extend_from_slice(bytes);
        self.source = Source::Owned(owned);
        self.decode_source()
    }

    /// Decodes `bytes` in place of what the message held, and shares them instead of copying.
    ///
    /// # Errors
    /// As [`Message::decode`].
    pub fn decode_shared(&mut self, bytes: Bytes) -> Result<(), DecodeError> {
        self.check_size(bytes.len())?;
        self.source = Source::Shared(bytes);
        self.decode_source()
    }

    fn check_size(&mut self, len: usize) -> Result<(), DecodeError> {
        if len > self.limits.bytes.min(crate::wire::MAX_MESSAGE_BYTES) {
            self.clear();
            return Err(DecodeError::new(DecodeErrorKind::TooLarge, 0));
        }
        Ok(())
    }

    fn decode_source(&mut self) -> Result<(), DecodeError> {
        self.reset(self.source.as_slice().len());
        let decoded = decode::decode(self);
        if decoded.is_err() {
            self.clear();
        }
        decoded
    }

    /// The message for reading.
    #[inline]
    pub fn as_ref(&self) -> MessageRef<'_> {
        MessageRef::new(self, self.message, self.root)
    }

    /// The message for changing.
    #[inline]
    pub fn as_mut(&mut self) -> MessageMut<'_> {
        let root = self.root;
        MessageMut::new(self, root)
    }

    /// The value of a field, or its default; see [`MessageRef::get`].
    #[inline]
    pub fn get<'m>(&'m self, field: crate::FieldDescriptor<'m>) -> Value<'m> {
        self.as_ref().get(field)
    }

    /// Appends the encoded message to `out`.
    ///
    /// What was decoded and not changed since is written as it was read, if that is what this encoder would have written but for
    /// the order of fields; so are unknown fields. Map entries are written by ascending key.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        encode::encode(self, out, encode::Unchanged::Copy);
    }

    /// The encoded message.
    pub fn encode_to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the message to `out` in one form for all equal messages of this schema: fields by number, map entries by key,
    /// unknown fields last as they came. What others call deterministic serialization, with the same caveat: it is not canonical
    /// across schemas.
    pub fn encode_deterministic_into(&self, out: &mut Vec<u8>) {
        encode::encode(self, out, encode::Unchanged::Rewrite);
    }

    /// How much memory the message holds for itself, in bytes.
    pub fn held_bytes(&self) -> usize {
        let source = match &self.source {
            Source::Owned(bytes) => bytes.capacity(),
            Source::Shared(_) => 0,
        };
        let reading = self.scratch.capacity() * 8 + self.stack.capacity() * size_of::<decode::Around>();
        source + self.added.capacity() + self.arena.held_bytes() + reading
    }

    /// The bytes that a string's, an unknown field's or an aliased list's word points to.
    #[inline(always)]
    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        let (offset, len) = (offset as usize, len as usize);
        let source = self.source.as_slice();
        let found = match offset.checked_sub(source.len()) {
            Some(in_added) if len > 0 => self.added.get(in_added..in_added + len),
            _ => source.get(offset..offset + len),
        };
        found.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
