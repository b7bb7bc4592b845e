//! Repeated fields, read lazily: packed and unpacked occurrences, in as many pieces as the encoder made.

use super::parts::Parts;
use super::scan::{At, Fault, Fields, Scan};
use super::seek::Seek;
use super::target::{Target, bits, is_known};
use super::value::{Context, Value};
use crate::FieldDescriptor;
use crate::error::{DecodeError, DecodeErrorKind};

/// The elements of a repeated field.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, view::View};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// // codes: [1, 2] in one piece, and 3.
/// let view = View::new(order, b"\x22\x02\x01\x02\x20\x03")?;
/// let codes = view.field("codes")?.ok_or("not set")?;
/// let codes = codes.as_list().ok_or("not a list")?;
/// let sum = codes.iter().try_fold(0, |sum, code| Ok::<_, heddle_dynamic_protobuf::DecodeError>(sum + code?.as_i64().unwrap_or(0)))?;
/// assert_eq!((codes.count()?, sum), (3, 6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct List<'s, 'a> {
    /// Of the message that has the field.
    pub(crate) parts: Parts<'a>,
    pub(crate) target: Target,
    pub(crate) context: Context<'s>,
}

impl<'s, 'a> List<'s, 'a> {
    /// The field whose elements these are.
    pub fn field(&self) -> FieldDescriptor<'s> {
        self.context.field(&self.target)
    }

    /// How many elements there are; they are counted anew each time.
    ///
    /// # Errors
    /// When the message around the list is malformed, or has more elements than allowed.
    pub fn count(&self) -> Result<usize, DecodeError> {
        self.seek().count(&self.target).map_err(|fault| self.error(fault))
    }

    /// The element at `index`; what comes after it is not read.
    ///
    /// # Errors
    /// When the bytes up to it are malformed.
    pub fn get(&self, index: usize) -> Result<Option<Value<'s, 'a>>, DecodeError> {
        let found = self.seek().element(&self.target, index);
        let read = found.and_then(|at| at.map(|at| self.context.read(&self.target, at)).transpose());
        read.map_err(|fault| self.error(fault).in_element(index).in_field(self.field().name()))
    }

    /// The elements in order. After an error there are no more.
    pub fn iter(&self) -> Elements<'s, 'a> {
        Elements {
            list: self.clone(),
            part: 0,
            pos: 0,
            run: None,
            index: 0,
            failed: false,
        }
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
        fault.error(self.context.base)
    }
}

impl<'s, 'a> IntoIterator for &List<'s, 'a> {
    type Item = Result<Value<'s, 'a>, DecodeError>;
    type IntoIter = Elements<'s, 'a>;

    fn into_iter(self) -> Elements<'s, 'a> {
        self.iter()
    }
}

/// An iterator over the elements of a [`List`].
#[derive(Clone, Debug)]
pub struct Elements<'s, 'a> {
    list: List<'s, 'a>,
    part: usize,
    pos: usize,
    /// The packed occurrence that is being read.
    run: Option<At<'a>>,
    index: usize,
    failed: bool,
}

impl<'s, 'a> Iterator for Elements<'s, 'a> {
    type Item = Result<Value<'s, 'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let index = self.index;
        let value = self.advance().transpose()?;
        self.index += 1;
        self.failed = value.is_err();
        let list = &self.list;
        Some(value.map_err(|fault| list.error(fault).in_element(index).in_field(list.field().name())))
    }
}

impl<'s, 'a> Elements<'s, 'a> {
    fn advance(&mut self) -> Scan<Option<Value<'s, 'a>>> {
        loop {
            if let Some(value) = self.advance_run()? {
                return Ok(Some(value));
            }
            let Some(&bytes) = self.list.parts.slices().get(self.part) else {
                return Ok(None);
            };
            let mut fields = Fields::new(bytes, self.list.context.bounds.depth);
            fields.pos = self.pos;
            let Some(field) = fields.next()? else {
                (self.part, self.pos) = (self.part + 1, 0);
                continue;
            };
            self.pos = fields.pos;
            let target = &self.list.target;
            if !target.takes(field.tag) {
                continue;
            }
            if target.is_packed(field.tag) {
                let run = bytes.get(field.body..field.end).unwrap_or_default();
                self.run = Some(At { bytes: run, pos: 0 });
                continue;
            }
            let at = At {
                bytes,
                pos: field.value,
            };
            if is_known(self.list.context.schema.tables(), &target.entry, at) {
                return self.value(at).map(Some);
            }
        }
    }

    fn advance_run(&mut self) -> Scan<Option<Value<'s, 'a>>> {
        let target = self.list.target;
        while let Some(at) = self.run.filter(|at| at.pos < at.bytes.len()) {
            let mut pos = at.pos;
            bits(target.entry.op, at.bytes, &mut pos).map_err(|kind| Fault::new(kind, at.bytes, at.pos))?;
            self.run = Some(At { bytes: at.bytes, pos });
            if is_known(self.list.context.schema.tables(), &target.entry, at) {
                return self.value(at).map(Some);
            }
        }
        Ok(None)
    }

    fn value(&self, at: At<'a>) -> Scan<Value<'s, 'a>> {
        if self.index >= self.list.context.bounds.elements {
            return Err(Fault::new(DecodeErrorKind::TooManyElements, at.bytes, at.pos));
        }
        self.list.context.read(&self.list.target, at)
    }
}

/// Whether a list has any element.
pub(crate) fn has_element(seek: &Seek<'_, '_, '_>, target: &Target) -> Scan<bool> {
    Ok(seek.element(target, 0)?.is_some())
}
