//! What a line is.

use std::time::Duration;

/// A line, by what it does. Numbers say where in the line its value begins, which it ends with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Comment(usize),
    Data(usize),
    EventType(usize),
    Id(usize),
    Retry(Duration),
    /// A field that the standard does not know, or a value that it ignores.
    Unknown,
}

impl Kind {
    #[inline(always)]
    pub(super) fn of(line: &[u8]) -> Self {
        match line {
            [] => Self::Blank,
            [b'd', b'a', b't', b'a', ..] => value(line, 4).map_or(Self::Unknown, Self::Data),
            [b'i', b'd', ..] => value(line, 2)
                .filter(|at| is_id(line, *at))
                .map_or(Self::Unknown, Self::Id),
            [b'e', b'v', b'e', b'n', b't', ..] => value(line, 5).map_or(Self::Unknown, Self::EventType),
            [b'r', b'e', b't', b'r', b'y', ..] => retry(line).map_or(Self::Unknown, Self::Retry),
            [b':', ..] => Self::Comment(1),
            _ => Self::Unknown,
        }
    }
}

/// Where that begins which stands behind a name of this length: behind the colon and one space, at the end if there is no colon,
/// and `None` if the name is longer.
#[inline(always)]
fn value(line: &[u8], name: usize) -> Option<usize> {
    match line.get(name) {
        None => Some(name),
        Some(b':') => Some(name + 1 + usize::from(line.get(name + 1) == Some(&b' '))),
        Some(_) => None,
    }
}

/// An id with a null is ignored.
#[inline(always)]
fn is_id(line: &[u8], at: usize) -> bool {
    // All of them, without a branch: ids are short.
    let has_null = |found, byte: &u8| found | (*byte == 0);
    !line.get(at..).unwrap_or_default().iter().fold(false, has_null)
}

/// Digits as a number of milliseconds; the largest there is where they say more.
fn retry(line: &[u8]) -> Option<Duration> {
    let digits = line.get(value(line, 5)?..).filter(|digits| !digits.is_empty())?;
    let add = |sum: u64, digit: &u8| {
        let is_digit = digit.is_ascii_digit();
        is_digit.then(|| sum.saturating_mul(10).saturating_add((digit - b'0').into()))
    };
    digits.iter().try_fold(0, add).map(Duration::from_millis)
}
