//! Ranges of numbers that a message or an enum sets apart, and what of them is given free.

use std::fmt;

/// Numbers from `start` to `end`, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Range {
    pub(super) fn contains(self, number: i32) -> bool {
        (self.start..=self.end).contains(&i64::from(number))
    }
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

/// Tells each of the `old` ranges that is not wholly in the `new` ones, with the numbers that it lost.
pub(super) fn check_ranges(old: &[Range], new: &[Range], mut tell: impl FnMut(Range, &str)) {
    let mut kept = new.to_vec();
    kept.sort_unstable();
    for &range in old {
        let lost: Vec<String> = missing(range, &kept).iter().map(Range::to_string).collect();
        if !lost.is_empty() {
            tell(range, &lost.join(", "));
        }
    }
}

/// The parts of `range` that none of `kept` covers, which are sorted.
fn missing(range: Range, kept: &[Range]) -> Vec<Range> {
    let (mut parts, mut next) = (Vec::new(), range.start);
    for &Range { start, end } in kept {
        if start > range.end || next > range.end {
            break;
        }
        if start > next {
            parts.push(Range {
                start: next,
                end: start - 1,
            });
        }
        next = next.max(end + 1);
    }
    if next <= range.end {
        parts.push(Range {
            start: next,
            end: range.end,
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: (i64, i64), kept: &[(i64, i64)], expected: &str) {
        let range_of = |&(start, end): &(i64, i64)| Range { start, end };
        let kept: Vec<Range> = kept.iter().map(range_of).collect();
        let mut lost = String::new();
        check_ranges(&[range_of(&range)], &kept, |_, numbers| lost.push_str(numbers));
        assert_eq!(lost, expected);
    }

    #[test]
    fn what_is_missing_of_a_range_is_what_no_kept_range_covers() {
        check((5, 9), &[], "5 to 9");
        check((5, 9), &[(1, 20)], "");
        check((5, 9), &[(7, 9), (5, 6)], "");
        check((5, 9), &[(6, 7)], "5, 8 to 9");
        check((5, 9), &[(1, 4), (10, 12)], "5 to 9");
        check((5, 9), &[(1, 5), (9, 12), (7, 7)], "6, 8");
        check((5, 5), &[(9, 3)], "5");
    }
}
