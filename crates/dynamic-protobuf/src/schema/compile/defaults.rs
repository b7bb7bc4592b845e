//! Default values, from the text in which descriptors hold them.

use super::super::Kind;
use super::super::tables::{Default, EnumTable};

/// Reads the default of a field of this kind; `None` when the text is not one.
pub(super) fn parse(kind: Kind, enumeration: Option<&EnumTable>, text: &str) -> Option<Default> {
    let bits = match kind {
        Kind::Double => float(text)?.to_bits(),
        Kind::Float => u64::from((float(text)? as f32).to_bits()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => i64::from(text.parse::<i32>().ok()?) as u64,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => text.parse::<i64>().ok()? as u64,
        Kind::Uint32 | Kind::Fixed32 => u64::from(text.parse::<u32>().ok()?),
        Kind::Uint64 | Kind::Fixed64 => text.parse().ok()?,
        Kind::Bool => u64::from(text.parse::<bool>().ok()?),
        Kind::Enum => {
            let enumeration = enumeration?;
            let index = enumeration.by_name.find(text.as_bytes())?;
            i64::from(enumeration.values.get(index as usize)?.number) as u64
        }
        Kind::String => return Some(Default::Bytes(text.as_bytes().into())),
        Kind::Bytes => return unescape(text.as_bytes()).map(Default::Bytes),
        Kind::Message | Kind::Group => return None,
    };
    Some(Default::Bits(bits))
}

/// The default when the file states none.
pub(super) fn implied(kind: Kind, enumeration: Option<&EnumTable>) -> Default {
    match kind {
        Kind::String | Kind::Bytes => Default::Bytes(Box::default()),
        // Closed enums may begin with another number than zero.
        Kind::Enum => {
            let first = enumeration.and_then(|enumeration| enumeration.values.first());
            Default::Bits(first.map_or(0, |value| i64::from(value.number) as u64))
        }
        _ => Default::Bits(0),
    }
}

fn float(text: &str) -> Option<f64> {
    match text {
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        "nan" => Some(f64::NAN),
        _ => text.parse().ok(),
    }
}

/// Resolves the escapes of C, as descriptors write bytes with them.
fn unescape(text: &[u8]) -> Option<Box<[u8]>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match rest.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            b'v' => 11,
            b'f' => 12,
            b'x' | b'X' => digits(&mut rest, 16, 2)?,
            first @ b'0'..=b'7' => {
                let mut value = u32::from(first - b'0');
                for _ in 0..2 {
                    let Some(digit) = rest.peek().filter(|byte| (b'0'..=b'7').contains(byte)) else {
                        break;
                    };
                    value = value * 8 + u32::from(digit - b'0');
                    rest.next();
                }
                u8::try_from(value).ok()?
            }
            other => other,
        });
    }
    Some(out.into_boxed_slice())
}

fn digits(rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>, radix: u32, most: usize) -> Option<u8> {
    let mut value = None;
    for _ in 0..most {
        let Some(digit) = rest.peek().and_then(|byte| char::from(*byte).to_digit(radix)) else {
            break;
        };
        value = Some(value.unwrap_or(0) * radix + digit);
        rest.next();
    }
    u8::try_from(value?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_bytes_resolve_octal_hex_and_named_escapes() {
        let found = parse(Kind::Bytes, None, r"a\001\x7f\n\\\377");
        assert_eq!(found, Some(Default::Bytes(Box::from(*b"a\x01\x7f\n\\\xff"))));
        assert_eq!(parse(Kind::Bytes, None, r"\"), None);
        assert_eq!(parse(Kind::Bytes, None, r"\777"), None);
    }

    #[test]
    fn defaults_that_do_not_fit_are_refused() {
        assert_eq!(parse(Kind::Int32, None, "2147483648"), None);
        assert_eq!(parse(Kind::Uint32, None, "-1"), None);
        assert_eq!(parse(Kind::Bool, None, "1"), None);
        assert_eq!(
            parse(Kind::Double, None, "-inf"),
            Some(Default::Bits(f64::NEG_INFINITY.to_bits()))
        );
    }
}
