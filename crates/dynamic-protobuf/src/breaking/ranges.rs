//! Ranges of numbers that a message or an enum sets apart, and what of them is given free.

use super::names::listed;
use std::fmt;

/// Numbers from `start` to `end`, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            write!(f, "{}", self.start)
        } else {
            write!(f, "{} to {}", self.start, self.end)
        }
    }
}

/// Numbers that are set apart, by however many ranges.
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    pub(super) fn new(ranges: impl Iterator<Item = Range>) -> Self {
        let mut sorted: Vec<Range> = ranges.filter(|range| range.start <= range.end).collect();
        sorted.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.start <= last.end + 1 => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    pub(super) fn contains(&self, number: i32) -> bool {
        let number = i64::from(number);
        self.from(number)
            .first()
            .is_some_and(|range| range.start <= number)
    }

    /// The numbers of `range` that are not among these, as text; `None` when all are.
    pub(super) fn missing(&self, range: Range) -> Option<String> {
        let kept = self.from(range.start).iter().copied();
        let inside = kept.take_while(|kept| kept.start <= range.end);
        let after = range.end + 1;
        let stop = Range {
            start: after,
            end: after,
        };
        let mut next = range.start;
        let gaps = inside.chain([stop]).filter_map(|kept| {
            let (start, end) = (next, kept.start - 1);
            next = kept.end + 1;
            (start <= end).then_some(Range { start, end })
        });
        let text = listed(gaps);
        (!text.is_empty()).then_some(text)
    }

    /// The ranges that do not end before `number`.
    fn from(&self, number: i64) -> &[Range] {
        let before = self.0.partition_point(|range| range.end < number);
        self.0.get(before..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ranges: &[(i64, i64)]) -> Ranges {
        Ranges::new(ranges.iter().map(|&(start, end)| Range { start, end }))
    }

    fn check((start, end): (i64, i64), kept: &[(i64, i64)], expected: Option<&str>) {
        let missing = ranges(kept).missing(Range { start, end });
        assert_eq!(missing.as_deref(), expected, "{start} to {end} of {kept:?}");
    }

    #[test]
    fn what_is_missing_of_a_range_is_what_no_kept_range_covers() {
        check((5, 9), &[], Some("5 to 9"));
        check((5, 9), &[(1, 20)], None);
        check((5, 9), &[(7, 9), (5, 6)], None);
        check((5, 9), &[(6, 7)], Some("5, 8 to 9"));
        check((5, 9), &[(1, 4), (10, 12)], Some("5 to 9"));
        check((5, 9), &[(1, 5), (9, 12), (7, 7)], Some("6, 8"));
        check((5, 9), &[(4, 12), (6, 7)], None);
        check((5, 5), &[(9, 3)], Some("5"));
        check((9, 5), &[], None);
    }

    #[test]
    fn a_number_is_in_ranges_that_touch_or_overlap() {
        let ranges = ranges(&[(8, 9), (1, 3), (2, 5)]);
        let contained: Vec<i32> = (0..12).filter(|&number| ranges.contains(number)).collect();
        assert_eq!(contained, [1, 2, 3, 4, 5, 8, 9]);
    }
}
