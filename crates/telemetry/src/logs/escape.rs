//! Escapes text so that it fits into a JSON string and never ends a line.

use std::fmt;

/// Bytes one value may have in a line; the rest is left out and counted. Above it, container
/// runtimes cut lines into pieces that are no JSON any more.
pub(super) const MAX_VALUE_BYTES: usize = 16 * 1024;

/// Appends what is written to it, escaped and bounded.
pub(super) struct Escaped<'a> {
    output: &'a mut String,
    remaining: usize,
    left_out: usize,
}

impl<'a> Escaped<'a> {
    pub(super) fn new(output: &'a mut String) -> Self {
        Self {
            output,
            remaining: MAX_VALUE_BYTES,
            left_out: 0,
        }
    }

    /// Says how much was left out, if anything was.
    pub(super) fn finish(self) {
        if self.left_out > 0 {
            self.output
                .push_str(&format!("… [{} bytes left out]", self.left_out));
        }
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Once something is left out, so is everything behind it: no text with a hole.
        let kept = if self.left_out > 0 {
            0
        } else {
            text.floor_char_boundary(self.remaining)
        };
        self.remaining -= kept;
        self.left_out += text.len() - kept;
        escape(&text[..kept], self.output);
        Ok(())
    }
}

/// Appends `text` as the inside of a JSON string. Beyond what JSON asks, every control character
/// and Unicode's line and paragraph separators are escaped: some readers end a line at them, and
/// a terminal must not obey what a log line says.
pub(super) fn escape(text: &str, output: &mut String) {
    if text.bytes().all(is_plain) {
        output.push_str(text);
        return;
    }
    let mut written = 0;
    for (index, character) in text
        .char_indices()
        .filter(|&(_, character)| must_be_escaped(character))
    {
        output.push_str(&text[written..index]);
        push_escape(character, output);
        written = index + character.len_utf8();
    }
    output.push_str(&text[written..]);
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn must_be_escaped(character: char) -> bool {
    matches!(character, '"' | '\\' | '\u{2028}' | '\u{2029}') || character.is_control()
}

fn push_escape(character: char, output: &mut String) {
    match character {
        '"' => output.push_str("\\\""),
        '\\' => output.push_str("\\\\"),
        '\n' => output.push_str("\\n"),
        '\r' => output.push_str("\\r"),
        '\t' => output.push_str("\\t"),
        other => output.push_str(&format!("\\u{:04x}", u32::from(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn escaped(text: &str) -> String {
        let mut output = String::new();
        escape(text, &mut output);
        output
    }

    #[test]
    fn whatever_is_escaped_reads_back_the_same() {
        let every_character: String = ('\0'..='\u{2fff}').collect();
        let escaped = escaped(&every_character);
        assert_eq!(
            serde_json::from_str::<String>(&format!("\"{escaped}\"")).unwrap(),
            every_character
        );
        assert!(
            !escaped
                .chars()
                .any(|character| character.is_control() || ('\u{2028}'..='\u{2029}').contains(&character))
        );
    }

    #[test]
    fn plain_text_is_left_as_it_is() {
        assert_eq!(
            escaped("träge Straße / 東京 'quoted'"),
            "träge Straße / 東京 'quoted'"
        );
    }

    #[test]
    fn a_value_beyond_the_limit_says_how_much_is_missing() {
        let mut output = String::new();
        let mut value = Escaped::new(&mut output);
        value.write_str(&"x".repeat(MAX_VALUE_BYTES - 1)).unwrap();
        value.write_str("東京").unwrap();
        value.write_str("y").unwrap();
        value.finish();
        assert_eq!(
            output,
            format!("{}… [7 bytes left out]", "x".repeat(MAX_VALUE_BYTES - 1))
        );
    }
}
