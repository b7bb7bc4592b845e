//! Numbers: JSON's grammar, exact integers also with exponents, and doubles without a second look where that is exact.

use crate::json::error::JsonErrorKind;
use crate::schema::Kind;
use std::ops::{Div, Mul, Neg};
use std::str::FromStr;

/// A number as it stands in the text.
pub(super) struct Number {
    negative: bool,
    /// All digits as an integer, if they are at most 19.
    mantissa: Option<u64>,
    /// Of ten, for the mantissa.
    exponent: i32,
    /// Where the digits before the point begin and end.
    whole: (usize, usize),
    /// Where the digits behind the point begin and end.
    fraction: (usize, usize),
    /// The exponent as it was written.
    written_exponent: i32,
    pub(super) end: usize,
}

/// Digits that always fit 64 bits.
const MANTISSA_DIGITS: usize = 19;
/// An exponent beyond it means zero or infinity for whatever digits fit into memory.
const MOST_EXPONENT: i32 = 1 << 30;

/// Reads the number at `pos`, by JSON's grammar.
#[inline]
pub(super) fn scan(text: &[u8], pos: usize) -> Result<Number, JsonErrorKind> {
    let negative = text.get(pos) == Some(&b'-');
    let start = pos + usize::from(negative);
    let mut digits = 0;
    let whole_end = digits_after(text, start, &mut digits);
    let leading_zero = text.get(start) == Some(&b'0') && whole_end > start + 1;
    if whole_end == start || leading_zero {
        return Err(JsonErrorKind::InvalidNumber);
    }
    let mut end = whole_end;
    let mut fraction = (end, end);
    if text.get(end) == Some(&b'.') {
        fraction = (end + 1, digits_after(text, end + 1, &mut digits));
        if fraction.0 == fraction.1 {
            return Err(JsonErrorKind::InvalidNumber);
        }
        end = fraction.1;
    }
    let mut written_exponent = 0;
    if let Some(b'e' | b'E') = text.get(end) {
        (written_exponent, end) = exponent(text, end + 1)?;
    }
    let behind_point = fraction.1 - fraction.0;
    let few = whole_end - start + behind_point <= MANTISSA_DIGITS;
    Ok(Number {
        negative,
        mantissa: few.then_some(digits),
        exponent: written_exponent.saturating_sub_unsigned(behind_point as u32),
        whole: (start, whole_end),
        fraction,
        written_exponent,
        end,
    })
}

/// Where the digits from `start` on end; they are appended to `sum`, which wraps when they are too many.
#[inline(always)]
fn digits_after(text: &[u8], start: usize, sum: &mut u64) -> usize {
    let mut end = start;
    while let Some(digit) = text
        .get(end)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|digit| *digit < 10)
    {
        *sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    end
}

#[inline]
fn digits_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn exponent(text: &[u8], pos: usize) -> Result<(i32, usize), JsonErrorKind> {
    let (negative, start) = match text.get(pos) {
        Some(b'-') => (true, pos + 1),
        Some(b'+') => (false, pos + 1),
        _ => (false, pos),
    };
    let end = digits_end(text, start);
    if end == start {
        return Err(JsonErrorKind::InvalidNumber);
    }
    let digits = text.get(start..end).unwrap_or_default();
    let value = digits.iter().fold(0i32, |sum, byte| {
        sum.saturating_mul(10)
            .saturating_add(i32::from(byte - b'0'))
            .min(MOST_EXPONENT)
    });
    Ok((if negative { -value } else { value }, end))
}

/// Reads the integer at `pos` for a field of this kind: its bits, and where it ends.
#[inline(always)]
pub(super) fn integer(kind: Kind, text: &[u8], pos: usize) -> Result<(u64, usize), JsonErrorKind> {
    let negative = text.get(pos) == Some(&b'-');
    let start = pos + usize::from(negative);
    let mut end = start;
    let mut magnitude = 0u64;
    let most = text.len().min(start + MANTISSA_DIGITS);
    while end < most {
        let digit = text[end].wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        magnitude = magnitude * 10 + u64::from(digit);
        end += 1;
    }
    let plain = !matches!(text.get(end), Some(b'0'..=b'9' | b'.' | b'e' | b'E'));
    let leading_zero = end > start + 1 && text.get(start) == Some(&b'0');
    if !plain || end == start || leading_zero {
        return long_integer(kind, text, pos);
    }
    let bits = fit(kind, negative, magnitude).ok_or(JsonErrorKind::NumberRange)?;
    Ok((bits, end))
}

