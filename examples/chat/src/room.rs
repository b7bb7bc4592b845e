//! Rooms, which exist as long as somebody is in them.

use crate::message::ServerMessage;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Messages that a guest may be behind before it misses the oldest.
const CAPACITY: usize = 256;

/// All rooms, by name.
#[derive(Default)]
pub(crate) struct Rooms(Mutex<HashMap<String, Sender<ServerMessage>>>);

impl Rooms {
    /// Goes into a room, which is made when it is not there.
    pub(crate) fn enter(&self, name: &str) -> (Sender<ServerMessage>, Receiver<ServerMessage>) {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.retain(|_, room| room.receiver_count() > 0);
        let room = rooms
            .entry(name.to_owned())
            .or_insert_with(|| broadcast::channel(CAPACITY).0);
        (room.clone(), room.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_room_is_forgotten_with_the_next_guest() {
        let rooms = Rooms::default();
        drop(rooms.enter("a"));
        let guest = rooms.enter("b");
        assert_eq!(rooms.0.lock().unwrap().len(), 1);
        drop(guest);
    }
}
