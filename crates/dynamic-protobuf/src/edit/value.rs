//! The values that edits write, and how they are written.

use super::error::EditError;
use crate::Kind;
use crate::message::Scalar;
use crate::message::message_set::{ITEM_END, ITEM_START, MESSAGE, TYPE_ID};
use crate::schema::tables::{Entry, Op, Tables};
use crate::view::View;
use crate::view::scan::Fields;
use crate::view::target::Target;
use crate::wire::{self, WireType, put_varint, tag};

/// A value to write. Numbers fit any integer field in whose range they lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NewValue<'v> {
    /// A number, a bool, a string, bytes or an enum.
    Scalar(Scalar<'v>),
    /// A message, encoded. Its own fields are checked to be well-formed, not what is in them.
    Message(&'v [u8]),
    /// All elements of a repeated field.
    List(&'v [NewValue<'v>]),
    /// All entries of a map field; of equal keys the last counts.
    Map(&'v [(Scalar<'v>, NewValue<'v>)]),
}

impl<'v> NewValue<'v> {
    /// The message in a view; `None` when it is merged from several occurrences:
    /// [`View::encode_into`] joins those.
    pub fn from_view(view: &View<'_, 'v>) -> Option<Self> {
        view.as_bytes().map(Self::Message)
    }
}

impl<'v> From<Scalar<'v>> for NewValue<'v> {
    fn from(value: Scalar<'v>) -> Self {
        Self::Scalar(value)
    }
}

macro_rules! new_value {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl<'v> From<$from> for NewValue<'v> {
            fn from(value: $from) -> Self {
                Self::Scalar(Scalar::$variant(value))
            }
        }
    )*};
}

new_value!(
    bool => Bool, i32 => I32, i64 => I64, u32 => U32, u64 => U64, f32 => F32, f64 => F64, &'v str => String,
    &'v [u8] => Bytes,
);

/// Why a value cannot be written; the caller knows the path.
#[derive(Debug)]
pub(super) enum Misfit {
    Type(&'static str),
    Enum(i32),
    Message(crate::DecodeError),
}

impl Misfit {
    pub(super) fn at(self, path: &str) -> EditError {
        let path = path.to_owned();
        match self {
            Self::Type(expected) => EditError::WrongType { path, expected },
            Self::Enum(number) => EditError::UnknownEnumValue { path, number },
            Self::Message(source) => EditError::InvalidMessage { path, source },
        }
    }
}

/// Writes values of a schema.
#[derive(Clone, Copy)]
pub(super) struct Writer<'t> {
    pub(super) tables: &'t Tables,
    pub(super) depth: u32,
}

