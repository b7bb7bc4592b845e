//! Which parts of a message are kept: masks, compiled from paths or from a narrower message type.

use crate::path::{Key, Name, PathError, PathErrorKind, Segment, Selection, Selector};
use crate::path::{field, field_target, map_key, segments, split_list};
use crate::schema::tables::Op;
use crate::view::target::Target;
use crate::{MessageDescriptor, Schema};

/// The child of a rule that keeps all that it selects.
pub(super) const WHOLE: u32 = u32::MAX;

/// What [`Trimmer`](super::Trimmer) keeps of messages of one type.
///
/// # From paths
/// The paths of a `google.protobuf.FieldMask`, by proto or JSON names, and with the selectors of
/// [`path`](crate::path): `items[0]`, `items[-1].name`, `items[2:10].name`, `items[*].name` — which `items.name` means
/// too — and `labels["a"]`, `labels[*].x`. A path keeps all below its end; `*` alone keeps everything, and a mask
/// without paths nothing. Messages on the way stay set, though nothing may be left in them. Unknown fields go, but for
/// those inside of what is kept whole.
///
/// # From a narrower type
/// Of each message what the narrower type knows by number is kept, all the way down, and unknown fields are not. What
/// the two types understand differently is left out, and told by [`Mask::incompatible`].
///
/// ```
/// # use heddle_dynamic_protobuf::{Schema, edit::{Mask, Trimmer}};
/// # let pool = protox::compile(["doc.proto"], ["tests/proto"])?;
/// # let schema = Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&pool))?;
/// let order = schema.message("doc.Order").ok_or("no doc.Order in the schema")?;
/// let public = schema.message("doc.PublicOrder").ok_or("no doc.PublicOrder in the schema")?;
/// let (mut trimmer, mut out) = (Trimmer::new(), Vec::new());
/// let message = b"\x0a\x07\x0a\x03Ada\x10\x50\x22\x03\x01\x02\x03"; // customer { name: "Ada" port: 80 } codes: [1, 2, 3]
///
/// trimmer.trim(message, &Mask::parse(order, "customer.port,codes[1:]")?, &mut out)?;
/// assert_eq!(out, b"\x0a\x02\x10\x50\x22\x02\x02\x03");
/// trimmer.trim(message, &Mask::narrower(order, public), &mut out)?;
/// assert_eq!(out, b"\x0a\x05\x0a\x03Ada\x22\x03\x01\x02\x03");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mask {
    pub(super) schema: Schema,
    /// Everything is kept.
    pub(super) all: bool,
    /// The first is that of the root.
    pub(super) nodes: Vec<Node>,
    incompatible: Vec<String>,
}

/// What is kept of one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Its type in the mask's schema; `None` when that does not know it.
    pub(super) message: Option<u32>,
    /// By ascending number.
    pub(super) rules: Vec<Rule>,
    /// A bit for the last six bits of each number that has a rule.
    pub(super) numbers: u64,
    /// Oneofs of which some members are kept and some are not.
    pub(super) torn_oneofs: Vec<u16>,
    /// Elements are counted, or oneofs are torn, here or in the singular messages inside: occurrences of a message count
    /// as one then.
    pub(super) joined: bool,
}

/// What is kept of one field.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) target: Target,
    /// Key and value, for maps.
    pub(super) entry: Option<(Target, Target)>,
    /// Whether numbers that a closed enum does not name are left out.
    pub(super) checked: bool,
    /// What is selected, and the node for what is kept of it.
    pub(super) selections: Vec<(Select, u32)>,
}

/// Which of a field's values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Select {
    All,
    /// Up to, not including, the end.
    Range(usize, usize),
    Index(i64),
    Key(Key),
}

impl Mask {
    /// A mask from paths that are separated by commas, as a FieldMask is written in JSON.
    ///
    /// # Errors
    /// When a path does not fit the message type.
    pub fn parse(root: MessageDescriptor<'_>, text: &str) -> Result<Self, PathError> {
        let paths: Vec<&str> = split_list(text).filter(|path| !path.is_empty()).collect();
        Self::new(root, &paths)
    }

