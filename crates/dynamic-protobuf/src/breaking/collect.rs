//! Gathers what the rules find.

use super::element::File;
use super::source::Position;
use super::{Finding, Level, Location, Rule};

/// The findings of one comparison.
pub(super) struct Findings {
    level: Level,
    found: Vec<Finding>,
}

impl Findings {
    pub(super) fn new(level: Level) -> Self {
        Self {
            level,
            found: Vec::new(),
        }
    }

    /// Whether any of `rules` is on: whole comparisons are left out when none is.
    pub(super) fn want(&self, rules: &[Rule]) -> bool {
        rules.iter().any(|rule| rule.is_on_at(self.level))
    }

    /// Adds a finding in `file`, unless the level does not ask for its rule.
    pub(super) fn add(
        &mut self,
        rule: Rule,
        file: &File<'_>,
        position: impl FnOnce() -> Option<Position>,
        message: impl FnOnce() -> String,
    ) {
        if rule.is_on_at(self.level) {
            let Position { line, column } = position().unwrap_or(Position::START);
            let file = file.proto.name.clone();
            self.push(rule, Some(Location { file, line, column }), message());
        }
    }

    /// Adds a finding about something whose file is gone.
    pub(super) fn add_without_place(&mut self, rule: Rule, message: impl FnOnce() -> String) {
        if rule.is_on_at(self.level) {
            self.push(rule, None, message());
        }
    }

    fn push(&mut self, rule: Rule, location: Option<Location>, message: String) {
        self.found.push(Finding {
            location,
            rule,
            message,
        });
    }

    /// All findings by place, each once.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.found.sort();
        self.found.dedup();
        self.found
    }
}