impl Writer<'_> {
    /// A single value with its tag.
    pub(super) fn field(
        self,
        out: &mut Vec<u8>,
        target: &Target,
        value: &NewValue<'_>,
    ) -> Result<(), Misfit> {
        open(out, target);
        self.payload(out, target, value)?;
        close(out, target);
        Ok(())
    }

    /// A single value without its tag, and for groups without the end.
    pub(super) fn payload(
        self,
        out: &mut Vec<u8>,
        target: &Target,
        value: &NewValue<'_>,
    ) -> Result<(), Misfit> {
        let kind = self.tables.field(target.field).kind;
        match (kind, value) {
            (Kind::Message, NewValue::Message(bytes)) => {
                self.check(bytes)?;
                put_bytes(out, bytes);
            }
            (Kind::Group, NewValue::Message(bytes)) => {
                self.check(bytes)?;
                out.extend_from_slice(bytes);
            }
            (_, NewValue::Scalar(value)) => self.scalar(out, kind, &target.entry, value)?,
            _ => return Err(Misfit::Type(takes(kind))),
        }
        Ok(())
    }

    fn check(self, bytes: &[u8]) -> Result<(), Misfit> {
        let mut fields = Fields::new(bytes, self.depth);
        loop {
            match fields.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(fault) => return Err(Misfit::Message(fault.error(bytes.as_ptr().addr()))),
            }
        }
    }

    fn scalar(self, out: &mut Vec<u8>, kind: Kind, entry: &Entry, value: &Scalar<'_>) -> Result<(), Misfit> {
        match (kind, value) {
            (Kind::String, Scalar::String(text)) => put_bytes(out, text.as_bytes()),
            (Kind::String, Scalar::Bytes(bytes))
                if !entry.is(Entry::UTF8) || simdutf8::basic::from_utf8(bytes).is_ok() =>
            {
                put_bytes(out, bytes);
            }
            (Kind::Bytes, Scalar::Bytes(bytes)) => put_bytes(out, bytes),
            (Kind::Bytes, Scalar::String(text)) => put_bytes(out, text.as_bytes()),
            _ => {
                let bits = self.bits(kind, entry, value)?;
                put_bits(out, entry.op, bits);
            }
        }
        Ok(())
    }

    fn bits(self, kind: Kind, entry: &Entry, value: &Scalar<'_>) -> Result<u64, Misfit> {
        let misfit = || Misfit::Type(takes(kind));
        match (kind, value) {
            (Kind::Bool, Scalar::Bool(value)) => return Ok(u64::from(*value)),
            (Kind::Float, Scalar::F32(value)) => return Ok(u64::from(value.to_bits())),
            (Kind::Double, Scalar::F64(value)) => return Ok(value.to_bits()),
            (Kind::Double, Scalar::F32(value)) => return Ok(f64::from(*value).to_bits()),
            _ => {}
        }
        let number = match value {
            Scalar::I32(value) => i128::from(*value),
            Scalar::I64(value) => i128::from(*value),
            Scalar::U32(value) => i128::from(*value),
            Scalar::U64(value) => i128::from(*value),
            Scalar::Enum(value) if kind == Kind::Enum => i128::from(*value),
            _ => return Err(misfit()),
        };
        let fits = match kind {
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Enum => i32::try_from(number).is_ok(),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => i64::try_from(number).is_ok(),
            Kind::Uint32 | Kind::Fixed32 => u32::try_from(number).is_ok(),
            Kind::Uint64 | Kind::Fixed64 => u64::try_from(number).is_ok(),
            _ => false,
        };
        if !fits {
            return Err(misfit());
        }
        let closed = entry.op == Op::EnumClosed;
        if closed
            && self
                .tables
                .enumeration(entry.sub)
                .index_of(number as i32)
                .is_none()
        {
            return Err(Misfit::Enum(number as i32));
        }
        Ok(number as u64)
    }

    /// A map entry with its tag.
    pub(super) fn entry(
        self,
        out: &mut Vec<u8>,
        target: &Target,
        key: &Scalar<'_>,
        value: &NewValue<'_>,
    ) -> Result<(), Misfit> {
        let (key_target, value_target) = target.of_entry(self.tables);
        let start = out.len();
        self.field(out, &key_target, &NewValue::Scalar(*key))?;
        self.field(out, &value_target, value)?;
        wrap(out, start, target);
        Ok(())
    }

    /// The elements of a list: in one packed field where the schema wants that and `loose` does not forbid it.
    pub(super) fn list(
        self,
        out: &mut Vec<u8>,
        target: &Target,
        values: &[NewValue<'_>],
        loose: bool,
    ) -> Result<(), Misfit> {
        if loose || !target.entry.is(Entry::PACKED) || values.is_empty() {
            return values.iter().try_for_each(|value| self.field(out, target, value));
        }
        let start = out.len();
        for value in values {
            self.payload(out, target, value)?;
        }
        let len = out.len() - start;
        put_varint(out, target.packed_tag.into());
        put_varint(out, len as u64);
        rotate(out, start, len);
        Ok(())
    }

    /// Whether setting the field to this is the same as removing it.
    pub(super) fn is_implied(self, target: &Target, value: &NewValue<'_>) -> bool {
        let NewValue::Scalar(value) = value else {
            return false;
        };
        let zero = match value {
            Scalar::Bool(value) => !value,
            Scalar::I32(value) | Scalar::Enum(value) => *value == 0,
            Scalar::I64(value) => *value == 0,
            Scalar::U32(value) => *value == 0,
            Scalar::U64(value) => *value == 0,
            Scalar::F32(value) => value.to_bits() == 0,
            Scalar::F64(value) => value.to_bits() == 0,
            Scalar::String(value) => value.is_empty(),
            Scalar::Bytes(value) => value.is_empty(),
        };
        zero && target.entry.is(Entry::IMPLICIT)
    }
}

/// Puts tag and length before what was written since `start`, and for groups the end tag behind it.
pub(super) fn wrap(out: &mut Vec<u8>, start: usize, target: &Target) {
    let len = out.len() - start;
    open(out, target);
    if target.entry.op != Op::Group {
        put_varint(out, len as u64);
    }
    rotate(out, start, len);
    close(out, target);
}

/// Writes what is before the length or value of a field: its tag, and in a MessageSet the beginning of an item.
fn open(out: &mut Vec<u8>, target: &Target) {
    match target.type_id {
        None => put_varint(out, target.tag.into()),
        Some(type_id) => {
            put_varint(out, ITEM_START.into());
            put_varint(out, TYPE_ID.into());
            put_varint(out, type_id.into());
            put_varint(out, MESSAGE.into());
        }
    }
}

/// Writes what is behind the value of a field: nothing, or the end of a group.
fn close(out: &mut Vec<u8>, target: &Target) {
    if target.type_id.is_some() {
        put_varint(out, ITEM_END.into());
    } else if target.entry.op == Op::Group {
        put_varint(out, tag(target.number(), WireType::EndGroup).into());
    }
}

/// Moves what was written after the first `len` bytes since `start` before those.
fn rotate(out: &mut [u8], start: usize, len: usize) {
    if let Some(written) = out.get_mut(start..) {
        written.rotate_left(len);
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_bits(out: &mut Vec<u8>, op: Op, bits: u64) {
    match op {
        Op::Fixed32 | Op::Sfixed32 => out.extend_from_slice(&(bits as u32).to_le_bytes()),
        Op::Fixed64 => out.extend_from_slice(&bits.to_le_bytes()),
        Op::Sint32 => put_varint(out, u64::from(wire::zigzag(bits as i64) as u32)),
        Op::Sint64 => put_varint(out, wire::zigzag(bits as i64)),
        _ => put_varint(out, bits),
    }
}

/// What a place of this kind takes, in words.
pub(super) const fn takes(kind: Kind) -> &'static str {
    match kind {
        Kind::Double => "a double",
        Kind::Float => "a float",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "an integer of 32 bits",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "an integer of 64 bits",
        Kind::Uint32 | Kind::Fixed32 => "an unsigned integer of 32 bits",
        Kind::Uint64 | Kind::Fixed64 => "an unsigned integer of 64 bits",
        Kind::Bool => "a bool",
        Kind::String => "a string that is UTF-8",
        Kind::Bytes => "bytes",
        Kind::Enum => "an enum's number",
        Kind::Message | Kind::Group => "an encoded message",
    }
}