    /// A mask from the paths of a FieldMask.
    ///
    /// # Errors
    /// When a path does not fit the message type.
    pub fn new(root: MessageDescriptor<'_>, paths: &[&str]) -> Result<Self, PathError> {
        let mut mask = Self::empty(root);
        for path in paths {
            if *path == "*" {
                mask.all = true;
                continue;
            }
            mask.add(root, &segments(path, true)?)?;
        }
        mask.finish();
        Ok(mask)
    }

    pub(super) fn empty(root: MessageDescriptor<'_>) -> Self {
        Self {
            schema: root.schema().clone(),
            all: false,
            nodes: vec![Node {
                message: Some(root.index()),
                ..Node::default()
            }],
            incompatible: Vec::new(),
        }
    }

    pub(super) fn note_incompatible(&mut self, field: &str) {
        if !self.incompatible.iter().any(|known| known == field) {
            self.incompatible.push(field.to_owned());
        }
    }

    /// The full names of fields that a narrower type understands differently, so that they are left out.
    pub fn incompatible(&self) -> &[String] {
        &self.incompatible
    }

    fn add(&mut self, root: MessageDescriptor<'_>, segments: &[Segment]) -> Result<(), PathError> {
        let (mut node, mut message) = (0, Some(root));
        for (index, segment) in segments.iter().enumerate() {
            let failed = |kind| PathError {
                segment: crate::path::segment_text(segment),
                index,
                kind,
            };
            let last = index + 1 == segments.len();
            let owner = message.ok_or_else(|| failed(PathErrorKind::NoMessage("a scalar".to_owned())))?;
            let (target, select) =
                selected(owner, &segment.name, segment.selection.as_ref(), last).map_err(failed)?;
            let inner = field(owner, &segment.name).map_err(failed)?;
            message = inner.map_value().unwrap_or(inner).message();
            if !last && message.is_none() {
                let kind = inner.map_value().unwrap_or(inner).kind();
                return Err(failed(PathErrorKind::NoMessage(
                    crate::path::kind_name(kind).to_owned(),
                )));
            }
            node = self.select(node, &target, select, message.filter(|_| !last));
        }
        Ok(())
    }

    /// Adds a selection to a node, and returns the node for what is kept of it.
    fn select(
        &mut self,
        node: u32,
        target: &Target,
        select: Select,
        inner: Option<MessageDescriptor<'_>>,
    ) -> u32 {
        let fresh = self.nodes.len() as u32;
        let child = if inner.is_some() { fresh } else { WHOLE };
        let entry = target.is_map().then(|| target.of_entry(self.schema.tables()));
        let Some(node) = self.nodes.get_mut(node as usize) else {
            return WHOLE;
        };
        let rule = node.rule(target, entry, true);
        let known = rule
            .selections
            .iter()
            .find(|(known, child)| *known == select && (*child == WHOLE) == inner.is_none());
        if let Some((_, child)) = known {
            return *child;
        }
        rule.selections.push((select, child));
        if let Some(inner) = inner {
            self.nodes.push(Node {
                message: Some(inner.index()),
                ..Node::default()
            });
        }
        child
    }

    /// Works out which oneofs are torn and which messages count as one.
    pub(super) fn finish(&mut self) {
        for at in 0..self.nodes.len() {
            let torn = self.nodes.get(at).map(|node| self.torn(node)).unwrap_or_default();
            if let Some(node) = self.nodes.get_mut(at) {
                let bits = node.rules.iter().map(|rule| number_bit(rule.target.number()));
                node.numbers = bits.fold(0, |all, bit| all | bit);
                node.joined = !torn.is_empty() || node.counts();
                node.torn_oneofs = torn;
            }
        }
        loop {
            let joined: Vec<bool> = self.nodes.iter().map(|node| node.joined).collect();
            let mut changed = false;
            for node in &mut self.nodes {
                let inner = node
                    .rules
                    .iter()
                    .filter(|rule| !rule.target.is_list() && !rule.target.is_map());
                let children = inner.flat_map(|rule| &rule.selections);
                let below = children
                    .into_iter()
                    .any(|(_, child)| joined.get(*child as usize) == Some(&true));
                changed |= below && !node.joined;
                node.joined |= below;
            }
            if !changed {
                return;
            }
        }
    }

