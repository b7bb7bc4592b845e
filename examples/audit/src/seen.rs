//! Which events there were already.

use serde_json::Value;
use std::collections::{HashSet, VecDeque};

/// Events that are remembered. An operator that dies sends again what came since it last stored its place, a few seconds.
const REMEMBERED: usize = 100_000;

/// The newest events, by source and id, which are the same whenever an event is sent.
#[derive(Default)]
pub(crate) struct Seen {
    order: VecDeque<String>,
    all: HashSet<String>,
}

impl Seen {
    /// Whether it is the first time that this event comes.
    pub(crate) fn is_new(&mut self, event: &Value) -> bool {
        let key = Value::from([&event["source"], &event["id"]].map(Value::clone).to_vec()).to_string();
        if !self.all.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        while self.order.len() > REMEMBERED {
            self.order.pop_front().map(|oldest| self.all.remove(&oldest));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_new_once_and_the_oldest_are_forgotten() {
        let mut seen = Seen::default();
        let event = |source: &str, id: usize| json!({ "source": source, "id": id.to_string() });
        assert!(seen.is_new(&event("a", 0)));
        assert!(!seen.is_new(&event("a", 0)));
        assert!(seen.is_new(&event("b", 0)), "ids are those of one source");
        for id in 1..=REMEMBERED {
            assert!(seen.is_new(&event("a", id)));
        }
        assert_eq!((seen.order.len(), seen.all.len()), (REMEMBERED, REMEMBERED));
        assert!(seen.is_new(&event("a", 0)));
    }
}
