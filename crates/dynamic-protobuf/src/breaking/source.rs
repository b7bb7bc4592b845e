//! Where the elements of a file stand in its source.

use crate::descriptor::Location;
use std::collections::HashMap;

/// Line and column, both from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Position {
    /// What is said of a whole file, and of elements whose place is not known.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    fn of(location: &Location) -> Self {
        let from_zero = |number: i32| u32::try_from(number).unwrap_or_default().saturating_add(1);
        match *location.span.as_slice() {
            [line, column, _] | [line, column, _, _] => Self {
                line: from_zero(line),
                column: from_zero(column),
            },
            _ => Self::START,
        }
    }
}

/// The source information of one file by path.
pub(super) struct Source<'a> {
    locations: &'a [Location],
    by_path: HashMap<&'a [i32], &'a Location>,
}

impl<'a> Source<'a> {
    pub(super) fn new(locations: &'a [Location]) -> Self {
        // Later entries replace earlier ones, so that going backwards keeps the first.
        let backwards = locations.iter().rev();
        Self {
            locations,
            by_path: backwards
                .map(|location| (location.path.as_slice(), location))
                .collect(),
        }
    }

    /// The position of the element at `path`; the first, where an element is spread over several places.
    pub(super) fn position(&self, path: &[i32]) -> Option<Position> {
        self.by_path.get(path).copied().map(Position::of)
    }

    /// The position of what is `inside` the option at `path`, by the nearest place the source has.
    ///
    /// Compilers disagree about how deep they go: `features.x = Y` may stand at the feature, at `features`, or at a field of the
    /// feature. A place further in ends the search; otherwise the longest path towards the option wins.
    pub(super) fn option_position(&self, path: &[i32], inside: &[i32]) -> Option<Position> {
        let wanted = [path, inside].concat();
        if let Some(exact) = self.position(&wanted) {
            return Some(exact);
        }
        let mut best: Option<&Location> = None;
        for location in self.locations {
            let reached = best.map_or(0, |best| best.path.len());
            if location.path.len() >= path.len().max(reached + 1) && wanted.starts_with(&location.path) {
                best = Some(location);
            } else if location.path.starts_with(&wanted) {
                return Some(Position::of(location));
            }
        }
        best.map(Position::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locations(all: &[(&[i32], &[i32])]) -> Vec<Location> {
        let location = |(path, span): &(&[i32], &[i32])| Location {
            path: path.to_vec(),
            span: span.to_vec(),
            ..Location::default()
        };
        all.iter().map(location).collect()
    }

    #[test]
    fn the_first_place_of_an_element_counts_and_broken_spans_are_the_start() {
        let first: (&[i32], &[i32]) = (&[4, 0], &[2, 4, 9]);
        let all = locations(&[
            first,
            (&[4, 0], &[7, 0, 9]),
            (&[4, 1], &[5]),
            (&[4, 2], &[-1, -1, 3]),
        ]);
        let source = Source::new(&all);
        assert_eq!(source.position(&[4, 0]), Some(Position { line: 3, column: 5 }));
        assert_eq!(source.position(&[4, 1]), Some(Position::START));
        assert_eq!(source.position(&[4, 2]), Some(Position::START));
        assert_eq!(source.position(&[4, 3]), None);
    }

    #[test]
    fn an_option_is_found_further_out_and_further_in() {
        let line = |all: &[(&[i32], &[i32])]| {
            let position = Source::new(&locations(all)).option_position(&[8, 21], &[4]);
            position.map(|position| position.line)
        };
        assert_eq!(line(&[(&[8], &[1, 0, 1]), (&[8, 21], &[2, 0, 1])]), Some(3));
        assert_eq!(line(&[(&[8, 21, 4, 1], &[6, 0, 1])]), Some(7));
        assert_eq!(line(&[(&[8], &[1, 0, 1])]), None);
    }
}
