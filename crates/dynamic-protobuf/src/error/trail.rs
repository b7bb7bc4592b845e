//! Where in a message something happened, gathered from the inside to the outside.

use std::fmt;

/// Longer trails lose their outermost part; the innermost tells most.
const MAX_SEGMENTS: usize = 128;

/// The way to a place, as in `spans[3].name`: innermost first, as it is pushed while an error travels outwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Field(String),
    Index(usize),
}

impl Trail {
    /// It happened inside `field`.
    #[cold]
    pub(crate) fn in_field(&mut self, field: &str) {
        self.push(|| Segment::Field(field.to_owned()));
    }

    /// It happened inside element `index`.
    #[cold]
    pub(crate) fn in_element(&mut self, index: usize) {
        self.push(|| Segment::Index(index));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    fn push(&mut self, segment: impl FnOnce() -> Segment) {
        if self.segments.len() < MAX_SEGMENTS {
            self.segments.push(segment());
        }
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.segments.iter().rev().enumerate() {
            match segment {
                Segment::Field(name) if place == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_SEGMENTS, Trail};

    #[test]
    fn trails_are_read_from_the_outside_and_keep_their_inside() {
        let mut trail = Trail::default();
        assert!(trail.is_empty());
        trail.in_field("name");
        trail.in_element(3);
        trail.in_field("spans");
        assert_eq!(trail.to_string(), "spans[3].name");
        for _ in 0..MAX_SEGMENTS {
            trail.in_field("outer");
        }
        assert!(trail.to_string().ends_with("outer.spans[3].name"));
        assert_eq!(trail.segments.len(), MAX_SEGMENTS);
    }
}
