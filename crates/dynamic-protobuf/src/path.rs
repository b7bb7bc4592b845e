//! Paths into messages, compiled against a schema: found by name once, walked by tag ever after.
//!
//! # Syntax
//! `spans[3].attributes["host"].value` — segments are separated by dots, and a segment is
//! - a field's name as in the `.proto` file, or its JSON name;
//! - a field's number, in digits: `7.attributes`;
//! - an extension's full name in brackets or parentheses: `options.[acme.owner]`, `options.(acme.owner)`;
//!
//! and behind a list or a map, in brackets, which of its values is meant:
//! - of a list `[0]` the first, `[-1]` the last;
//! - of a map its key, in the type the schema gives it: `["host"]` or `['host']` (with the escapes `\\`, `\"`, `\'`,
//!   `\n`, `\r`, `\t`), `[42]`, `[true]`.
//!
//! [`Mask`](crate::edit::Mask) takes more: `[*]` for all, `[2:10]` for the elements 2 to 9.

mod builder;
mod compile;
mod error;
mod get;
mod many;
mod parse;
mod straight;

#[cfg(test)]
mod tests;

pub use builder::PathBuilder;
pub use error::{PathError, PathErrorKind};
pub(crate) use get::locate;
pub use many::PathSet;

pub(crate) use compile::{compile, field, field_target, kind_name, map_key};
pub(crate) use parse::{Name, Segment, Selection, segment_text, segments, split_list};

use crate::limits::Limits;
use crate::view::target::Target;
use crate::{FieldDescriptor, MessageDescriptor, Schema};
use std::fmt;
use straight::Straight;

/// The most segments a path may have; deeper messages do not decode anywhere.
pub const MAX_PATH_SEGMENTS: usize = 1_000;

/// A place in messages of one type: a field, an element of a list, a value of a map.
///
/// It owns what it needs, and is meant to be made once and used on many messages, from any thread.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, path::Path};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// let path = Path::compile(order, r#"lines[1].labels["color"]"#)?;
/// let same = Path::builder(order).field("lines").index(1).field("labels").key("color").build()?;
/// assert_eq!(path.to_string(), same.to_string());
///
/// let error = Path::compile(order, "lines[1].lables").unwrap_err();
/// assert!(error.to_string().contains("did you mean `labels`"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Path {
    pub(crate) schema: Schema,
    pub(crate) root: u32,
    pub(crate) steps: Box<[Step]>,
    pub(crate) limits: Limits,
    /// For [`Path::get`], where the way is simple.
    straight: Option<Straight>,
    text: Box<str>,
}

/// A field on the way, and which of its values.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) target: Target,
    /// The message that has the field.
    pub(crate) message: u32,
    pub(crate) selector: Selector,
}

/// Which of a field's values is meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selector {
    /// All that the field holds.
    Whole,
    /// An element, from the end when negative.
    Index(i64),
    /// The value of a map's key, with what entries are made of.
    Key {
        key: Key,
        key_target: Target,
        value: Target,
    },
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Of maps whose keys are `bool`.
    Bool(bool),
    /// Of maps whose keys are signed integers, or unsigned ones when it is not negative.
    Int(i64),
    /// Of maps whose keys are unsigned integers, or signed ones when it fits.
    Uint(u64),
    /// Of maps whose keys are strings.
    String(Box<str>),
}

impl Path {
    /// Compiles a path in the syntax of [this module](self) against a message type.
    ///
    /// # Errors
    /// When a segment does not fit the schema; the error names it, and what may have been meant.
    pub fn compile(root: MessageDescriptor<'_>, text: &str) -> Result<Self, PathError> {
        Self::from_segments(root, &segments(text, false)?)
    }

    /// Builds a path from names, numbers and keys that are at hand, without quoting them.
    pub fn builder(root: MessageDescriptor<'_>) -> PathBuilder<'_> {
        PathBuilder::new(root)
    }

    pub(crate) fn from_segments(
        root: MessageDescriptor<'_>,
        segments: &[Segment],
    ) -> Result<Self, PathError> {
        let (steps, limits) = (compile(root, segments)?, Limits::default());
        Ok(Self {
            schema: root.schema().clone(),
            root: root.index(),
            straight: Straight::new(&steps, &limits),
            steps,
            limits,
            text: parse::text(segments).into(),
        })
    }

    /// The same path with limits of one's own for [`Path::get`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self.straight = Straight::new(&self.steps, &limits);
        self
    }

    /// The type of the messages it leads into.
    pub fn root(&self) -> MessageDescriptor<'_> {
        MessageDescriptor::new(&self.schema, self.root)
    }

    /// The field it ends at: of a map's value the map.
    pub fn field(&self) -> FieldDescriptor<'_> {
        let field = self.steps.last().map_or(0, |step| step.target.field);
        FieldDescriptor::new(&self.schema, field)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Path")
            .field(&self.root().full_name())
            .field(&self.text)
            .finish()
    }
}

macro_rules! key {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Key {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

key!(bool => Bool, i32 => Int, i64 => Int, u32 => Uint, u64 => Uint, &str => String, String => String);
