//! Finds where values end, without looking at what they are; the place reached is kept while more text arrives.

use crate::json::words;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A name, its colon, and where its value begins.
    Name,
    /// A name and its value.
    Member,
    Value,
}

/// A search that goes on where it stopped.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where it goes on, from the start of the text at hand.
    at: usize,
    phase: Phase,
    /// Where the value of a member begins, once that is known.
    value: Option<usize>,
    /// Brackets that are open.
    nested: usize,
    in_string: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Start,
    Name,
    Colon,
    BeforeValue,
    Value,
    /// A number or literal, which ends with what follows it.
    Bare,
}

impl Scan {
    /// Forgets the search.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The text at hand begins so many bytes later now.
    pub(super) fn moved(&mut self, by: usize) {
        self.at = self.at.saturating_sub(by);
        self.value = self.value.map(|value| value.saturating_sub(by));
    }

    /// Where the unit that begins at `start` ends; `None` when that is not there yet.
    pub(super) fn find_end(&mut self, text: &[u8], start: usize, unit: Unit, last: bool) -> Option<usize> {
        if self.phase == Phase::Start {
            self.at = start;
            self.phase = if unit == Unit::Value {
                Phase::BeforeValue
            } else {
                Phase::Name
            };
        }
        loop {
            if unit == Unit::Name && self.value.is_some() {
                return self.value;
            }
            let done = match self.phase {
                Phase::Start | Phase::Name => self.name(text),
                Phase::Colon => self.colon(text),
                Phase::BeforeValue => self.before_value(text),
                Phase::Value => self.value(text),
                Phase::Bare => self.bare(text),
            };
            let Some(done) = done else {
                // At the end of the text whoever reads the unit will say what it lacks.
                return last.then_some(text.len());
            };
            if done {
                return Some(self.at);
            }
        }
    }

    fn space(&mut self, text: &[u8]) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(self.at) {
            self.at += 1;
        }
    }

    /// Moves past a string that begins here or was begun; `false` when it does not end yet.
    fn string(&mut self, text: &[u8]) -> bool {
        if !std::mem::replace(&mut self.in_string, true) {
            self.at += 1;
        }
        loop {
            let rest = text.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = text.len();
                return false;
            };
            self.at += found;
            if rest.get(found) == Some(&b'"') {
                self.at += 1;
                self.in_string = false;
                return true;
            }
            // What is escaped has to be there too.
            if found + 1 >= rest.len() {
                return false;
            }
            self.at += 2;
        }
    }

    fn name(&mut self, text: &[u8]) -> Option<bool> {
        if !self.in_string && text.get(self.at)? != &b'"' {
            // Not a name: whoever reads it will say so.
            return Some(true);
        }
        if !self.string(text) {
            return None;
        }
        self.phase = Phase::Colon;
        Some(false)
    }

    fn colon(&mut self, text: &[u8]) -> Option<bool> {
        self.space(text);
        if text.get(self.at)? != &b':' {
            return Some(true);
        }
        self.at += 1;
        self.phase = Phase::BeforeValue;
        Some(false)
    }

    fn before_value(&mut self, text: &[u8]) -> Option<bool> {
        self.space(text);
        self.phase = match text.get(self.at)? {
            b'"' | b'{' | b'[' => Phase::Value,
            _ => Phase::Bare,
        };
        self.value = Some(self.at);
        Some(false)
    }

    /// Moves past a string, object or array.
    fn value(&mut self, text: &[u8]) -> Option<bool> {
        loop {
            if !self.in_string {
                self.plain(text);
            }
            if self.in_string || text.get(self.at)? == &b'"' {
                if !self.string(text) {
                    return None;
                }
            } else {
                match text.get(self.at)? {
                    b'{' | b'[' => self.nested += 1,
                    _ => self.nested = self.nested.saturating_sub(1),
                }
                self.at += 1;
            }
            if self.nested == 0 {
                return Some(true);
            }
        }
    }

    /// Moves to the next quote or bracket.
    fn plain(&mut self, text: &[u8]) {
        while self.at < text.len() {
            let found = words::structural(words::load(text, self.at));
            if found != 0 {
                self.at += words::before(found);
                return;
            }
            self.at += 8;
        }
        self.at = text.len();
    }

    /// Moves past a number or literal.
    fn bare(&mut self, text: &[u8]) -> Option<bool> {
        let rest = text.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        let Some(length) = rest.iter().position(ends) else {
            self.at = text.len();
            return None;
        };
        self.at += length;
        Some(true)
    }
}