#[inline(never)]
fn long_integer(kind: Kind, text: &[u8], pos: usize) -> Result<(u64, usize), JsonErrorKind> {
    let number = scan(text, pos)?;
    let magnitude = number.magnitude(text)?;
    let bits = fit(kind, number.negative, magnitude).ok_or(JsonErrorKind::NumberRange)?;
    Ok((bits, number.end))
}

impl Number {
    /// The number without its sign, when it is an integer.
    fn magnitude(&self, text: &[u8]) -> Result<u64, JsonErrorKind> {
        let whole = text.get(self.whole.0..self.whole.1).unwrap_or_default();
        let fraction = text.get(self.fraction.0..self.fraction.1).unwrap_or_default();
        let digits = || whole.iter().chain(fraction);
        let leading = digits().take_while(|byte| **byte == b'0').count();
        let trailing = digits().rev().take_while(|byte| **byte == b'0').count();
        let count = whole.len() + fraction.len();
        if leading == count {
            return Ok(0);
        }
        let significant = count - leading - trailing;
        // Of ten, for the significant digits as an integer.
        let exponent = i64::from(self.written_exponent) - fraction.len() as i64 + trailing as i64;
        if exponent < 0 {
            return Err(JsonErrorKind::NotAnInteger);
        }
        if significant as i64 + exponent > 20 {
            return Err(JsonErrorKind::NumberRange);
        }
        let value = digits()
            .skip(leading)
            .take(significant)
            .fold(0u128, |sum, byte| sum * 10 + u128::from(byte - b'0'));
        u64::try_from(value * 10u128.pow(exponent as u32)).map_err(|_| JsonErrorKind::NumberRange)
    }
}

/// The bits of an integer, if it is in the range of the kind.
#[inline(always)]
fn fit(kind: Kind, negative: bool, magnitude: u64) -> Option<u64> {
    let value = if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    };
    let fits = match kind {
        Kind::Uint64 | Kind::Fixed64 => !negative || magnitude == 0,
        Kind::Uint32 | Kind::Fixed32 => magnitude <= u64::from(u32::MAX) && (!negative || magnitude == 0),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => magnitude <= i64::MAX as u64 + u64::from(negative),
        _ => magnitude <= i32::MAX as u64 + u64::from(negative),
    };
    fits.then_some(value)
}

/// `f32` and `f64`.
pub(super) trait Float:
    Copy + Neg<Output = Self> + Mul<Output = Self> + Div<Output = Self> + FromStr + 'static
{
    /// Powers of ten that it holds exactly.
    const POWERS: &'static [Self];
    /// Integers up to here are exact.
    const EXACT: u64;

    fn from_exact(integer: u64) -> Self;
    fn is_finite(self) -> bool;
}

impl Float for f64 {
    const POWERS: &'static [Self] = &[
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    const EXACT: u64 = 1 << 53;

