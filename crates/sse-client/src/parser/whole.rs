//! The common case: an event that lies in its chunk whole, with one line of data.

use super::kind::Kind;
use super::limits::Limits;
use memchr::memchr;
use std::ops::Range;

/// Such an event, as pieces of the chunk.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    pub(super) data: &'a str,
    /// `None` if there is none, or an empty one.
    pub(super) event_type: Option<&'a str>,
    /// Where in the chunk the value of the last `id` field is.
    pub(super) id: Option<Range<usize>>,
    /// Where the event ends, behind its blank line.
    pub(super) end: usize,
}

/// What is at a place between two events of a chunk.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Whole(Whole<'a>),
    /// Something else, which has to be looked at line by line.
    Other,
    /// The same, and the line that begins here has no end.
    Unfinished(usize),
}

/// Looks for an event in a chunk without CR, from `start` on, where a block begins.
#[inline(always)]
pub(super) fn find(chunk: &str, start: usize, limits: Limits, skips_comments: bool) -> Found<'_> {
    let bytes = chunk.as_bytes();
    let (mut data, mut event_type, mut id) = (None, None, None);
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        // Every event ends in a blank line, which needs no search.
        let length = match rest.first() {
            Some(b'\n') => 0,
            _ => match memchr(b'\n', rest) {
                Some(length) => length,
                None => return Found::Unfinished(at),
            },
        };
        if length > limits.line_bytes {
            return Found::Other;
        }
        let end = at + length;
        match Kind::of(chunk.get(at..end).unwrap_or_default()) {
            Kind::Data(value) if data.is_none() => data = Some(value),
            Kind::Id(value) => id = Some(end - value.len()..end),
            Kind::EventType(value) => event_type = (!value.is_empty()).then_some(value),
            Kind::Comment(_) if skips_comments => {}
            Kind::Unknown => {}
            Kind::Blank => match data {
                Some(data) if data.len() + event_type.map_or(0, str::len) <= limits.event_bytes => {
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
