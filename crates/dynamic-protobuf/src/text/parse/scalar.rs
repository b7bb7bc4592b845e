//! Numbers, bools and enums.

use super::super::error::{ParseError, ParseErrorKind};
use super::super::names;
use super::{Parser, Step};
use crate::schema::tables::Entry;
use crate::schema::{EnumDescriptor, FieldDescriptor, Kind};
use crate::wire;
use std::ops::Neg;
use std::str::FromStr;

/// A number without its sign.
#[derive(Clone, Copy)]
pub(super) enum Number<'p> {
    /// Digits, and their base.
    Integer(&'p str, u32),
    /// With a point, an exponent or an `f`, which is not part of it.
    Float(&'p str),
}

impl<'p> Parser<'p> {
    /// Reads a value that is not a message, and writes it without a tag.
    pub(super) fn scalar(&mut self, field: FieldDescriptor<'_>) -> Step {
        let start = self.cursor.token_at();
        let failed = |kind| ParseError::new(kind, start);
        match field.kind() {
            Kind::Int32 => self.signed::<i32>().map(|value| self.out.varint(value as u64)),
            Kind::Int64 => self.signed::<i64>().map(|value| self.out.varint(value as u64)),
            Kind::Sint32 => self
                .signed::<i32>()
                .map(|value| self.out.varint(wire::zigzag(value))),
            Kind::Sint64 => self
                .signed::<i64>()
                .map(|value| self.out.varint(wire::zigzag(value))),
            Kind::Sfixed32 => self
                .signed::<i32>()
                .map(|value| self.out.put(&(value as i32).to_le_bytes())),
            Kind::Sfixed64 => self
                .signed::<i64>()
                .map(|value| self.out.put(&value.to_le_bytes())),
            Kind::Uint32 => self.unsigned(u32::MAX.into()).map(|value| self.out.varint(value)),
            Kind::Uint64 => self.unsigned(u64::MAX).map(|value| self.out.varint(value)),
            Kind::Fixed32 => {
                let value = self.unsigned(u32::MAX.into())?;
                self.out.put(&(value as u32).to_le_bytes());
                Ok(())
            }
            Kind::Fixed64 => self
                .unsigned(u64::MAX)
                .map(|value| self.out.put(&value.to_le_bytes())),
            Kind::Float => self
                .float::<f32>()
                .map(|value| self.out.put(&value.to_le_bytes())),
            Kind::Double => self
                .float::<f64>()
                .map(|value| self.out.put(&value.to_le_bytes())),
            Kind::Bool => self.bool().map(|value| self.out.varint(value.into())),
            Kind::Enum => match field.enumeration() {
                Some(enumeration) => self.enumeration(enumeration).map(|value| self.out.varint(value)),
                None => Err(failed(ParseErrorKind::UnknownEnumValue)),
            },
            Kind::String | Kind::Bytes => {
                let at = self.out.open();
                self.strings()?;
                let checked = field.table().entry.is(Entry::UTF8);
                if checked && !crate::utf8::is_valid(self.out.since(at.content())) {
                    return Err(failed(ParseErrorKind::InvalidUtf8));
                }
                self.out.close_len(at);
                Ok(())
            }
            Kind::Message | Kind::Group => self.expected("a message"),
        }
    }

    /// Reads an integer with or without a minus that fits `T`.
    fn signed<T: TryFrom<i128>>(&mut self) -> Step<i64> {
        let start = self.cursor.token_at();
        let negative = self.cursor.take(b'-');
        let magnitude = i128::from(self.integer()?);
        let value = if negative { -magnitude } else { magnitude };
        let fits = T::try_from(value).is_ok();
        let value = i64::try_from(value).ok().filter(|_| fits);
        value.ok_or_else(|| ParseError::new(ParseErrorKind::NumberRange, start))
    }

    /// Reads an integer without a sign.
    fn unsigned(&mut self, most: u64) -> Step<u64> {
        let start = self.cursor.token_at();
        let value = Some(self.integer()?).filter(|value| *value <= most);
        value.ok_or_else(|| ParseError::new(ParseErrorKind::NumberRange, start))
    }

    fn integer(&mut self) -> Step<u64> {
        let start = self.cursor.token_at();
        match self.number_here() {
            true => match self.number()? {
                Number::Integer(digits, base) => u64::from_str_radix(digits, base)
                    .map_err(|_| ParseError::new(ParseErrorKind::NumberRange, start)),
                Number::Float(_) => Err(ParseError::new(ParseErrorKind::Expected("an integer"), start)),
            },
            false => self.expected("an integer"),
        }
    }

    fn float<T: FromStr + From<f32> + Neg<Output = T>>(&mut self) -> Step<T> {
        let negative = self.cursor.take(b'-');
        let start = self.cursor.token_at();
        let failed = || ParseError::new(ParseErrorKind::Expected("a decimal number"), start);
        let value = if self.number_here() {
            match self.number()? {
                Number::Integer(digits, 10) | Number::Float(digits) => {
                    digits.parse().map_err(|_| failed())?
                }
                Number::Integer(..) => return Err(failed()),
            }
        } else {
            let word = self.cursor.identifier().ok_or_else(failed)?.to_ascii_lowercase();
            match word.as_str() {
                "inf" | "infinity" => T::from(f32::INFINITY),
                "nan" => T::from(f32::NAN),
                _ => return Err(failed()),
            }
        };
        Ok(if negative { -value } else { value })
    }

    fn bool(&mut self) -> Step<bool> {
        let start = self.cursor.token_at();
        let failed = || ParseError::new(ParseErrorKind::Expected("a bool"), start);
        if self.number_here() {
            return match self.integer()? {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(failed()),
            };
        }
        match self.cursor.identifier() {
            Some("true" | "True" | "t") => Ok(true),
            Some("false" | "False" | "f") => Ok(false),
            _ => Err(failed()),
        }
    }

    /// Reads a value of an enum by name or number, and returns its number as a varint holds it.
    fn enumeration(&mut self, enumeration: EnumDescriptor<'_>) -> Step<u64> {
        let start = self.cursor.token_at();
        let unknown = || ParseError::new(ParseErrorKind::UnknownEnumValue, start);
        if let Some(name) = self.cursor.identifier() {
            let value = enumeration.value_named(name).ok_or_else(unknown)?;
            return Ok(i64::from(value.number()) as u64);
        }
        if !self.number_here() && self.cursor.peek() != Some(b'-') {
            return self.expected("the name or number of an enum's value");
        }
        let number = self.signed::<i32>()?;
        let known = !enumeration.is_closed() || enumeration.value(number as i32).is_some();
        known.then_some(number as u64).ok_or_else(unknown)
    }

    fn number_here(&mut self) -> bool {
        matches!(self.cursor.peek(), Some(b'0'..=b'9' | b'.'))
    }

    /// Reads a number without its sign; what follows is set apart from it.
    pub(super) fn number(&mut self) -> Step<Number<'p>> {
        let start = self.cursor.token_at();
        let token = number_token(self.cursor.rest());
        self.cursor.advance_by(token.len());
        classify(token).ok_or_else(|| ParseError::new(ParseErrorKind::InvalidNumber, start))
    }
}

