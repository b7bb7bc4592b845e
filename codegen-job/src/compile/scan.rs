//! A look at a file's text before the parser gets it: what would make the parser break off or mislead.

/// The deepest that braces and brackets may nest. protoc allows 32 levels of messages; options nest in between.
const NESTING_LIMIT: usize = 128;
/// The most bytes of one file. The largest IDL files seen in public are a tenth of it.
pub(super) const FILE_BYTES: usize = 8 * 1024 * 1024;

/// Something that keeps a file from being parsed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Obstacle {
    /// Where, as a byte offset.
    pub(super) offset: usize,
    /// How many bytes it takes up.
    pub(super) length: usize,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// The first obstacle in `text`, if any.
pub(super) fn scan(text: &str) -> Option<Obstacle> {
    if text.len() > FILE_BYTES {
        return Some(Obstacle {
            offset: 0,
            length: 0,
            message: format!("the file has {} bytes, more than {FILE_BYTES}", text.len()),
            help: "split the file",
        });
    }
    let mut depth = 0_usize;
    let mut is_first = true;
    for (offset, token) in Tokens(text, 0) {
        if std::mem::take(&mut is_first) && token == "edition" {
            return Some(edition(offset));
        }
        match token {
            "{" | "[" | "<" => depth += 1,
            "}" | "]" | ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_LIMIT {
            return Some(Obstacle {
                offset,
                length: 1,
                message: format!("more than {NESTING_LIMIT} levels of nesting"),
                help: "flatten the message or the option",
            });
        }
    }
    None
}

/// The files that `text` imports publicly.
pub(super) fn public_imports(text: &str) -> Vec<&str> {
    // Nearly no file has any, and looking for a word is cheap.
    if !text.contains("public") {
        return Vec::new();
    }
    let tokens: Vec<&str> = Tokens(text, 0).map(|(_, token)| token).collect();
    let names = tokens.windows(3).filter_map(|tokens| match tokens {
        ["import", "public", name] => name.get(1..name.len().checked_sub(1)?),
        _ => None,
    });
    names.collect()
}

fn edition(offset: usize) -> Obstacle {
    Obstacle {
        offset,
        length: "edition".len(),
        message: "files with 'edition' are not supported, only proto2 and proto3".into(),
        help: "write `syntax = \"proto3\";`, or leave the file out by source.exclude",
    }
}

/// Words and single punctuation characters with their offsets; strings as one token, comments left out.
struct Tokens<'a>(&'a str, usize);

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.0[self.1..];
            let first = rest.chars().next()?;
            let (length, is_token) = if rest.starts_with("//") {
                (rest.find('\n').unwrap_or(rest.len()), false)
            } else if rest.starts_with("/*") {
                (rest.find("*/").map_or(rest.len(), |end| end + 2), false)
            } else if first == '"' || first == '\'' {
                (string_length(rest, first), true)
            } else if first.is_alphanumeric() || first == '_' {
                (
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                        .unwrap_or(rest.len()),
                    true,
                )
            } else {
                // A byte order mark may open a file.
                (first.len_utf8(), !first.is_whitespace() && first != '\u{feff}')
            };
            let start = self.1;
            self.1 += length;
            if is_token {
                return Some((start, &rest[..length]));
            }
        }
    }
}

/// The length of the string at the start of `text`; a line end closes it, as the parser will complain.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        match character {
            '\n' => return offset,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_edition_is_an_obstacle() {
        let check = |text: &str, expected: Option<usize>| {
            assert_eq!(scan(text).map(|found| found.offset), expected, "{text:?}");
        };
        check("edition = \"2023\";", Some(0));
        check("// edition\n/* x */ edition = \"2024\";", Some(19));
        check("syntax = \"proto3\";\nmessage A { string edition = 1; }", None);
        check("// edition = \"2023\"", None);
        check("", None);
        check("/* never closed", None);
    }

    #[test]
    fn nesting_is_counted_outside_strings_and_comments() {
        let deep = "{".repeat(NESTING_LIMIT + 1);
        assert_eq!(scan(&deep).map(|found| found.offset), Some(NESTING_LIMIT));
        assert_eq!(
            scan(&format!("\"{deep}\" // {deep}\n/* {deep} */ '\\'{deep}'")),
            None
        );
        assert_eq!(scan(&"{}".repeat(NESTING_LIMIT * 2)), None);
    }
}
