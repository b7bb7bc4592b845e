//! Reads paths from text into segments, and writes segments as text.

use super::error::{PathError, PathErrorKind};
use super::{Key, MAX_PATH_SEGMENTS};

/// A field, and which of its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) name: Name,
    pub(crate) selection: Option<Selection>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Name {
    Field(String),
    Number(u32),
    Extension(String),
}

/// What stands in brackets behind a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selection {
    /// A number: an index of a list, a key of a map.
    Key(Key),
    All,
    Range {
        start: usize,
        end: Option<usize>,
    },
}

/// The segments of a path; those of masks may select several values.
pub(crate) fn segments(text: &str, mask: bool) -> Result<Vec<Segment>, PathError> {
    let mut parser = Parser {
        text,
        pos: 0,
        segments: Vec::new(),
        mask,
    };
    loop {
        parser.segment()?;
        match parser.peek() {
            None => return Ok(parser.segments),
            Some('.') => parser.pos += 1,
            Some(_) => return Err(parser.error("a dot has to follow")),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    pos: usize,
    segments: Vec<Segment>,
    mask: bool,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn segment(&mut self) -> Result<(), PathError> {
        if self.segments.len() >= MAX_PATH_SEGMENTS {
            return Err(self.failed(PathErrorKind::TooLong));
        }
        let name = self.name()?;
        let selection = match self.peek() {
            Some('[') => Some(self.selection()?),
            _ => None,
        };
        self.segments.push(Segment { name, selection });
        Ok(())
    }

    fn name(&mut self) -> Result<Name, PathError> {
        let close = match self.peek() {
            Some('[') => Some(']'),
            Some('(') => Some(')'),
            _ => None,
        };
        if let Some(close) = close {
            let inner = self.rest().get(1..).unwrap_or_default();
            let end = inner
                .find(close)
                .ok_or_else(|| self.error("the extension's name has no closing bracket"))?;
            let name = inner.get(..end).unwrap_or_default();
            if !is_full_name(name) {
                return Err(self.error("an extension is written with its full name, as in `[package.name]`"));
            }
            self.pos += end + 2;
            return Ok(Name::Extension(name.trim_start_matches('.').to_owned()));
        }
        let word = self.take_while(|char| char.is_alphanumeric() || char == '_');
        if word.is_empty() {
            return Err(self.error("a field's name or number has to stand here"));
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            let number = word.parse();
            return number
                .map(Name::Number)
                .map_err(|_| self.error("it begins like a number and is none"));
        }
        Ok(Name::Field(word.to_owned()))
    }

    fn take_while(&mut self, takes: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|char| !takes(char)).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        self.pos += end;
        word
    }

    fn selection(&mut self) -> Result<Selection, PathError> {
        self.pos += 1;
        let selection = match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.pos += 1;
                Selection::Key(Key::String(self.quoted(quote)?.into()))
            }
            _ => {
                let word = self.take_while(|char| char != ']' && char != '[' && char != '.');
                self.bare(word.trim())?
            }
        };
        if self.peek() != Some(']') {
            return Err(self.error("the closing bracket is missing"));
        }
        self.pos += 1;
        if !self.mask && !matches!(selection, Selection::Key(_)) {
            return Err(self.failed(PathErrorKind::SelectsSeveral));
        }
        Ok(selection)
    }

    /// What stands in brackets without quotes.
    fn bare(&self, word: &str) -> Result<Selection, PathError> {
        let index = |text: &str| text.trim().parse::<usize>();
        match word {
            "*" => return Ok(Selection::All),
            "true" => return Ok(Selection::Key(Key::Bool(true))),
            "false" => return Ok(Selection::Key(Key::Bool(false))),
            _ => {}
        }
        if let Some((start, end)) = word.split_once(':') {
            let start = if start.trim().is_empty() {
                Ok(0)
            } else {
                index(start)
            };
            let end = if end.trim().is_empty() {
                Ok(None)
            } else {
                index(end).map(Some)
            };
            return match (start, end) {
                (Ok(start), Ok(end)) => Ok(Selection::Range { start, end }),
                _ => {
                    Err(self.error("a range is two numbers, as in `[2:10]`, of which either may be left out"))
                }
            };
        }
        if let Ok(number) = word.parse() {
            return Ok(Selection::Key(Key::Int(number)));
        }
        let number = word.parse().map(|number| Selection::Key(Key::Uint(number)));
        number.map_err(|_| self.error("brackets take a number, true, false, or a string in quotes"))
    }

    fn quoted(&mut self, quote: char) -> Result<String, PathError> {
        let mut out = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, char)) = chars.next() {
            if char == quote {
                self.pos += at + 1;
                return Ok(out);
            }
            if char != '\\' {
                out.push(char);
                continue;
            }
            out.push(match chars.next() {
                Some((_, escaped @ ('\\' | '"' | '\''))) => escaped,
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                _ => return Err(self.error("this escape is not known: use \\\\, \\\", \\', \\n, \\r or \\t")),
            });
        }
        Err(self.error("the closing quote is missing"))
    }

    fn error(&self, what: &'static str) -> PathError {
        self.failed(PathErrorKind::Syntax(what))
    }

    fn failed(&self, kind: PathErrorKind) -> PathError {
        PathError {
            segment: self.rest().to_owned(),
            index: self.segments.len(),
            kind,
        }
    }
}

fn is_full_name(name: &str) -> bool {
    let name = name.trim_start_matches('.');
    !name.is_empty()
        && name
            .chars()
            .all(|char| char.is_alphanumeric() || char == '_' || char == '.')
}

/// The paths of a list that is separated by commas; those inside quotes separate nothing.
pub(crate) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let mut escaped = false;
    text.split(move |char| match quote {
        Some(open) => {
            if !escaped && char == open {
                quote = None;
            }
            escaped = !escaped && char == '\\';
            false
        }
        None => {
            quote = matches!(char, '"' | '\'').then_some(char);
            char == ','
        }
    })
    .map(str::trim)
}

/// Segments as text that reads as the same segments.
pub(crate) fn text(segments: &[Segment]) -> String {
    let mut out = String::new();
    for segment in segments {
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(&segment_text(segment));
    }
    out
}

pub(crate) fn segment_text(segment: &Segment) -> String {
    let mut out = match &segment.name {
        Name::Field(name) => name.clone(),
        Name::Number(number) => number.to_string(),
        Name::Extension(name) => format!("[{name}]"),
    };
    match &segment.selection {
        None => {}
        Some(Selection::All) => out.push_str("[*]"),
        Some(Selection::Range { start, end }) => {
            let end = end.map(|end| end.to_string()).unwrap_or_default();
            out.push_str(&format!("[{start}:{end}]"));
        }
        Some(Selection::Key(Key::String(key))) => out.push_str(&format!("[\"{}\"]", escape(key))),
        Some(Selection::Key(Key::Bool(key))) => out.push_str(&format!("[{key}]")),
        Some(Selection::Key(Key::Int(key))) => out.push_str(&format!("[{key}]")),
        Some(Selection::Key(Key::Uint(key))) => out.push_str(&format!("[{key}]")),
    }
    out
}

fn escape(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for char in key.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out
}
