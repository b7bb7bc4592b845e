//! Edits of encoded messages: places are found by compiled paths, and the message is written anew in one copy.
//!
//! Decoding what an edit leaves gives the same as decoding first and editing then: occurrences that are superseded do
//! not come back, members of a oneof put each other out, repeated occurrences of a message count as one, lists keep
//! their order across their pieces. What an edit does not touch stays as it is, byte by byte and in its place, unknown
//! fields included; lengths around an edit are repaired.

mod apply;
mod build;
mod error;
mod list;
mod mask;
mod merge;
mod narrow;
mod place;
mod plan;
mod tree;
mod trim;
mod value;

#[cfg(test)]
mod tests;

pub use error::EditError;
pub use mask::Mask;
pub use merge::Merger;
pub use trim::Trimmer;
pub use value::NewValue;

use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::path::Path;
use crate::view::check_size;
use crate::view::scan::Fault;
use apply::{Apply, Hit, Part};
use plan::Plan;
use std::ops::Range;
use tree::Tree;

/// One edit: where, and what.
#[derive(Clone, Debug)]
pub struct Edit<'e> {
    path: &'e Path,
    change: Change<'e>,
}

#[derive(Clone, Debug)]
enum Change<'e> {
    Set(NewValue<'e>),
    Remove,
    Append(&'e [NewValue<'e>]),
    Insert(usize, &'e [NewValue<'e>]),
    Keep(Range<usize>),
}

impl<'e> Edit<'e> {
    /// Sets a field, an element of a list or the value of a map's key.
    ///
    /// Messages and map entries on the way are made where they are missing; elements of lists are not. A zero where
    /// presence is implicit removes the field.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::Path, edit::{Edit, Editor}};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let label = Path::compile(order, r#"lines[0].labels["color"]"#)?;
    /// let mut out = Vec::new();
    /// Editor::new().apply(b"\x12\x00", &[Edit::set(&label, "red")], &mut out)?;
    /// assert_eq!(label.get(&out)?.and_then(|color| color.as_str()), Some("red"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(path: &'e Path, value: impl Into<NewValue<'e>>) -> Self {
        Self::new(path, Change::Set(value.into()))
    }

    /// Removes a field, an element of a list, a map's entry; a whole message, list or map where the path ends at one.
    /// What is not there needs no removal: that is no error.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::Path, edit::{Edit, Editor}};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let bank = Path::compile(order, "bank")?;
    /// let mut out = Vec::new();
    /// // bank { port: 1 }, card: "x": the card has put the bank out, and stays.
    /// Editor::new().apply(b"\x32\x02\x10\x01\x2a\x01x", &[Edit::remove(&bank)], &mut out)?;
    /// assert_eq!(out, b"\x2a\x01x");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(path: &'e Path) -> Self {
        Self::new(path, Change::Remove)
    }

    /// Appends elements to the list at the path; messages on the way are made where they are missing.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::Path, edit::{Edit, Editor, NewValue}};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let codes = Path::compile(order, "codes")?;
    /// let values = [NewValue::from(3), NewValue::from(4)];
    /// let mut out = Vec::new();
    /// Editor::new().apply(b"\x22\x02\x01\x02", &[Edit::append(&codes, &values)], &mut out)?;
    /// assert_eq!(out, b"\x22\x04\x01\x02\x03\x04");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append(path: &'e Path, values: &'e [NewValue<'e>]) -> Self {
        Self::new(path, Change::Append(values))
    }

    /// Inserts elements into the list at the path, so that the first of them has this index.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::Path, edit::{Edit, Editor, NewValue}};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let lines = Path::compile(order, "lines")?;
    /// let values = [NewValue::Message(b"\x10\x07")];
    /// let mut out = Vec::new();
    /// Editor::new().apply(b"\x12\x00\x12\x00", &[Edit::insert(&lines, 1, &values)], &mut out)?;
    /// assert_eq!(out, b"\x12\x00\x12\x02\x10\x07\x12\x00");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert(path: &'e Path, index: usize, values: &'e [NewValue<'e>]) -> Self {
        Self::new(path, Change::Insert(index, values))
    }

    /// Keeps only these elements of the list at the path.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::Path, edit::{Edit, Editor}};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let codes = Path::compile(order, "codes")?;
    /// let mut out = Vec::new();
    /// // codes: [1, 2], and one by one 3 and 4.
    /// Editor::new().apply(b"\x22\x02\x01\x02\x20\x03\x20\x04", &[Edit::slice(&codes, 1..3)], &mut out)?;
    /// assert_eq!(out, b"\x22\x01\x02\x20\x03");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slice(path: &'e Path, range: Range<usize>) -> Self {
        Self::new(path, Change::Keep(range))
    }

    fn new(path: &'e Path, change: Change<'e>) -> Self {
        Self { path, change }
    }
}

