//! Events, as the standard dispatches them.

use crate::Text;

/// One event.
///
/// Its `Debug` form says sizes and no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What the `event` field said; `message` if there was none, or an empty one.
    pub event_type: Text,
    /// The values of the `data` fields, joined by line feeds.
    pub data: Text,
    /// The last id at the time of this event: its own, or the one that an earlier event left. Empty if there is none.
    pub last_event_id: Text,
}

impl Event {
    /// The type of events that name none.
    pub const MESSAGE: Text = Text::from_static("message");

    /// The same event in memory of its own; see [`Text`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            event_type: self.event_type.detached(),
            data: self.data.detached(),
            last_event_id: self.last_event_id.detached(),
        }
    }
}
