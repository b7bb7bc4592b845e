//! The value a field has when nobody sets it, compared across changes of its type.

use super::field_types::{Cardinality, Typed};
use crate::descriptor::FieldType;
use std::cmp::Ordering;
use std::fmt;

/// A default, written down or by nature.
#[derive(Clone, Debug)]
pub(super) enum DefaultValue {
    /// Of strings and bytes.
    Bytes(Vec<u8>),
    /// Of integers, bools (0 and 1) and enums (their numbers).
    Integer(i128),
    Float(f32),
    Double(f64),
}

impl DefaultValue {
    /// The default of a field; `None` for those that have none: lists, maps, messages, and what no compiler would write.
    pub(super) fn of(typed: &Typed<'_>) -> Option<Self> {
        if matches!(typed.cardinality, Cardinality::Repeated | Cardinality::Map) {
            return None;
        }
        let text = typed.field.proto.default_value.as_deref();
        Some(match typed.encoding? {
            FieldType::Message | FieldType::Group => return None,
            FieldType::String => Self::Bytes(text.unwrap_or_default().as_bytes().to_vec()),
            FieldType::Bytes => Self::Bytes(unescaped(text.unwrap_or_default())),
            FieldType::Enum => Self::Integer(enum_default(typed, text)?.into()),
            FieldType::Bool => Self::Integer((text == Some("true")).into()),
            // The grammar of Rust's numbers includes `inf`, `-inf` and `nan`.
            FieldType::Float => Self::Float(text.map_or(Ok(0.0), str::parse).ok()?),
            FieldType::Double => Self::Double(text.map_or(Ok(0.0), str::parse).ok()?),
            _ => Self::Integer(text.map_or(Ok(0), str::parse).ok()?),
        })
    }

    /// Whether readers see the same, as far as values of two types can be.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        use DefaultValue::{Bytes, Double, Float, Integer};
        match (self, other) {
            (Bytes(one), Bytes(other)) => one == other,
            // The field's change of type is another rule's matter.
            (Bytes(bytes), number) | (number, Bytes(bytes)) => bytes.is_empty() && number.is_zero(),
            (Integer(one), Integer(other)) => one == other,
            (Integer(integer), Float(float)) | (Float(float), Integer(integer)) => {
                is_exactly(*integer, (*float).into())
            }
            (Integer(integer), Double(float)) | (Double(float), Integer(integer)) => {
                is_exactly(*integer, *float)
            }
            (Float(one), Float(other)) => is_same(one.partial_cmp(other), one.is_nan() && other.is_nan()),
            (Double(one), Double(other)) => is_same(one.partial_cmp(other), one.is_nan() && other.is_nan()),
            // A double that became a float, or the reverse, is as precise as the float.
            (Float(one), Double(other)) | (Double(other), Float(one)) => {
                is_same(one.partial_cmp(&(*other as f32)), one.is_nan() && other.is_nan())
            }
        }
    }

    fn is_zero(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Integer(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::Double(number) => *number == 0.0,
        }
    }
}

impl fmt::Display for DefaultValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Double(number) => write!(f, "{number}"),
        }
    }
}

fn is_same(ordering: Option<Ordering>, are_both_no_numbers: bool) -> bool {
    ordering == Some(Ordering::Equal) || are_both_no_numbers
}

fn is_exactly(integer: i128, float: f64) -> bool {
    // All integers of fields are below 2^65, so that a float that is one survives the way there and back.
    let truncated = float as i128;
    truncated == integer && (truncated as f64).partial_cmp(&float) == Some(Ordering::Equal)
}

/// An enum's default is by name, or its first value.
fn enum_default(typed: &Typed<'_>, text: Option<&str>) -> Option<i32> {
    let values = &typed.enumeration?.proto.value;
    match text {
        Some(name) => values
            .iter()
            .find(|value| value.name == name)
            .map(|value| value.number),
        None => values.first().map(|value| value.number),
    }
}

/// Undoes the escapes of C in which `descriptor.proto` holds the default of bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'\\' {
            let (byte, after) = escape(rest);
            bytes.extend(byte);
            rest = after;
        } else {
            bytes.push(first);
        }
    }
    bytes
}

/// The byte that an escape stands for, and what follows it.
fn escape(rest: &[u8]) -> (Option<u8>, &[u8]) {
    let Some((&kind, after)) = rest.split_first() else {
        return (Some(b'\\'), rest);
    };
    match kind {
        b'n' => (Some(b'\n'), after),
        b'r' => (Some(b'\r'), after),
        b't' => (Some(b'\t'), after),
        b'a' => (Some(0x07), after),
        b'b' => (Some(0x08), after),
        b'f' => (Some(0x0c), after),
        b'v' => (Some(0x0b), after),
        b'x' | b'X' => digits(after, 16, 2),
        b'0'..=b'7' => digits(rest, 8, 3),
        other => (Some(other), after),
    }
}

fn digits(rest: &[u8], base: u32, most: usize) -> (Option<u8>, &[u8]) {
    let digit = |byte: &u8| char::from(*byte).to_digit(base);
    let length = rest
        .iter()
        .take(most)
        .take_while(|byte| digit(byte).is_some())
        .count();
    let (number, after) = rest.split_at(length);
    let value = number
        .iter()
        .filter_map(digit)
        .fold(0, |value, digit| value * base + digit);
    // Three octal digits can say more than a byte holds; C keeps the low bits.
    ((length > 0).then_some(value as u8), after)
}

#[cfg(test)]
mod tests {
    use super::DefaultValue::{Bytes, Double, Float, Integer};
    use super::*;

    #[test]
    fn defaults_of_different_types_are_compared_by_value() {
        assert!(Integer(1).is_same(&Double(1.0)));
        assert!(!Integer(u64::MAX.into()).is_same(&Double(u64::MAX as f64)));
        assert!(!Integer(1).is_same(&Float(1.5)));
        assert!(Float(0.1).is_same(&Double(0.1)));
        assert!(Double(f64::NAN).is_same(&Float(f32::NAN)));
        assert!(!Double(f64::NAN).is_same(&Integer(0)));
        assert!(!Double(f64::INFINITY).is_same(&Integer(i128::MAX)));
        assert!(Double(-0.0).is_same(&Double(0.0)));
        assert!(Bytes(Vec::new()).is_same(&Integer(0)));
        assert!(!Bytes(b"0".to_vec()).is_same(&Integer(0)));
    }

    #[test]
    fn escapes_of_bytes_are_undone() {
        assert_eq!(unescaped(r"a\n\001\x7f\\\'\377"), b"a\n\x01\x7f\\'\xff");
        assert_eq!(unescaped(r"\8\"), b"8\\");
        assert_eq!(unescaped(r"\xg"), b"g");
    }
}
