//! The fields between two blank lines.

use super::Parsed;
use super::limits::{Limits, ParseError};
use super::lines::Line;
use super::whole::Whole;
use crate::{Event, Text};
use std::ops::Range;

/// What the fields of the block at hand have said so far.
#[derive(Debug)]
pub(super) struct Block {
    data: Data,
    /// `None` if there is none, or an empty one.
    event_type: Option<Text>,
    /// What the last `id` field of this block said.
    id: Option<Text>,
    /// What the last `id` field said as of the last blank line.
    last_event_id: Text,
    /// Where in the chunk at hand a newer one of those is.
    newer_id: Option<Range<usize>>,
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
            event_type: None,
            id: None,
            last_event_id: Text::EMPTY,
            newer_id: None,
            holds_chunks: false,
            limit,
        }
    }

    pub(super) fn start_with_id(&mut self, id: Text) {
        self.last_event_id = id;
    }

    #[inline]
    pub(super) fn last_event_id(&self, chunk: &Text) -> Text {
        match &self.newer_id {
            Some(place) => chunk.piece(place.clone()),
            None => self.last_event_id.clone(),
        }
    }

    /// Takes what is known by its place in the chunk out of it.
    pub(super) fn leave(&mut self, chunk: &Text) {
        if self.newer_id.is_some() {
            self.last_event_id = self.last_event_id(chunk);
            self.newer_id = None;
            self.holds_chunks = true;
        }
    }

    /// Whether no field has come since the last blank line.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.data, Data::None) && self.event_type.is_none() && self.id.is_none()
    }

    /// An event that was found in the chunk at once.
    #[inline]
    pub(super) fn event_of(&mut self, chunk: &Text, whole: Whole) -> Event {
        let event_type = whole.event_type.map(|place| chunk.piece(place));
        let data = chunk.piece(whole.data);
        if whole.id.is_some() {
            self.newer_id = whole.id;
        }
        match &self.newer_id {
            Some(place) => Event::beside(event_type, data, chunk.offset(), place.clone()),
            None => Event::new(event_type, data, self.last_event_id.clone()),
        }
    }

    /// Takes a blank line.
    #[inline]
    pub(super) fn finish(&mut self) -> Option<Parsed> {
        let data = match std::mem::take(&mut self.data) {
            Data::None => return self.finish_without_data(),
            Data::One(data) => data,
            Data::Joined(data) => data.into(),
        };
        if let Some(id) = self.id.take() {
            self.last_event_id = id;
        }
        let event = Event::new(self.event_type.take(), data, self.last_event_id.clone());
        Some(Parsed::Event(event))
    }

    fn finish_without_data(&mut self) -> Option<Parsed> {
        self.event_type = None;
        let id = self.id.take().filter(|id| *id != self.last_event_id)?;
        self.last_event_id = id.clone();
        Some(Parsed::LastEventId(id))
    }

    /// Forgets the unfinished block.
    pub(super) fn clear(&mut self) {
        self.data = Data::None;
        self.event_type = None;
        self.id = None;
    }

    /// Moves what is a piece of a chunk into memory of its own.
    pub(super) fn settle(&mut self) {
        if !std::mem::take(&mut self.holds_chunks) {
            return;
        }
        if let Data::One(data) = &mut self.data {
            *data = data.detached();
        }
        let texts = self.event_type.iter_mut().chain(&mut self.id);
        for text in texts.chain([&mut self.last_event_id]) {
            *text = text.detached();
        }
    }

    /// Takes the value of a `data` field.
    #[inline]
    pub(super) fn add_data(&mut self, line: &Line<'_>, value: &str) -> Result<(), ParseError> {
        self.holds_chunks = true;
        let event_type = self.event_type.as_ref().map_or(0, |event_type| event_type.len());
        if matches!(self.data, Data::None) {
            self.check(value.len() + event_type)?;
            self.data = Data::One(line.keep(value));
            return Ok(());
        }
        self.check(self.data.len() + 1 + value.len() + event_type)?;
        self.data.join(value);
        Ok(())
    }

    /// Takes the value of an `event` field.
    pub(super) fn set_type(&mut self, line: &Line<'_>, value: &str) -> Result<(), ParseError> {
        self.check(self.data.len() + value.len())?;
        self.event_type = (!value.is_empty()).then(|| line.keep(value));
        self.holds_chunks = true;
        Ok(())
    }

    /// Takes the value of an `id` field.
    #[inline]
    pub(super) fn set_id(&mut self, line: &Line<'_>, value: &str) {
        self.id = Some(line.keep(value));
        self.holds_chunks = true;
    }

    fn check(&self, bytes: usize) -> Result<(), ParseError> {
        match bytes > self.limit {
            true => Err(ParseError::EventTooLarge { limit: self.limit }),
            false => Ok(()),
        }
    }
}

impl Data {
    fn join(&mut self, value: &str) {
        match self {
            Self::Joined(joined) => {
                joined.push('\n');
                joined.push_str(value);
            }
            Self::One(first) => *self = Self::Joined([first, value].join("\n")),
            Self::None => *self = Self::Joined(value.to_owned()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(text) => text.len(),
            Self::Joined(text) => text.len(),
        }
    }
}
