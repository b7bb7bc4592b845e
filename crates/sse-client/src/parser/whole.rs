//! The common case: an event that lies in its chunk whole, with one line of data.

use super::kind::Kind;
use super::limits::Limits;
use memchr::memchr2;
use std::ops::Range;

/// Such an event, by where in the chunk it has what.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) data: Range<usize>,
    /// `None` if there is none, or an empty one.
    pub(super) event_type: Option<Range<usize>>,
    /// Of the last `id` field.
    pub(super) id: Option<Range<usize>>,
    /// Where the event ends, behind its blank line.
    pub(super) end: usize,
}

/// What is at a place between two events of a chunk.
#[derive(Debug)]
pub(super) enum Found {
    Whole(Whole),
    /// Something else, which has to be looked at line by line.
    Other,
    /// The same, because a line ends in CR.
    CarriageReturn,
    /// The same, and the line that begins here has no end.
    Unfinished(usize),
}

/// Looks for an event whose lines end in LF in a chunk, from `start` on, where a block begins.
#[inline(always)]
pub(super) fn find(bytes: &[u8], start: usize, limits: Limits, skips_comments: bool) -> Found {
    let (mut data, mut event_type, mut id) = (None, None, None);
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        // Every event ends in a blank line, which needs no search.
        let length = match rest.first() {
            Some(b'\n') => 0,
            _ => match memchr2(b'\n', b'\r', rest) {
                Some(length) if rest.get(length) == Some(&b'\n') => length,
                Some(_) => return Found::CarriageReturn,
                None => return Found::Unfinished(at),
            },
        };
        if length > limits.line_bytes {
            return Found::Other;
        }
        let end = at + length;
        match Kind::of(bytes.get(at..end).unwrap_or_default()) {
            Kind::Data(value) if data.is_none() => data = Some(at + value..end),
            Kind::Id(value) => id = Some(at + value..end),
            Kind::EventType(value) => event_type = Some(at + value..end).filter(|place| !place.is_empty()),
            Kind::Comment(_) if skips_comments => {}
            Kind::Unknown => {}
            Kind::Blank => match data {
                Some(data)
                    if data.len() + event_type.as_ref().map_or(0, Range::len) <= limits.event_bytes =>
                {
                    let end = end + 1;
                    return Found::Whole(Whole {
                        data,
                        event_type,
                        id,
                        end,
                    });
                }
                _ => return Found::Other,
            },
            _ => return Found::Other,
        }
        at = end + 1;
    }
}
