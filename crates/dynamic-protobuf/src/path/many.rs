//! Several paths in one pass: what they share on the way is walked once.

use super::get::{Walk, locate};
use super::{Path, Selector, Step};
use crate::Schema;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::schema::tables::Entry;
use crate::view::message_set::unwrapped;
use crate::view::parts::{Collected, Parts};
use crate::view::scan::{At, Fault, Field, Fields, Scan, body};
use crate::view::seek::{Bounds, Seek, counts, is_implied, key_of};
use crate::view::target::is_known;
use crate::view::{Context, Value, check_size, value_of_entry};

/// How many fields of one message are looked for in one walk over it; for more of them it is walked over again.
const FIELDS_PER_WALK: usize = 8;

/// Paths that are read together.
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, path::{Path, PathSet}};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// let name = Path::compile(order, "customer.name")?;
/// let port = Path::compile(order, "customer.port")?;
/// let paths = PathSet::new(&[&name, &port]).ok_or("paths of different messages")?;
/// let values = paths.get_many(b"\x0a\x07\x0a\x03Ada\x10\x50")?;
/// assert_eq!(values[0].as_ref().and_then(|name| name.as_str()), Some("Ada"));
/// assert_eq!(values[1].as_ref().and_then(|port| port.as_u64()), Some(80));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PathSet {
    schema: Schema,
    roots: Vec<Node>,
    len: usize,
    limits: Limits,
}

/// A step that one or more paths have in common.
#[derive(Clone, Debug)]
struct Node {
    step: Step,
    /// Of the paths that end here, their places in the set.
    ends: Vec<usize>,
    children: Vec<Node>,
}

impl PathSet {
    /// A set of paths into the same message type; `None` when there is none or they differ in type or schema.
    pub fn new(paths: &[&Path]) -> Option<Self> {
        let (first, rest) = paths.split_first()?;
        let same = |path: &&&Path| path.root == first.root && path.schema.ptr_eq(&first.schema);
        if !rest.iter().all(|path| same(&path)) {
            return None;
        }
        let mut roots = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            insert(&mut roots, &path.steps, index);
        }
        Some(Self {
            schema: first.schema.clone(),
            roots,
            len: paths.len(),
            limits: first.limits,
        })
    }

    /// The same set with limits of one's own; otherwise those of its first path count.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Calls `found` with each path's place in the set and its value, as [`Path::get`] would give it, for those that
    /// have one. The order is that of the tree that the paths make, not theirs. Nothing is allocated.
    ///
    /// ```
    /// # use heddle_dynamic_protobuf::{Schema, path::{Path, PathSet}};
    /// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
    /// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
    /// # let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
    /// let (card, line) = (Path::compile(order, "card")?, Path::compile(order, "lines[1].sku")?);
    /// let paths = PathSet::new(&[&card, &line]).ok_or("paths of different messages")?;
    /// let mut sku = None;
    /// paths.get_each(b"\x12\x00\x12\x03\x0a\x01a", |index, value| {
    ///     if index == 1 {
    ///         sku = value.as_str();
    ///     }
    /// })?;
    /// assert_eq!(sku, Some("a"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When bytes on the way are malformed or go past the limits; some values may have been given by then.
    pub fn get_each<'s, 'a>(
        &'s self,
        bytes: &'a [u8],
        mut found: impl FnMut(usize, Value<'s, 'a>),
    ) -> Result<(), DecodeError> {
        check_size(bytes, &self.limits)?;
        let bounds = Bounds::new(&self.limits);
        let walk = Walk::new(&self.schema, bytes, bounds);
        let level = Level {
            context: walk.context,
            found: &mut found,
        };
        level.walk(&self.roots, &Parts::One(bytes), bounds)
    }

    /// The value of each path, in the order of the set.
    ///
    /// # Errors
    /// When bytes on the way are malformed or go past the limits.
    pub fn get_many<'s, 'a>(&'s self, bytes: &'a [u8]) -> Result<Vec<Option<Value<'s, 'a>>>, DecodeError> {
        let mut values = Vec::new();
        values.resize_with(self.len, || None);
        self.get_each(bytes, |index, value| {
            if let Some(slot) = values.get_mut(index) {
                *slot = Some(value);
            }
        })?;
        Ok(values)
    }
}