/// Makes edits, and keeps its storage between them: a steady stream of messages is edited without allocating.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, path::Path, edit::{Edit, Editor}};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// let port = Path::compile(order, "customer.port")?;
/// let total = Path::compile(order, r#"totals["net"]"#)?;
/// let codes = Path::compile(order, "codes")?;
///
/// let (mut editor, mut out) = (Editor::new(), Vec::new());
/// let message = b"\x0a\x05\x0a\x03Ada\x22\x03\x01\x02\x03"; // customer { name: "Ada" } codes: [1, 2, 3]
/// editor.set(message, &port, 80, &mut out)?;
/// assert_eq!(out, b"\x0a\x07\x0a\x03Ada\x10\x50\x22\x03\x01\x02\x03");
///
/// let edits = [Edit::set(&port, 80), Edit::set(&total, 7_i64), Edit::slice(&codes, 1..3)];
/// editor.apply(message, &edits, &mut out)?;
/// assert_eq!(out, b"\x0a\x07\x0a\x03Ada\x10\x50\x22\x02\x02\x03\x1a\x07\x0a\x03net\x10\x07");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Editor {
    limits: Limits,
    tree: Tree,
    plan: Plan,
    parts: Vec<Part>,
    hits: Vec<Hit>,
    spare: Vec<u8>,
}

impl Editor {
    /// An editor with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// An editor with limits of one's own: `bytes` holds for input and output, `allocation` for what it holds itself.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Writes `bytes` with one value set into `out`, whose content is replaced; see [`Edit::set`].
    ///
    /// # Errors
    /// When the message is malformed on the way, the value does not fit, or a limit is met; `out` is empty then.
    pub fn set<'e>(
        &mut self,
        bytes: &[u8],
        path: &'e Path,
        value: impl Into<NewValue<'e>>,
        out: &mut Vec<u8>,
    ) -> Result<(), EditError> {
        self.apply(bytes, &[Edit::set(path, value)], out)
    }

    /// Writes `bytes` without what is at `path` into `out`, whose content is replaced; see [`Edit::remove`].
    ///
    /// # Errors
    /// As [`Editor::set`].
    pub fn remove(&mut self, bytes: &[u8], path: &Path, out: &mut Vec<u8>) -> Result<(), EditError> {
        self.apply(bytes, &[Edit::remove(path)], out)
    }

    /// Writes `bytes` with several edits made into `out`, whose content is replaced.
    ///
    /// The result is that of making them one after the other. Those that do not depend on each other are made in one
    /// pass; each that does, as a second edit of the same place or an index behind a removal, costs another pass.
    ///
    /// # Errors
    /// As [`Editor::set`]: all edits are made or none.
    #[doc(alias = "set_many")]
    pub fn apply(&mut self, bytes: &[u8], edits: &[Edit<'_>], out: &mut Vec<u8>) -> Result<(), EditError> {
        let made = self.make(bytes, edits, out);
        if made.is_err() {
            out.clear();
        }
        made
    }

    fn make(&mut self, bytes: &[u8], edits: &[Edit<'_>], out: &mut Vec<u8>) -> Result<(), EditError> {
        check_size(bytes, &self.limits).map_err(EditError::Decode)?;
        check_paths(edits, &self.limits)?;
        let mut made = self.pass(bytes, edits, 0, out)?;
        while made < edits.len() {
            let mut input = std::mem::take(&mut self.spare);
            std::mem::swap(&mut input, out);
            let pass = self.pass(&input, edits, made, out);
            self.spare = input;
            made = pass?;
        }
        Ok(())
    }

    /// Makes as many edits as one pass can, from `first` on, and returns the next one.
    fn pass(
        &mut self,
        bytes: &[u8],
        edits: &[Edit<'_>],
        first: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, EditError> {
        self.tree.clear();
        self.plan.clear();
        self.parts.clear();
        self.hits.clear();
        let mut next = first;
        while next < edits.len() && self.tree.insert(edits, next) {
            next += 1;
        }
        if let Some(edit) = edits.get(first) {
            let apply = Apply {
                tables: edit.path.schema.tables(),
                bytes,
                edits,
                limits: &self.limits,
                tree: &mut self.tree,
                plan: &mut self.plan,
                parts: &mut self.parts,
                hits: &mut self.hits,
            };
            apply.run()?;
        }
        self.plan.emit(bytes, out, &self.limits)?;
        Ok(next)
    }
}

fn check_paths(edits: &[Edit<'_>], limits: &Limits) -> Result<(), EditError> {
    let Some(first) = edits.first() else {
        return Ok(());
    };
    for edit in edits {
        if edit.path.root != first.path.root || !edit.path.schema.ptr_eq(&first.path.schema) {
            let path = edit.path.to_string();
            return Err(EditError::ForeignPath { path });
        }
        if edit.path.steps.len() > limits.depth as usize {
            let fault = Fault::new(DecodeErrorKind::TooDeep, &[], 0);
            return Err(EditError::Decode(fault.error(<[u8]>::as_ptr(&[]).addr())));
        }
    }
    Ok(())
}