/// Everything from the start on that has to be one number, or none.
fn number_token(rest: &[u8]) -> &[u8] {
    let hexadecimal = matches!(rest, [b'0', b'x' | b'X', ..]);
    let mut before = 0;
    let end = rest.iter().position(|byte| {
        let signed_exponent = matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E') && !hexadecimal;
        before = *byte;
        !(names::continues_identifier(*byte) || *byte == b'.' || signed_exponent)
    });
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

fn classify(token: &[u8]) -> Option<Number<'_>> {
    let token = str::from_utf8(token).ok()?;
    if let Some(digits) = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")) {
        let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return valid.then_some(Number::Integer(digits, 16));
    }
    let body = token.strip_suffix(['f', 'F']).unwrap_or(token);
    if body.len() < token.len() || body.contains(['.', 'e', 'E']) {
        return is_decimal_float(body).then_some(Number::Float(body));
    }
    if is_decimal_integer(token) {
        return Some(Number::Integer(token, 10));
    }
    let octal = token.strip_prefix('0')?;
    let valid = octal.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    valid.then_some(Number::Integer(octal, 8))
}

fn is_decimal_float(body: &str) -> bool {
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let whole_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    let whole_mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && is_digits(fraction),
        Some((integer, fraction)) => is_decimal_integer(integer) && is_digits(fraction),
        None => is_decimal_integer(mantissa),
    };
    whole_exponent && whole_mantissa
}

/// Whether these are digits without a leading zero that would make them octal.
fn is_decimal_integer(digits: &str) -> bool {
    digits == "0" || (!digits.is_empty() && !digits.starts_with('0') && is_digits(digits))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