fn insert(nodes: &mut Vec<Node>, steps: &[Step], index: usize) {
    let Some((first, rest)) = steps.split_first() else {
        return;
    };
    let same =
        |node: &Node| node.step.target.field == first.target.field && node.step.selector == first.selector;
    let at = nodes.iter().position(same).unwrap_or_else(|| {
        nodes.push(Node {
            step: first.clone(),
            ends: Vec::new(),
            children: Vec::new(),
        });
        nodes.len() - 1
    });
    if let Some(node) = nodes.get_mut(at) {
        if rest.is_empty() {
            node.ends.push(index);
        }
        insert(&mut node.children, rest, index);
    }
}

/// What was found of a node so far.
#[derive(Default)]
struct Slot<'a> {
    at: Option<At<'a>>,
    entry: Option<&'a [u8]>,
    collected: Collected<'a>,
    any: bool,
    /// How many elements are still to pass; `None` when the element does not exist or was found.
    remaining: Option<usize>,
}

/// One level of the walk.
struct Level<'f, 's, 'a> {
    context: Context<'s>,
    found: &'f mut dyn FnMut(usize, Value<'s, 'a>),
}

impl<'s, 'a> Level<'_, 's, 'a> {
    fn walk(self, nodes: &'s [Node], parts: &Parts<'a>, bounds: Bounds) -> Result<(), DecodeError> {
        let context = Context {
            bounds,
            ..self.context
        };
        for nodes in nodes.chunks(FIELDS_PER_WALK) {
            let mut slots: [Slot<'a>; FIELDS_PER_WALK] = Default::default();
            scan(&context, nodes, parts, &mut slots).map_err(|fault| fault.error(context.base))?;
            for (node, slot) in nodes.iter().zip(slots) {
                let level = Level {
                    context,
                    found: &mut *self.found,
                };
                level.finish(node, slot, parts)?;
            }
        }
        Ok(())
    }

    fn finish(self, node: &'s Node, slot: Slot<'a>, parts: &Parts<'a>) -> Result<(), DecodeError> {
        let context = self.context;
        let failed = |fault: Fault| {
            let error = fault.error(context.base);
            locate(context.schema, error, std::slice::from_ref(&node.step), 0)
        };
        if !node.ends.is_empty()
            && let Some(value) = slot.value(&context, &node.step, parts).map_err(failed)?
        {
            for &end in &node.ends {
                (self.found)(end, value.clone());
            }
        }
        if node.children.is_empty() {
            return Ok(());
        }
        let Some(parts) = slot.message(&context, &node.step).map_err(failed)? else {
            return Ok(());
        };
        let first = parts.slices().first().copied().unwrap_or_default();
        let bounds = context.bounds.nested(first).map_err(failed)?;
        self.walk(&node.children, &parts, bounds)
            .map_err(|error| locate(context.schema, error, std::slice::from_ref(&node.step), 0))
    }
}

/// Walks over a message once and notes what it has of `nodes`.
fn scan<'a>(
    context: &Context<'_>,
    nodes: &[Node],
    parts: &Parts<'a>,
    slots: &mut [Slot<'a>; FIELDS_PER_WALK],
) -> Scan<()> {
    let Some(first) = nodes.first() else {
        return Ok(());
    };
    let seek = Seek {
        tables: context.schema.tables(),
        parts,
        message: first.step.message,
        bounds: context.bounds,
    };
    let table = seek.tables.message(seek.message);
    let (mut interesting, mut oneofs) = (0u64, false);
    for (node, slot) in nodes.iter().zip(slots.iter_mut()) {
        interesting |= 1 << (node.step.target.number() % u64::BITS);
        oneofs |= node.step.target.entry.oneof != 0;
        if let Selector::Index(index) = node.step.selector {
            slot.remaining = seek.position(&node.step.target, index)?;
        }
    }
    for &bytes in parts.slices() {
        let mut fields = Fields::new(bytes, context.bounds.depth);
        while let Some(field) = fields.next()? {
            let field = unwrapped(table, bytes, field, context.bounds.depth)?;
            let number = field.number();
            if interesting >> (number % u64::BITS) & 1 == 0 && !oneofs {
                continue;
            }
            let entry = if oneofs {
                table.entry(number)
            } else {
                Entry::UNKNOWN
            };
            for (node, slot) in nodes.iter().zip(slots.iter_mut()) {
                if node.step.target.takes(field.tag) {
                    slot.hit(&seek, &node.step, bytes, &field)?;
                } else if entry.oneof != 0
                    && entry.oneof == node.step.target.entry.oneof
                    && entry.tag == field.tag
                    && is_known(
                        seek.tables,
                        &entry,
                        At {
                            bytes,
                            pos: field.value,
                        },
                    )
                {
                    slot.at = None;
                    slot.collected.clear();
                }
            }
        }
    }
    Ok(())
}

