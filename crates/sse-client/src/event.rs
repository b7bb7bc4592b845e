//! Events, as the standard dispatches them.

use crate::Text;
use std::ops::Range;

/// One event.
///
/// Its `Debug` form says sizes and no content.
#[derive(Debug, Clone)]
pub struct Event {
    event_type: Text,
    data: Text,
    last_event_id: Id,
}

/// The last id at the time of an event.
#[derive(Debug, Clone)]
enum Id {
    /// Where it is in the source that the data is a piece of. Most ids are, and so one reference is counted for both.
    BesideData(Range<usize>),
    Elsewhere(Text),
}

impl Event {
    /// The type of events that name none.
    pub const MESSAGE: Text = Text::from_static("message");

    pub(crate) fn new(event_type: Option<Text>, data: Text, last_event_id: Text) -> Self {
        Self {
            event_type: event_type.unwrap_or(Self::MESSAGE),
            data,
            last_event_id: Id::Elsewhere(last_event_id),
        }
    }

    /// `data` is a piece of a chunk that has the id at this place; `offset` is the chunk's own.
    #[inline]
    pub(crate) fn beside(event_type: Option<Text>, data: Text, offset: usize, id: Range<usize>) -> Self {
        Self {
            event_type: event_type.unwrap_or(Self::MESSAGE),
            data,
            last_event_id: Id::BesideData(offset + id.start..offset + id.end),
        }
    }

    /// What the `event` field said; `message` if there was none, or an empty one.
    #[must_use]
    pub fn event_type(&self) -> &Text {
        &self.event_type
    }

    /// The values of the `data` fields, joined by line feeds.
    #[must_use]
    pub fn data(&self) -> &Text {
        &self.data
    }

    /// The last id at the time of this event: its own, or the one that an earlier event left. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> Text {
        match &self.last_event_id {
            Id::BesideData(place) => self.data.beside(place.clone()),
            Id::Elsewhere(id) => id.clone(),
        }
    }

    /// Type, data and last id.
    #[must_use]
    pub fn into_parts(self) -> (Text, Text, Text) {
        let last_event_id = self.last_event_id();
        (self.event_type, self.data, last_event_id)
    }

    /// The same event in memory of its own; see [`Text`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            event_type: self.event_type.detached(),
            data: self.data.detached(),
            last_event_id: Id::Elsewhere(self.last_event_id().detached()),
        }
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.event_type == other.event_type
            && self.data == other.data
            && self.last_event_id() == other.last_event_id()
    }
}

impl Eq for Event {}
