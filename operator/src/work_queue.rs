//! Which objects, by a key, are to be looked at, and when. Each is looked at by one at a time, and so many at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Changes that come within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(30);

/// Namespaces and when they are due.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    due: BTreeMap<String, Instant>,
    running: BTreeSet<String>,
}

impl Queue {
    /// At most `limit` run at the same time.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            due: BTreeMap::new(),
            running: BTreeSet::new(),
        }
    }

    /// Has a namespace looked at, at the latest at `due`. One that runs is looked at again afterwards.
    pub(crate) fn add(&mut self, namespace: String, due: Instant) {
        let at = self.due.entry(namespace).or_insert(due);
        *at = due.min(*at);
    }

    /// The same for several.
    pub(super) fn add_all(&mut self, namespaces: BTreeSet<String>, due: Instant) {
        for namespace in namespaces {
            self.add(namespace, due);
        }
    }

    /// Has namespaces looked at in which something has changed just now, once for all that changes soon after.
    pub(crate) fn gather(&mut self, namespaces: BTreeSet<String>) {
        self.add_all(namespaces, Instant::now() + DEBOUNCE);
    }

    /// Those to begin with now.
    pub(crate) fn start(&mut self, now: Instant) -> Vec<String> {
        let ready: Vec<_> = self
            .due
            .iter()
            .filter(|(namespace, due)| **due <= now && !self.running.contains(*namespace))
            .map(|(namespace, _)| namespace.clone())
            .take(self.limit.saturating_sub(self.running.len()))
            .collect();
        for namespace in &ready {
            self.due.remove(namespace);
            self.running.insert(namespace.clone());
        }
        ready
    }

    /// One has ended, and is to be looked at again at `again`, unless something happens before.
    pub(crate) fn end(&mut self, namespace: String, again: Option<Instant>) {
        self.running.remove(&namespace);
        if let Some(again) = again {
            self.add(namespace, again);
        }
    }

    /// When the next one can begin. None while all that may run do; their end is waited for anyway.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        if self.running.len() >= self.limit {
            return None;
        }
        let waiting = self
            .due
            .iter()
            .filter(|(namespace, _)| !self.running.contains(*namespace));
        waiting.map(|(_, due)| *due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_gathered_from_the_moment_at_which_the_first_comes() {
        let mut queue = Queue::new(1);
        let all = || BTreeSet::from(["a".to_owned()]);
        for _ in 0..3 {
            let before = Instant::now();
            queue.gather(all());
            let after = Instant::now();
            queue.gather(all());
            assert_eq!(queue.start(after), [""; 0], "others may follow");
            let due = queue.next_due().unwrap();
            assert!(due >= before + DEBOUNCE && due <= after + DEBOUNCE);
            assert_eq!(queue.start(due), ["a"], "once for both");
            queue.end("a".into(), None);
            assert_eq!(queue.next_due(), None);
        }
    }

    #[test]
    fn a_namespace_runs_once_at_a_time_and_what_comes_meanwhile_is_not_lost() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut queue = Queue::new(2);
        for name in ["a", "b", "c"] {
            queue.add(name.into(), now);
        }
        assert_eq!(queue.start(now), ["a", "b"]);
        assert_eq!(queue.start(now), [""; 0]);
        queue.add("a".into(), later);
        queue.add("a".into(), now);
        assert_eq!(queue.next_due(), None);
        queue.end("b".into(), Some(later));
        assert_eq!(queue.next_due(), Some(now));
        assert_eq!(queue.start(now), ["c"]);
        queue.end("c".into(), None);
        assert_eq!(queue.next_due(), Some(later));
        queue.end("a".into(), None);
        assert_eq!(queue.start(now), ["a"]);
        queue.end("a".into(), None);
        assert_eq!(queue.start(later), ["b"]);
    }
}
