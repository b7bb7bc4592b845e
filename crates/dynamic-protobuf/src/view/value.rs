//! A value as it is read from the wire: scalars by copy, strings and bytes borrowed, everything else lazy.

use super::scan::{At, Fault, Scan, body, length};
use super::seek::Bounds;
use super::target::{Target, bits};
use super::{List, Map, View};
use crate::error::DecodeErrorKind;
use crate::schema::tables::{Default as DefaultValue, Entry};
use crate::view::parts::Parts;
use crate::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Schema};

/// A value of a field, an element or a map entry: `'s` is the schema's life, `'a` that of the bytes.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, view::{Value, View}};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let host = schema.message("doc.Host").ok_or("no doc.Host in the schema")?;
/// let view = View::new(host, b"\x0a\x02db\x10\x2a")?;
/// assert_eq!(view.field("name")?.and_then(|value| value.as_str()), Some("db"));
/// assert_eq!(view.field("port")?.and_then(|value| value.as_u64()), Some(42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value<'s, 'a> {
    /// `bool`.
    Bool(bool),
    /// `int32`, `sint32` and `sfixed32`.
    I32(i32),
    /// `int64`, `sint64` and `sfixed64`.
    I64(i64),
    /// `uint32` and `fixed32`.
    U32(u32),
    /// `uint64` and `fixed64`.
    U64(u64),
    /// `float`.
    F32(f32),
    /// `double`.
    F64(f64),
    /// `string`.
    String(&'a str),
    /// `bytes`, and a `string` that is not UTF-8 where the schema does not ask for validation.
    Bytes(&'a [u8]),
    /// An enum's number with its type; the number may have no name.
    Enum(EnumDescriptor<'s>, i32),
    /// A message, not read yet.
    Message(View<'s, 'a>),
    /// A repeated field, not read yet.
    List(List<'s, 'a>),
    /// A map field, not read yet.
    Map(Map<'s, 'a>),
}

impl<'s, 'a> Value<'s, 'a> {
    /// The value of a `bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of any integer or enum that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::I32(value) | Self::Enum(_, value) => Some(i64::from(*value)),
            Self::I64(value) => Some(*value),
            Self::U32(value) => Some(i64::from(*value)),
            Self::U64(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The value of any integer or enum that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::U64(value) => Some(*value),
            other => u64::try_from(other.as_i64()?).ok(),
        }
    }

    /// The value of a `float` or `double`.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F32(value) => Some(f64::from(*value)),
            Self::F64(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a `string`.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The payload of a `bytes` or `string`.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(value) => Some(value),
            Self::String(value) => Some(value.as_bytes()),
            _ => None,
        }
    }

    /// The message.
    pub fn as_message(&self) -> Option<&View<'s, 'a>> {
        match self {
            Self::Message(value) => Some(value),
            _ => None,
        }
    }

    /// The list.
    pub fn as_list(&self) -> Option<&List<'s, 'a>> {
        match self {
            Self::List(value) => Some(value),
            _ => None,
        }
    }

    /// The map.
    pub fn as_map(&self) -> Option<&Map<'s, 'a>> {
        match self {
            Self::Map(value) => Some(value),
            _ => None,
        }
    }
}

/// What values need beside their bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'s> {
    pub(crate) schema: &'s Schema,
    /// The address at which the whole input begins, for offsets in errors.
    pub(crate) base: usize,
    pub(crate) bounds: Bounds,
}

