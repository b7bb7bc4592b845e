//! Scalars to text: numbers in their shortest form, strings as people can read them.

use super::Printer;
use crate::message::Value;

impl Printer<'_> {
    /// Writes a value that is not a message.
    pub(super) fn scalar(&mut self, value: Value<'_>) {
        match value {
            Value::Bool(value) => self.out.push_str(if value { "true" } else { "false" }),
            Value::I32(value) => self.integer(value),
            Value::I64(value) => self.integer(value),
            Value::U32(value) => self.integer(value),
            Value::U64(value) => self.integer(value),
            Value::F32(value) if value.is_finite() => {
                self.out.push_str(zmij::Buffer::new().format_finite(value));
            }
            Value::F64(value) if value.is_finite() => {
                self.out.push_str(zmij::Buffer::new().format_finite(value));
            }
            Value::F32(value) => self.not_finite(value.into()),
            Value::F64(value) => self.not_finite(value),
            Value::String(value) => self.string(value.as_bytes()),
            Value::Bytes(value) => self.bytes(value),
            Value::Enum(descriptor, number) => match descriptor.value(number) {
                Some(value) => self.out.push_str(value.name()),
                None => self.integer(number),
            },
            Value::Message(_) | Value::List(_) | Value::Map(_) => {}
        }
    }

    pub(super) fn integer(&mut self, value: impl itoa::Integer) {
        self.out.push_str(itoa::Buffer::new().format(value));
    }

    fn not_finite(&mut self, value: f64) {
        self.out.push_str(if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        });
    }

    /// Writes a string: what is UTF-8 and can be seen as it is, the rest escaped.
    fn string(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                match u8::try_from(character) {
                    Ok(byte) if byte.is_ascii() => self.byte(byte),
                    _ if is_unseen(character) => self.escaped_character(character),
                    _ => self.out.push(character),
                }
            }
            chunk.invalid().iter().for_each(|byte| self.byte(*byte));
        }
        self.out.push('"');
    }

    /// Writes bytes: ASCII as it is, the rest escaped.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.push('"');
        bytes.iter().for_each(|byte| self.byte(*byte));
        self.out.push('"');
    }

    fn byte(&mut self, byte: u8) {
        match byte {
            b'\n' => self.out.push_str("\\n"),
            b'\r' => self.out.push_str("\\r"),
            b'\t' => self.out.push_str("\\t"),
            b'"' => self.out.push_str("\\\""),
            b'\\' => self.out.push_str("\\\\"),
            b' '..=b'~' => self.out.push(byte.into()),
            // Three digits always, so that a digit that follows is not taken for one of them.
            _ => {
                self.out.push('\\');
                for shift in [6, 3, 0] {
                    self.out.push((b'0' + (byte >> shift & 7)).into());
                }
            }
        }
    }

    fn escaped_character(&mut self, character: char) {
        let mut encoded = [0; 4];
        character
            .encode_utf8(&mut encoded)
            .bytes()
            .for_each(|byte| self.byte(byte));
    }
}

/// Characters that steer a terminal or rearrange a line: left as they are, text would not show what it says.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
