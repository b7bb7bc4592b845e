//! Reads the value at a path: one level after the other, each by walking over its own tags.

use super::{Path, Selector, Step};
use crate::error::DecodeError;
use crate::view::parts::Parts;
use crate::view::scan::{At, Scan, body};
use crate::view::seek::{Bounds, Seek};
use crate::view::target::Target;
use crate::view::{Context, Value, check_size, value_of_entry};
use crate::{FieldDescriptor, Schema};

impl Path {
    /// The value at this path in an encoded message, as decoding all of it and reading there would give it.
    ///
    /// `None` when a field on the way is not set, an element is out of range or a key is absent; when the last field is
    /// an empty list or map; and when it is a zero where presence is implicit. Bytes beside the path are passed by, so
    /// that what is malformed there stays unnoticed. Nothing is allocated, unless a singular message on the way occurs
    /// more than once.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::Path};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let port = Path::compile(order, "customer.port")?;
    /// let bytes = b"\x0a\x07\x0a\x03Ada\x10\x50";
    /// assert_eq!(port.get(bytes)?.and_then(|value| value.as_u64()), Some(80));
    /// assert_eq!(port.get(b"")?.map(|_| ()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When bytes on the way are malformed or go past the limits.
    #[inline]
    pub fn get<'s, 'a>(&'s self, bytes: &'a [u8]) -> Result<Option<Value<'s, 'a>>, DecodeError> {
        check_size(bytes, &self.limits)?;
        match self
            .straight
            .as_ref()
            .and_then(|straight| straight.get(&self.schema, bytes))
        {
            Some(value) => Ok(value),
            None => self.walk(bytes),
        }
    }

    /// [`Path::get`] for any path and message.
    #[inline(never)]
    pub(super) fn walk<'s, 'a>(&'s self, bytes: &'a [u8]) -> Result<Option<Value<'s, 'a>>, DecodeError> {
        let walk = Walk::new(&self.schema, bytes, Bounds::new(&self.limits));
        let mut level = 0;
        walk.to_end(&self.steps, bytes, &mut level)
            .map_err(|fault| locate(&self.schema, fault.error(walk.context.base), &self.steps, level))
    }

    /// The value at this path, or the default of its type when there is none.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::Path};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let port = Path::compile(order, "customer.port")?;
    /// assert_eq!(port.get_or_default(b"")?.as_u64(), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Path::get`].
    pub fn get_or_default<'s: 'a, 'a>(&'s self, bytes: &'a [u8]) -> Result<Value<'s, 'a>, DecodeError> {
        if let Some(value) = self.get(bytes)? {
            return Ok(value);
        }
        let walk = Walk::new(&self.schema, bytes, Bounds::new(&self.limits));
        let value = match self.steps.last() {
            Some(Step {
                selector: Selector::Key { value, .. },
                ..
            }) => walk.context.zero(value),
            Some(Step {
                target,
                selector: Selector::Index(_),
                ..
            }) => walk.context.zero(target),
            Some(Step { target, .. }) => walk.context.default(target),
            None => walk.context.view(self.root, Parts::EMPTY).map(Value::Message),
        };
        value.map_err(|fault| fault.error(walk.context.base))
    }
}

/// Gives an error the place of step `level`.
#[cold]
pub(crate) fn locate(schema: &Schema, error: DecodeError, steps: &[Step], level: usize) -> DecodeError {
    let upto = steps.get(..=level).unwrap_or(steps);
    upto.iter().rev().fold(error, |error, step| {
        let name = FieldDescriptor::new(schema, step.target.field).name();
        match step.selector {
            Selector::Index(index) => match usize::try_from(index) {
                Ok(index) => error.in_element(index).in_field(name),
                Err(_) => error.in_field(name),
            },
            _ => error.in_field(name),
        }
    })
}

/// What the levels of a path have in common.
pub(super) struct Walk<'s> {
    pub(super) context: Context<'s>,
}

impl<'s> Walk<'s> {
    #[inline]
    pub(super) fn new(schema: &'s Schema, bytes: &[u8], bounds: Bounds) -> Self {
        Self {
            context: Context {
                schema,
                base: bytes.as_ptr().addr(),
                bounds,
            },
        }
    }

    #[inline]
    fn to_end<'a>(&self, steps: &[Step], bytes: &'a [u8], level: &mut usize) -> Scan<Option<Value<'s, 'a>>> {
        let Some((last, way)) = steps.split_last() else {
            return Ok(None);
        };
        let mut parts = Parts::One(bytes);
        let mut bounds = self.context.bounds;
        for step in way {
            let seek = self.seek(step, &parts, bounds);
            let Some(found) = seek.descend(step)? else {
                return Ok(None);
            };
            parts = found;
            bounds = bounds.nested(bytes)?;
            *level += 1;
        }
        self.seek(last, &parts, bounds).leaf(&self.context, last)
    }

    #[inline(always)]
    fn seek<'p, 'a>(&self, step: &Step, parts: &'p Parts<'a>, bounds: Bounds) -> Seek<'s, 'p, 'a> {
        Seek {
            tables: self.context.schema.tables(),
            parts,
            message: step.message,
            bounds,
        }
    }
}

impl<'a> Seek<'_, '_, 'a> {
    /// The message that `step` leads to.
    #[inline]
    fn descend(&self, step: &Step) -> Scan<Option<Parts<'a>>> {
        match &step.selector {
            Selector::Whole => self.message(&step.target),
            Selector::Index(index) => {
                let Some(at) = self.at(&step.target, *index)? else {
                    return Ok(None);
                };
                let (slice, _) = body(at, step.target.tag, self.bounds.depth)?;
                Ok(Some(Parts::One(slice)))
            }
            Selector::Key { key, value, .. } => {
                let Some(entry) = self.entry(&step.target, key)? else {
                    return Ok(None);
                };
                self.entry_message(value, entry).map(Some)
            }
        }
    }

    /// The message in a map entry; an empty one when the entry has none.
    pub(crate) fn entry_message(&self, value: &Target, entry: &'a [u8]) -> Scan<Parts<'a>> {
        let parts = Parts::One(entry);
        let message = self.tables.field(value.field).message;
        let found = Seek {
            tables: self.tables,
            parts: &parts,
            message,
            bounds: self.bounds,
        }
        .message(value)?;
        Ok(found.unwrap_or(Parts::EMPTY))
    }

    /// The value that `step` leads to.
    #[inline]
    pub(super) fn leaf<'s>(&self, context: &Context<'s>, step: &Step) -> Scan<Option<Value<'s, 'a>>> {
        let context = &Context {
            bounds: self.bounds,
            ..*context
        };
        match &step.selector {
            Selector::Whole => self.get(context, &step.target),
            Selector::Index(index) => {
                let at = self.at(&step.target, *index)?;
                at.map(|at| context.read(&step.target, at)).transpose()
            }
            Selector::Key { key, value, .. } => {
                let entry = self.entry(&step.target, key)?;
                entry
                    .map(|entry| value_of_entry(context, value, entry))
                    .transpose()
            }
        }
    }

    fn at(&self, target: &Target, index: i64) -> Scan<Option<At<'a>>> {
        match self.position(target, index)? {
            Some(index) => self.element(target, index),
            None => Ok(None),
        }
    }

    /// The index from the front.
    pub(crate) fn position(&self, target: &Target, index: i64) -> Scan<Option<usize>> {
        if let Ok(index) = usize::try_from(index) {
            return Ok(Some(index));
        }
        let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(self.count(target)?.checked_sub(back))
    }
}