impl<'s> Context<'s> {
    /// The message of type `message` in `parts`, one level further down.
    pub(crate) fn view<'a>(&self, message: u32, parts: Parts<'a>) -> Scan<View<'s, 'a>> {
        let bounds = self
            .bounds
            .nested(parts.slices().first().copied().unwrap_or_default())?;
        Ok(View {
            descriptor: MessageDescriptor::new(self.schema, message),
            parts,
            context: Self { bounds, ..*self },
        })
    }

    /// The single value of a field at `at`.
    #[inline]
    pub(crate) fn read<'a>(&self, target: &Target, at: At<'a>) -> Scan<Value<'s, 'a>> {
        let field = self.schema.tables().field(target.field);
        let fault = |kind| Fault::new(kind, at.bytes, at.pos);
        let mut pos = at.pos;
        match field.kind {
            Kind::String | Kind::Bytes => {
                let length = length(at.bytes, &mut pos).map_err(fault)?;
                let payload = at.bytes.get(pos..pos + length).unwrap_or_default();
                text(field.kind, &target.entry, payload)
            }
            Kind::Message | Kind::Group => {
                let (slice, _) = body(at, target.tag, self.bounds.depth)?;
                Ok(Value::Message(self.view(target.entry.sub, Parts::One(slice))?))
            }
            kind => {
                let bits = bits(target.entry.op, at.bytes, &mut pos).map_err(fault)?;
                Ok(self.number(kind, target.entry.sub, bits))
            }
        }
    }

    pub(crate) fn number<'a>(&self, kind: Kind, sub: u32, bits: u64) -> Value<'s, 'a> {
        match kind {
            Kind::Double => Value::F64(f64::from_bits(bits)),
            Kind::Float => Value::F32(f32::from_bits(bits as u32)),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(bits as i64),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(bits),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(bits as u32),
            Kind::Bool => Value::Bool(bits != 0),
            Kind::Enum => Value::Enum(EnumDescriptor::new(self.schema, sub), bits as i32),
            _ => Value::I32(bits as i32),
        }
    }

    /// The value of a field that is not set.
    pub(crate) fn default<'a>(&self, target: &Target) -> Scan<Value<'s, 'a>>
    where
        's: 'a,
    {
        let field = self.schema.tables().field(target.field);
        if target.entry.is(Entry::REPEATED) {
            return Ok(self.repeated(target, Parts::EMPTY));
        }
        match &field.default {
            DefaultValue::Bytes(bytes) => text(field.kind, &target.entry, bytes),
            DefaultValue::Bits(_) => self.zero(target),
        }
    }

    /// The value of a map entry without one, or of an element that is missing: zero, empty, or an enum's first.
    pub(crate) fn zero<'a>(&self, target: &Target) -> Scan<Value<'s, 'a>> {
        let field = self.schema.tables().field(target.field);
        match &field.default {
            _ if target.is_message() => {
                let message = target.entry.sub;
                Ok(Value::Message(self.view(message, Parts::EMPTY)?))
            }
            DefaultValue::Bits(bits) => Ok(self.number(field.kind, target.entry.sub, *bits)),
            DefaultValue::Bytes(_) => text(field.kind, &target.entry, &[]),
        }
    }

    /// The list or map in a message.
    pub(crate) fn repeated<'a>(&self, target: &Target, parts: Parts<'a>) -> Value<'s, 'a> {
        let (target, context) = (*target, *self);
        if target.is_map() {
            let (key, value) = target.of_entry(self.schema.tables());
            return Value::Map(Map {
                parts,
                target,
                key,
                value,
                context,
            });
        }
        Value::List(List {
            parts,
            target,
            context,
        })
    }

    pub(crate) fn field(&self, target: &Target) -> FieldDescriptor<'s> {
        FieldDescriptor::new(self.schema, target.field)
    }
}

#[inline]
fn text<'s, 'a>(kind: Kind, entry: &Entry, payload: &'a [u8]) -> Scan<Value<'s, 'a>> {
    if kind == Kind::Bytes {
        return Ok(Value::Bytes(payload));
    }
    match simdutf8::basic::from_utf8(payload) {
        Ok(text) => Ok(Value::String(text)),
        Err(_) if entry.is(Entry::UTF8) => Err(Fault::new(DecodeErrorKind::InvalidUtf8, payload, 0)),
        Err(_) => Ok(Value::Bytes(payload)),
    }
}
