//! Paths from parts that are at hand.

use super::error::PathError;
use super::parse::{Name, Segment, Selection};
use super::{Key, Path};
use crate::MessageDescriptor;

/// Builds a [`Path`] segment by segment; what does not fit is told by [`PathBuilder::build`].
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, path::Path};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// let path = Path::builder(order).number(2).index(-1).field("labels").key("color").build()?;
/// assert_eq!(path.as_str(), r#"2[-1].labels["color"]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PathBuilder<'s> {
    root: MessageDescriptor<'s>,
    segments: Vec<Segment>,
}

impl<'s> PathBuilder<'s> {
    pub(super) fn new(root: MessageDescriptor<'s>) -> Self {
        Self {
            root,
            segments: Vec::new(),
        }
    }

    /// Goes to the field with this name or JSON name.
    pub fn field(self, name: impl Into<String>) -> Self {
        self.segment(Name::Field(name.into()))
    }

    /// Goes to the field with this number.
    pub fn number(self, number: u32) -> Self {
        self.segment(Name::Number(number))
    }

    /// Goes to the extension with this full name.
    pub fn extension(self, full_name: impl Into<String>) -> Self {
        self.segment(Name::Extension(full_name.into()))
    }

    /// Chooses an element of the list, from the end when negative.
    pub fn index(self, index: i64) -> Self {
        self.key(index)
    }

    /// Chooses the value of a key of the map.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        if let Some(last) = self.segments.last_mut() {
            last.selection = Some(Selection::Key(key.into()));
        }
        self
    }

    /// Compiles the path.
    ///
    /// # Errors
    /// When a segment does not fit the schema, or there is none.
    pub fn build(self) -> Result<Path, PathError> {
        Path::from_segments(self.root, &self.segments)
    }

    fn segment(mut self, name: Name) -> Self {
        self.segments.push(Segment {
            name,
            selection: None,
        });
        self
    }
}
