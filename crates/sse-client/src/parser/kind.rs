//! What a line is.

use std::time::Duration;

/// A line, by what it does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Blank,
    /// Without its colon.
    Comment(&'a str),
    Data(&'a str),
    EventType(&'a str),
    Id(&'a str),
    Retry(Duration),
    /// A field that the standard does not know, or a value that it ignores.
    Unknown,
}

impl<'a> Kind<'a> {
    #[inline(always)]
    pub(super) fn of(line: &'a str) -> Self {
        match line.as_bytes() {
            [] => Self::Blank,
            [b'd', b'a', b't', b'a', ..] => value(line, 4).map_or(Self::Unknown, Self::Data),
            [b'i', b'd', ..] => value(line, 2).map_or(Self::Unknown, id),
            [b'e', b'v', b'e', b'n', b't', ..] => value(line, 5).map_or(Self::Unknown, Self::EventType),
            [b'r', b'e', b't', b'r', b'y', ..] => value(line, 5).and_then(retry).unwrap_or(Self::Unknown),
            [b':', ..] => Self::Comment(line.get(1..).unwrap_or_default()),
            _ => Self::Unknown,
        }
    }
}

/// What stands behind a name of this length: the rest behind the colon but for one space, nothing if there is no colon, and
/// `None` if the name is longer.
#[inline(always)]
fn value(line: &str, name: usize) -> Option<&str> {
    let bytes = line.as_bytes();
    match bytes.get(name) {
        // Empty, and a piece of the line all the same.
        None => line.get(name..),
        Some(b':') => {
            let space = usize::from(bytes.get(name + 1) == Some(&b' '));
            line.get(name + 1 + space..)
        }
        Some(_) => None,
    }
}

/// An id with a null is ignored.
#[inline(always)]
fn id(value: &str) -> Kind<'_> {
    match value.as_bytes().contains(&0) {
        true => Kind::Unknown,
        false => Kind::Id(value),
    }
}

/// Digits as a number of milliseconds; the largest there is where they say more.
fn retry(value: &str) -> Option<Kind<'_>> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Kind::Retry(Duration::from_millis(value.parse().unwrap_or(u64::MAX))))
}