    fn torn(&self, node: &Node) -> Vec<u16> {
        let tables = self.schema.tables();
        let Some(message) = node.message.map(|index| tables.message(index)) else {
            return Vec::new();
        };
        let mut torn = Vec::new();
        for field in tables
            .fields_of(message)
            .iter()
            .filter(|field| field.entry.oneof != 0)
        {
            let oneof = field.entry.oneof;
            let members = tables
                .fields_of(message)
                .iter()
                .filter(|field| field.entry.oneof == oneof);
            let total = members.clone().count();
            let kept = members.filter(|field| node.find(field.number).is_some()).count();
            if kept > 0 && kept < total && !torn.contains(&oneof) {
                torn.push(oneof);
            }
        }
        torn
    }
}

/// Numbers whose bits differ are different.
#[inline]
pub(super) const fn number_bit(number: u32) -> u64 {
    1 << (number % u64::BITS)
}

impl Node {
    pub(super) fn find(&self, number: u32) -> Option<&Rule> {
        let at = self
            .rules
            .binary_search_by_key(&number, |rule| rule.target.number())
            .ok()?;
        self.rules.get(at)
    }

    /// The rule for a field; made when there is none.
    pub(super) fn rule(
        &mut self,
        target: &Target,
        entry: Option<(Target, Target)>,
        checked: bool,
    ) -> &mut Rule {
        let found = self
            .rules
            .binary_search_by_key(&target.number(), |rule| rule.target.number());
        let at = found.unwrap_or_else(|at| {
            let value = entry.map_or(target.entry.op, |(_, value)| value.entry.op);
            let checked = checked && value == Op::EnumClosed;
            self.rules.insert(
                at,
                Rule {
                    target: *target,
                    entry,
                    checked,
                    selections: Vec::new(),
                },
            );
            at
        });
        &mut self.rules[at]
    }

    fn counts(&self) -> bool {
        self.rules.iter().any(Rule::counts)
    }
}

impl Rule {
    /// Whether elements are counted.
    pub(super) fn counts(&self) -> bool {
        let mut selections = self.selections.iter();
        selections.any(|(select, _)| matches!(select, Select::Range(..) | Select::Index(_)))
    }

    /// Whether elements are counted from the end.
    pub(super) fn counts_back(&self) -> bool {
        let mut selections = self.selections.iter();
        selections.any(|(select, _)| matches!(select, Select::Index(index) if *index < 0))
    }
}

impl Select {
    /// Whether the element at `index` of `total` is selected; the total is not known unless one counts from the end.
    pub(super) fn takes_element(&self, index: usize, total: usize) -> bool {
        match self {
            Self::All => true,
            Self::Range(start, end) => (*start..*end).contains(&index),
            Self::Index(wanted) => match usize::try_from(*wanted) {
                Ok(wanted) => wanted == index,
                Err(_) => total.checked_sub(wanted.unsigned_abs() as usize) == Some(index),
            },
            Self::Key(_) => false,
        }
    }
}

fn selected(
    message: MessageDescriptor<'_>,
    name: &Name,
    selection: Option<&Selection>,
    last: bool,
) -> Result<(Target, Select), PathErrorKind> {
    let field = field(message, name)?;
    let target = field_target(field);
    let repeated = target.is_list() || target.is_map();
    let select = match selection {
        None if target.is_map() && !last => return Err(PathErrorKind::NeedsKey(field.name().to_owned())),
        None => Select::All,
        Some(_) if !repeated => return Err(PathErrorKind::TakesNoSelector),
        Some(Selection::All) => Select::All,
        Some(Selection::Range { .. }) if target.is_map() => return Err(PathErrorKind::SelectsSeveral),
        Some(Selection::Range { start, end }) => Select::Range(*start, end.unwrap_or(usize::MAX)),
        Some(Selection::Key(key)) if target.is_map() => match map_key(field, &target, key)? {
            Selector::Key { key, .. } => Select::Key(key),
            _ => return Err(PathErrorKind::WrongIndex),
        },
        Some(Selection::Key(Key::Int(index))) => Select::Index(*index),
        Some(Selection::Key(_)) => return Err(PathErrorKind::WrongIndex),
    };
    Ok((target, select))
}
