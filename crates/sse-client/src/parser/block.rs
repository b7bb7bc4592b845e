//! The fields between two blank lines.

use super::Parsed;
use super::limits::{Limits, ParseError};
use super::lines::Line;
use crate::{Event, Text};
use memchr::memchr;
use std::time::Duration;

/// What the fields of the block at hand have said so far.
#[derive(Debug)]
pub(super) struct Block {
    data: Data,
    event_type: Text,
    /// What the last `id` field said, in this block or an earlier one.
    id: Text,
    /// The same as of the last blank line.
    last_event_id: Text,
    has_new_id: bool,
    /// Some text may be a piece of a chunk.
    holds_chunks: bool,
    limit: usize,
}

/// The values of `data` fields.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Text),
    /// Several, with line feeds between them.
    Joined(String),
}

impl Default for Block {
    fn default() -> Self {
        Self::new(Limits::DEFAULT_EVENT_BYTES)
    }
}

impl Block {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            data: Data::None,
            event_type: Text::EMPTY,
            id: Text::EMPTY,
            last_event_id: Text::EMPTY,
            has_new_id: false,
            holds_chunks: false,
            limit,
        }
    }

    pub(super) fn start_with_id(&mut self, id: Text) {
        self.id = id.clone();
        self.last_event_id = id;
    }

    pub(super) fn last_event_id(&self) -> &Text {
        &self.last_event_id
    }

    /// Takes a line that is neither blank nor a comment.
    pub(super) fn field(&mut self, line: &Line<'_>) -> Result<Option<Parsed>, ParseError> {
        let text = line.text;
        if let Some(value) = value_of("data", text) {
            self.add_data(line, value)?;
        } else if let Some(value) = value_of("event", text) {
            self.set_type(line, value)?;
        } else if let Some(value) = value_of("id", text) {
            self.set_id(line, value);
        } else if let Some(value) = value_of("retry", text) {
            return Ok(milliseconds(value).map(Duration::from_millis).map(Parsed::Retry));
        }
        Ok(None)
    }

    /// Takes a blank line.
    pub(super) fn finish(&mut self) -> Option<Parsed> {
        let has_moved = std::mem::take(&mut self.has_new_id) && self.id != self.last_event_id;
        if has_moved {
            self.last_event_id = self.id.clone();
        }
        let event_type = std::mem::take(&mut self.event_type);
        match std::mem::take(&mut self.data) {
            Data::None => has_moved.then(|| Parsed::LastEventId(self.last_event_id.clone())),
            Data::One(data) => Some(self.event(event_type, data)),
            Data::Joined(data) => Some(self.event(event_type, data.into())),
        }
    }

    /// Forgets the unfinished block.
    pub(super) fn clear(&mut self) {
        self.data = Data::None;
        self.event_type = Text::EMPTY;
        self.id = self.last_event_id.clone();
        self.has_new_id = false;
    }

    /// Moves what is a piece of a chunk into memory of its own.
    pub(super) fn settle(&mut self) {
        if !std::mem::take(&mut self.holds_chunks) {
            return;
        }
        if let Data::One(data) = &mut self.data {
            *data = data.detached();
        }
        for text in [&mut self.event_type, &mut self.id, &mut self.last_event_id] {
            *text = text.detached();
        }
    }

    fn event(&self, event_type: Text, data: Text) -> Parsed {
        Parsed::Event(Event::new(event_type, data, self.last_event_id.clone()))
    }

    fn add_data(&mut self, line: &Line<'_>, value: &str) -> Result<(), ParseError> {
        let between = usize::from(!matches!(self.data, Data::None));
        self.check(self.data.len() + between + value.len() + self.event_type.len())?;
        self.data = match std::mem::take(&mut self.data) {
            Data::None => {
                self.holds_chunks = true;
                Data::One(line.keep(value))
            }
            Data::One(first) => Data::Joined([&first, value].join("\n")),
            Data::Joined(mut joined) => {
                joined.push('\n');
                joined.push_str(value);
                Data::Joined(joined)
            }
        };
        Ok(())
    }

    fn set_type(&mut self, line: &Line<'_>, value: &str) -> Result<(), ParseError> {
        self.check(self.data.len() + value.len())?;
        self.event_type = line.keep(value);
        self.holds_chunks = true;
        Ok(())
    }

    fn set_id(&mut self, line: &Line<'_>, value: &str) {
        if memchr(0, value.as_bytes()).is_none() {
            self.id = line.keep(value);
            self.has_new_id = true;
            self.holds_chunks = true;
        }
    }

    fn check(&self, bytes: usize) -> Result<(), ParseError> {
        match bytes > self.limit {
            true => Err(ParseError::EventTooLarge { limit: self.limit }),
            false => Ok(()),
        }
    }
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(text) => text.len(),
            Self::Joined(text) => text.len(),
        }
    }
}

/// The value of the field if the line is one of this name: what stands behind the colon but for one space. A line without a
/// colon is a name with an empty value.
fn value_of<'a>(name: &str, line: &'a str) -> Option<&'a str> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(':')?;
    Some(value.strip_prefix(' ').unwrap_or(value))
}

/// Digits as a number; the largest there is where they say more.
fn milliseconds(value: &str) -> Option<u64> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.parse().unwrap_or(u64::MAX))
}
