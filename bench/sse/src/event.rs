//! Events that say when they were sent.

use crate::process::nanoseconds;
use anyhow::Result;
use memchr::memmem::Finder;

/// How long an event is in the stream, with everything that belongs to it.
pub(crate) const BYTES: usize = 200;
/// Digits of an event's number, and of the time when it was sent.
const NUMBER_DIGITS: usize = 12;
const TIME_DIGITS: usize = 20;
/// What stands before the time.
const MARK: &str = r#""sent":""#;

/// Adds an event to what will be sent.
pub(crate) fn write(text: &mut String, number: u64, sent_at: u64) {
    let end = text.len() + BYTES;
    let head = format!("id: {number:0NUMBER_DIGITS$}\ndata: {{{MARK}{sent_at:0TIME_DIGITS$}\",\"text\":\"");
    text.push_str(&head);
    let tail = "\"}\n\n";
    let filler = end.saturating_sub(text.len() + tail.len());
    text.extend(std::iter::repeat_n('x', filler));
    text.push_str(tail);
}

/// Finds the events in what a sink was sent.
pub(crate) struct Found {
    mark: Finder<'static>,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            mark: Finder::new(MARK),
        }
    }
}

impl Found {
    /// For each event of a request, how many nanoseconds ago it was sent.
    pub(crate) fn ages(&self, body: &[u8]) -> Result<Vec<u64>> {
        let now = nanoseconds()?;
        let sent_at = |place: usize| {
            let digits = body.get(place + MARK.len()..place + MARK.len() + TIME_DIGITS);
            let number = std::str::from_utf8(digits.unwrap_or_default())?;
            Ok(now.saturating_sub(number.parse()?))
        };
        self.mark.find_iter(body).map(sent_at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_long_as_it_should_be_and_is_found_again() {
        let mut text = String::new();
        write(&mut text, 1, nanoseconds().unwrap());
        write(&mut text, 2, 0);
        assert_eq!(text.len(), 2 * BYTES);
        let ages = Found::default().ages(text.as_bytes()).unwrap();
        assert_eq!(ages.len(), 2);
        assert!(ages[0] < 1_000_000_000 && ages[1] > ages[0], "{ages:?}");
    }
}