    fn from_exact(integer: u64) -> Self {
        integer as Self
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for f32 {
    const POWERS: &'static [Self] = &[1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
    const EXACT: u64 = 1 << 24;

    fn from_exact(integer: u64) -> Self {
        integer as Self
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

/// Reads the number at `pos`, and where it ends. It is rounded once, floats too: not by way of a double.
pub(super) fn float<T: Float>(text: &[u8], pos: usize) -> Result<(T, usize), JsonErrorKind> {
    let number = scan(text, pos)?;
    let power = T::POWERS.get(number.exponent.unsigned_abs() as usize);
    let value = match (number.mantissa, power) {
        // Both operands are exact, so the one operation rounds correctly.
        (Some(mantissa), Some(power)) if mantissa <= T::EXACT => {
            let magnitude = if number.exponent < 0 {
                T::from_exact(mantissa) / *power
            } else {
                T::from_exact(mantissa) * *power
            };
            if number.negative { -magnitude } else { magnitude }
        }
        _ => parse(text, pos, number.end)?,
    };
    if value.is_finite() {
        Ok((value, number.end))
    } else {
        Err(JsonErrorKind::NumberRange)
    }
}

fn parse<T: FromStr>(text: &[u8], start: usize, end: usize) -> Result<T, JsonErrorKind> {
    let digits = text.get(start..end).unwrap_or_default();
    let digits = std::str::from_utf8(digits).map_err(|_| JsonErrorKind::InvalidNumber)?;
    digits.parse().map_err(|_| JsonErrorKind::InvalidNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<i64, JsonErrorKind> {
        let (bits, end) = integer(kind, text.as_bytes(), 0)?;
        assert_eq!(end, text.len());
        Ok(bits as i64)
    }

    #[test]
    fn integers_may_have_exponents_and_fractions_that_vanish() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("1e5", 100_000),
            ("1.0", 1),
            ("1.50e1", 15),
            ("1200e-2", 12),
            ("0e99999999999", 0),
            ("0.000e-5", 0),
            ("2147483647", i64::from(i32::MAX)),
            ("-2147483648", i64::from(i32::MIN)),
            ("1.00000000000000000000000000000000000000000", 1),
            ("100000000000000000000000000000000000000000e-40", 10),
        ] {
            assert_eq!(read(Kind::Int32, text), Ok(value), "{text}");
        }
    }

    #[test]
    fn integers_out_of_range_or_with_fractions_are_refused() {
        for (text, kind) in [
            ("2147483648", JsonErrorKind::NumberRange),
            ("-2147483649", JsonErrorKind::NumberRange),
            ("1e10", JsonErrorKind::NumberRange),
            ("1e99999999999", JsonErrorKind::NumberRange),
            ("0.5", JsonErrorKind::NotAnInteger),
            ("1e-1", JsonErrorKind::NotAnInteger),
            ("1e-99999999999", JsonErrorKind::NotAnInteger),
            ("01", JsonErrorKind::InvalidNumber),
            ("-", JsonErrorKind::InvalidNumber),
            ("", JsonErrorKind::InvalidNumber),
            ("1.", JsonErrorKind::InvalidNumber),
            (".5", JsonErrorKind::InvalidNumber),
            ("1e", JsonErrorKind::InvalidNumber),
            ("+1", JsonErrorKind::InvalidNumber),
        ] {
            assert_eq!(read(Kind::Int32, text), Err(kind), "{text}");
        }
        assert_eq!(read(Kind::Uint32, "-1"), Err(JsonErrorKind::NumberRange));
        assert_eq!(read(Kind::Uint64, "18446744073709551615"), Ok(-1));
        let over = read(Kind::Uint64, "18446744073709551616");
        assert_eq!(over, Err(JsonErrorKind::NumberRange));
        assert_eq!(read(Kind::Int64, "-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(read(Kind::Int64, "9223372036854775807"), Ok(i64::MAX));
        let over = read(Kind::Int64, "9223372036854775808");
        assert_eq!(over, Err(JsonErrorKind::NumberRange));
    }

    #[test]
    fn doubles_are_read_as_the_standard_library_reads_them() {
        for text in [
            "0",
            "-0",
            "1",
            "0.1",
            "-2.5e-3",
            "1e22",
            "1e23",
            "9007199254740993",
            "123456789012345678901234567890",
            "1.7976931348623157e308",
            "5e-324",
            "1e-400",
            "0.000000000000000000000000000000000000001",
        ] {
            let (value, end) = float::<f64>(text.as_bytes(), 0).unwrap();
            assert_eq!(end, text.len());
            let expected = text.parse::<f64>().unwrap();
            assert_eq!(value.to_bits(), expected.to_bits(), "{text}");
        }
        for text in [
            "0",
            "-0.0",
            "0.1",
            "16777217",
            "1.17549435e-38",
            "3.4028235e38",
            "1e10",
            "-12.375",
            "1e11",
            "7e-46",
        ] {
            let (value, end) = float::<f32>(text.as_bytes(), 0).unwrap();
            assert_eq!(end, text.len());
            assert_eq!(value.to_bits(), text.parse::<f32>().unwrap().to_bits(), "{text}");
        }
        assert_eq!(float::<f64>(b"1e309", 0), Err(JsonErrorKind::NumberRange));
        assert_eq!(float::<f32>(b"3.5e38", 0), Err(JsonErrorKind::NumberRange));
    }
}