impl<'a> Slot<'a> {
    fn hit(&mut self, seek: &Seek<'_, '_, 'a>, step: &Step, bytes: &'a [u8], field: &Field) -> Scan<()> {
        let target = &step.target;
        let at = At {
            bytes,
            pos: field.value,
        };
        let payload = bytes.get(field.body..field.end).unwrap_or_default();
        match &step.selector {
            Selector::Whole if target.entry.is(Entry::REPEATED) => {
                self.any = self.any || counts(seek.tables, target, bytes, field, seek.bounds.depth)?;
            }
            Selector::Whole if target.is_message() => {
                self.collected.push(payload);
                if self.collected.len() > 1
                    && self.collected.len() > seek.bounds.allocation / size_of::<&[u8]>()
                {
                    return Err(Fault::new(DecodeErrorKind::AllocationLimit, bytes, field.start));
                }
            }
            Selector::Whole => {
                if is_known(seek.tables, &target.entry, at) {
                    self.at = Some(at);
                }
            }
            Selector::Index(_) => self.element(seek, step, at, field, payload)?,
            Selector::Key {
                key,
                key_target,
                value,
            } => {
                let depth = seek.bounds.depth;
                if key_of(key_target, payload, depth)?.is(key) && seek.is_entry(value, payload)? {
                    self.entry = Some(payload);
                }
            }
        }
        Ok(())
    }

    fn element(
        &mut self,
        seek: &Seek<'_, '_, 'a>,
        step: &Step,
        at: At<'a>,
        field: &Field,
        payload: &'a [u8],
    ) -> Scan<()> {
        let Some(remaining) = &mut self.remaining else {
            return Ok(());
        };
        if step.target.is_packed(field.tag) {
            self.at = seek.element_of_run(&step.target, payload, remaining)?;
        } else if is_known(seek.tables, &step.target.entry, at) {
            match remaining.checked_sub(1) {
                Some(less) => *remaining = less,
                None => self.at = Some(at),
            }
        }
        if self.at.is_some() {
            self.remaining = None;
        }
        Ok(())
    }

    fn value<'s>(
        &self,
        context: &Context<'s>,
        step: &Step,
        parts: &Parts<'a>,
    ) -> Scan<Option<Value<'s, 'a>>> {
        let target = &step.target;
        match &step.selector {
            Selector::Whole if target.entry.is(Entry::REPEATED) => {
                Ok(self.any.then(|| context.repeated(target, parts.clone())))
            }
            Selector::Whole if target.is_message() => {
                let parts = self.collected.clone().finish();
                let view = parts
                    .map(|parts| context.view(target.entry.sub, parts))
                    .transpose()?;
                Ok(view.map(Value::Message))
            }
            Selector::Whole => {
                let at = self.at.filter(|at| !is_implied(&target.entry, *at));
                at.map(|at| context.read(target, at)).transpose()
            }
            Selector::Index(_) => self.at.map(|at| context.read(target, at)).transpose(),
            Selector::Key { value, .. } => self
                .entry
                .map(|entry| value_of_entry(context, value, entry))
                .transpose(),
        }
    }

    fn message(self, context: &Context<'_>, step: &Step) -> Scan<Option<Parts<'a>>> {
        match &step.selector {
            Selector::Whole => Ok(self.collected.finish()),
            Selector::Index(_) => {
                let slice = self
                    .at
                    .map(|at| body(at, step.target.tag, context.bounds.depth))
                    .transpose()?;
                Ok(slice.map(|(slice, _)| Parts::One(slice)))
            }
            Selector::Key { value, .. } => {
                let Some(entry) = self.entry else {
                    return Ok(None);
                };
                let parts = Parts::One(entry);
                let tables = context.schema.tables();
                let seek = Seek {
                    tables,
                    parts: &parts,
                    message: step.message,
                    bounds: context.bounds,
                };
                seek.entry_message(value, entry).map(Some)
            }
        }
    }
}
