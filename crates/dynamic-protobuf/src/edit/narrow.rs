//! Masks that keep what a narrower message type knows.

use super::mask::{Mask, Node, Select, WHOLE};
use crate::path::field_target;
use crate::{FieldDescriptor, Kind, MessageDescriptor};
use std::collections::HashMap;

impl Mask {
    /// A mask that keeps of messages of type `wide` what type `narrow` knows, which may be of another schema.
    ///
    /// What is left decodes as `narrow` to what the message it came from would, but for unknown fields, for members of
    /// oneofs that were put out by one that `narrow` does not know, and for fields whose types do not read the same
    /// bytes alike (as `int32` and `sint32`): those are left out, and listed in [`Mask::incompatible`].
    pub fn narrower(wide: MessageDescriptor<'_>, narrow: MessageDescriptor<'_>) -> Self {
        let mut narrowing = Narrowing {
            mask: Self::empty(wide),
            known: HashMap::from([((Some(wide.index()), narrow.index()), 0)]),
            pending: vec![(0, Some(wide), narrow)],
        };
        while let Some((node, wide, narrow)) = narrowing.pending.pop() {
            for field in narrow.fields() {
                narrowing.field(node, wide, field);
            }
        }
        narrowing.mask.finish();
        narrowing.mask
    }
}

struct Narrowing<'w, 'n> {
    mask: Mask,
    /// Pairs of types, by their indexes, and their nodes: types may contain themselves.
    known: HashMap<(Option<u32>, u32), u32>,
    pending: Vec<(u32, Option<MessageDescriptor<'w>>, MessageDescriptor<'n>)>,
}

impl<'w, 'n> Narrowing<'w, 'n> {
    fn field(&mut self, node: u32, wide: Option<MessageDescriptor<'w>>, narrow: FieldDescriptor<'n>) {
        let wide = wide.and_then(|wide| wide.field(narrow.number()));
        if let Some(wide) = wide
            && !is_compatible(wide, narrow)
        {
            self.mask.note_incompatible(narrow.full_name());
            return;
        }
        let target = field_target(narrow);
        let entry = target.is_map().then(|| target.of_entry(narrow.schema().tables()));
        let value = |field: FieldDescriptor<'n>| field.map_value().unwrap_or(field);
        let child = match value(narrow).message() {
            Some(inner) => {
                let wide = wide.and_then(|wide| wide.map_value().unwrap_or(wide).message());
                self.node(wide, inner)
            }
            None => WHOLE,
        };
        if let Some(node) = self.mask.nodes.get_mut(node as usize) {
            // The narrower type itself decides which numbers its enums know.
            node.rule(&target, entry, false)
                .selections
                .push((Select::All, child));
        }
    }

    fn node(&mut self, wide: Option<MessageDescriptor<'w>>, narrow: MessageDescriptor<'n>) -> u32 {
        let key = (wide.map(MessageDescriptor::index), narrow.index());
        if let Some(node) = self.known.get(&key) {
            return *node;
        }
        let node = self.mask.nodes.len() as u32;
        self.mask.nodes.push(Node {
            message: key.0,
            ..Node::default()
        });
        self.known.insert(key, node);
        self.pending.push((node, wide, narrow));
        node
    }
}

/// Whether both read the same bytes alike.
fn is_compatible(wide: FieldDescriptor<'_>, narrow: FieldDescriptor<'_>) -> bool {
    if wide.is_map() != narrow.is_map() {
        return false;
    }
    if let (Some(wide), Some(narrow)) = (wide.map_key(), narrow.map_key())
        && class(wide.kind()) != class(narrow.kind())
    {
        return false;
    }
    let value = |field: FieldDescriptor<'_>| field.map_value().unwrap_or(field).kind();
    let (wide, narrow) = (value(wide), value(narrow));
    class(wide) == class(narrow) || (wide == Kind::String && narrow == Kind::Bytes)
}

/// Kinds of one class read the same bytes alike, but for what does not fit.
///
/// Source: <https://protobuf.dev/programming-guides/proto3/#updating>.
const fn class(kind: Kind) -> Kind {
    match kind {
        Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Bool | Kind::Enum => Kind::Int64,
        Kind::Sint32 | Kind::Sint64 => Kind::Sint64,
        Kind::Fixed32 | Kind::Sfixed32 => Kind::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Kind::Fixed64,
        other => other,
    }
}
