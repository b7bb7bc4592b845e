//! Problems in IDL as compilers print them: file, line and column, the line itself, and a caret below the spot.

use std::fmt::{self, Write};

/// The most bytes of a source line that an excerpt shows.
const EXCERPT_BYTES: usize = 200;

/// One problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Where, if known.
    pub place: Option<Place>,
    /// What is wrong, in one line.
    pub message: String,
    /// Whether the problem is an import of a file that is not there.
    pub is_missing_import: bool,
    /// Whether the place is one that the problem refers to, after the first.
    label: String,
    /// Lines below the excerpt.
    pub(super) notes: Vec<String>,
}

/// A spot in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The file's path in the repository.
    pub path: String,
    /// Counted from 1; no line when only the file is known.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: usize,
    /// The text of the line.
    excerpt: String,
    /// How many characters the caret underlines.
    width: usize,
}

/// All problems that were found, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Place {
    /// The place of `length` bytes at byte `offset` of `text`.
    pub(super) fn new(path: &str, text: &str, offset: usize, length: usize) -> Self {
        let offset = text.floor_char_boundary(offset);
        let start = text[..offset].rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..]
            .split('\n')
            .next()
            .unwrap_or_default()
            .trim_end_matches('\r');
        let end = text
            .floor_char_boundary(offset + length)
            .min(start + line.len())
            .max(offset);
        Self {
            path: path.to_owned(),
            line: Some(text[..offset].matches('\n').count() + 1),
            column: text[start..offset].chars().count() + 1,
            excerpt: line[..line.floor_char_boundary(EXCERPT_BYTES)].to_owned(),
            width: text[offset..end].chars().count().max(1),
        }
    }

    /// The word at `line` and `column` of a file, both counted from 1, the column in bytes. Only the file, where its
    /// text is not known.
    pub(crate) fn at(path: &str, text: Option<&str>, line: u32, column: u32) -> Self {
        let [line, column] =
            [line, column].map(|number| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1));
        let Some((text, content)) = text.and_then(|text| Some((text, text.split('\n').nth(line)?))) else {
            return Self::file(path);
        };
        let column = content.floor_char_boundary(column);
        let is_part = |character: char| character.is_alphanumeric() || "_.\"-".contains(character);
        let word = &content[column..];
        let length = word.find(|character| !is_part(character)).unwrap_or(word.len());
        let start: usize = text.split('\n').take(line).map(|line| line.len() + 1).sum();
        Self::new(path, text, start + column, length)
    }

    fn file(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            column: 1,
            excerpt: String::new(),
            width: 0,
        }
    }
}

impl Diagnostic {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self::placed(Some(place), message.into())
    }

    /// A problem that something else than the compiler has found.
    pub(crate) fn placed(place: Option<Place>, message: String) -> Self {
        Self {
            place,
            message,
            is_missing_import: false,
            label: String::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn with_help(mut self, help: &str) -> Self {
        self.notes.push(format!("help: {help}"));
        self
    }

    /// What one error of the compiler says, and the errors related to it. All are about the file at `path`.
    pub(super) fn read(error: &dyn miette::Diagnostic, path: Option<&str>, text: Option<&str>) -> Vec<Self> {
        let mut all = vec![Self::read_one(error, path, text)];
        all.extend(
            error
                .related()
                .into_iter()
                .flatten()
                .map(|related| Self::read_one(related, path, text)),
        );
        all
    }

    fn read_one(error: &dyn miette::Diagnostic, path: Option<&str>, text: Option<&str>) -> Self {
        let labels: Vec<_> = error.labels().into_iter().flatten().collect();
        // Of a clash, the later definition is the one to mend.
        let is_again =
            |label: &&miette::LabeledSpan| label.label().is_some_and(|text| text.contains("again"));
        let primary = labels.iter().find(is_again).or(labels.first());
        let message = error.to_string();
        let place = match (path, text, primary) {
            (Some(path), Some(text), Some(label)) => {
                Some(Place::new(path, text, label.offset(), label.len()))
            }
            // The parser gives no place for an unexpected end.
            (Some(path), Some(text), None) if message.ends_with("end of file") => {
                Some(Place::new(path, text, text.trim_end().len(), 0))
            }
            (Some(path), _, _) => Some(Place::file(path)),
            (None, _, _) => None,
        };
        let notes = labels
            .iter()
            .filter(|label| Some(*label) != primary)
            .filter_map(|label| {
                let place = Place::new(path?, text?, label.offset(), label.len());
                Some(format!("note: {} at {place}", label.label().unwrap_or("see")))
            });
        let help = error.help().map(|help| format!("help: {help}"));
        Self {
            label: primary
                .and_then(|label| label.label())
                .unwrap_or_default()
                .to_owned(),
            notes: notes.chain(help).collect(),
            place,
            message,
            is_missing_import: false,
        }
    }

    /// What tells one problem from another.
    pub(super) fn key(&self) -> String {
        format!(
            "{}{}",
            self.place.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.message
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}:{}", self.path, self.column),
            None => formatter.write_str(&self.path),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        formatter.write_str(&self.message)?;
        let mut margin = 0;
        if let Some((place, line)) = self.place.as_ref().and_then(|place| Some((place, place.line?))) {
            let number = line.to_string();
            margin = number.len();
            write!(formatter, "\n{number} | {}\n{:margin$} | ", place.excerpt, "")?;
            underline(formatter, place)?;
            if !self.label.is_empty() {
                write!(formatter, " {}", self.label)?;
            }
        }
        for note in &self.notes {
            write!(formatter, "\n{:margin$} = {note}", "")?;
        }
        Ok(())
    }
}

fn underline(formatter: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    // Tabs are repeated, so that the caret stands below its spot however wide they are shown.
    for character in place.excerpt.chars().take(place.column - 1) {
        formatter.write_char(if character == '\t' { '\t' } else { ' ' })?;
    }
    (0..place.width.min(EXCERPT_BYTES)).try_for_each(|_| formatter.write_char('^'))
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(formatter, "{count} problem{}", if count == 1 { "" } else { "s" })?;
        self.0
            .iter()
            .try_for_each(|diagnostic| write!(formatter, "\n\n{diagnostic}"))
    }
}
