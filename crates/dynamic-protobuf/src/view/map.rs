//! Map fields, read lazily: of the entries with one key the last counts, and replaces those before it.

use super::parts::Parts;
use super::scan::{At, Fault, Fields, Scan};
use super::seek::{Seek, WireKey, key_of};
use super::target::Target;
use super::value::{Context, Value};
use crate::FieldDescriptor;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::path::Key;
use std::collections::HashMap;

/// The entries of a map field.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, path::Key, view::View};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// // totals: "a" is 1, then 2.
/// let view = View::new(order, b"\x1a\x05\x0a\x01a\x10\x01\x1a\x05\x0a\x01a\x10\x02")?;
/// let totals = view.field("totals")?.ok_or("not set")?;
/// let totals = totals.as_map().ok_or("not a map")?;
/// assert_eq!(totals.get(&Key::from("a"))?.and_then(|total| total.as_i64()), Some(2));
/// assert_eq!(totals.count()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Map<'s, 'a> {
    /// Of the message that has the field.
    pub(crate) parts: Parts<'a>,
    pub(crate) target: Target,
    pub(crate) key: Target,
    pub(crate) value: Target,
    pub(crate) context: Context<'s>,
}

/// A key and a value.
pub type KeyValue<'s, 'a> = (Value<'s, 'a>, Value<'s, 'a>);

impl<'s, 'a> Map<'s, 'a> {
    /// The field whose entries these are.
    pub fn field(&self) -> FieldDescriptor<'s> {
        self.context.field(&self.target)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the message around the map is malformed.
    pub fn get(&self, key: &Key) -> Result<Option<Value<'s, 'a>>, DecodeError> {
        let entry = self.seek().entry(&self.target, key);
        let value = entry.and_then(|entry| entry.map(|entry| self.value_of(entry)).transpose());
        value.map_err(|fault| self.error(fault))
    }

    /// Calls `visit` for each key with the value that counts, in the order in which those stand on the wire.
    ///
    /// Keys that come twice are found with a table of keys, the one thing in lookups that allocates.
    ///
    /// # Errors
    /// When the message around the map or an entry is malformed, or the map has more entries than allowed.
    pub fn for_each(&self, mut visit: impl FnMut(KeyValue<'s, 'a>)) -> Result<(), DecodeError> {
        self.each(&mut visit).map_err(|fault| self.error(fault))
    }

    /// How many keys there are.
    ///
    /// # Errors
    /// As [`Map::for_each`].
    pub fn count(&self) -> Result<usize, DecodeError> {
        Ok(self.last_entries().map_err(|fault| self.error(fault))?.len())
    }

    fn each(&self, visit: &mut impl FnMut(KeyValue<'s, 'a>)) -> Scan<()> {
        let last = self.last_entries()?;
        let mut index = 0;
        self.entries(|entry| {
            let key = key_of(&self.key, entry, self.context.bounds.depth)?;
            if last.get(&key) == Some(&index) {
                visit((self.key_value(key)?, self.value_of(entry)?));
            }
            index += 1;
            Ok(())
        })
    }

    /// For each key which of the entries counts.
    fn last_entries(&self) -> Scan<HashMap<WireKey<'a>, usize>> {
        let mut last = HashMap::new();
        let mut index = 0;
        self.entries(|entry| {
            last.insert(key_of(&self.key, entry, self.context.bounds.depth)?, index);
            index += 1;
            let held = last.len().saturating_mul(size_of::<(WireKey<'_>, usize)>());
            if held > self.context.bounds.allocation {
                return Err(Fault::new(DecodeErrorKind::AllocationLimit, entry, 0));
            }
            Ok(())
        })?;
        Ok(last)
    }

    fn entries(&self, mut visit: impl FnMut(&'a [u8]) -> Scan<()>) -> Scan<()> {
        let (seek, mut count) = (self.seek(), 0);
        for &bytes in self.parts.slices() {
            let mut fields = Fields::new(bytes, self.context.bounds.depth);
            while let Some(field) = fields.next()? {
                if field.tag != self.target.tag {
                    continue;
                }
                count += 1;
                if count > self.context.bounds.elements {
                    return Err(Fault::new(DecodeErrorKind::TooManyElements, bytes, field.start));
                }
                let entry = bytes.get(field.body..field.end).unwrap_or_default();
                if seek.is_entry(&self.value, entry)? {
                    visit(entry)?;
                }
            }
        }
        Ok(())
    }

    fn key_value(&self, key: WireKey<'a>) -> Scan<Value<'s, 'a>> {
        match key {
            WireKey::Bits(bits) => {
                let kind = self.context.field(&self.key).kind();
                Ok(self.context.number(kind, self.key.entry.sub, bits))
            }
            WireKey::Text(text) => {
                let valid = simdutf8::basic::from_utf8(text);
                valid.map_or_else(
                    |_| Err(Fault::new(DecodeErrorKind::InvalidUtf8, text, 0)),
                    |text| Ok(Value::String(text)),
                )
            }
        }
    }

    fn value_of(&self, entry: &'a [u8]) -> Scan<Value<'s, 'a>> {
        value_of_entry(&self.context, &self.value, entry)
    }

    pub(crate) fn has_entry(&self) -> Scan<bool> {
        let mut any = false;
        self.entries(|_| {
            any = true;
            Ok(())
        })?;
        Ok(any)
    }

    fn seek(&self) -> Seek<'_, '_, 'a> {
        let tables = self.context.schema.tables();
        Seek {
            tables,
            parts: &self.parts,
            message: tables.field(self.target.field).message,
            bounds: self.context.bounds,
        }
    }

    fn error(&self, fault: Fault) -> DecodeError {
        fault.error(self.context.base).in_field(self.field().name())
    }
}

/// The value in a map entry; the default of its type when the entry has none.
pub(crate) fn value_of_entry<'s, 'a>(
    context: &Context<'s>,
    value: &Target,
    entry: &'a [u8],
) -> Scan<Value<'s, 'a>> {
    let parts = Parts::One(entry);
    let tables = context.schema.tables();
    let seek = Seek {
        tables,
        parts: &parts,
        message: tables.field(value.field).message,
        bounds: context.bounds,
    };
    if value.is_message() {
        let found = seek.message(value)?.unwrap_or(Parts::EMPTY);
        return Ok(Value::Message(context.view(value.entry.sub, found)?));
    }
    match seek.scalar(value)? {
        Some(At { bytes, pos }) => context.read(value, At { bytes, pos }),
        None => context.zero(value),
    }
}
