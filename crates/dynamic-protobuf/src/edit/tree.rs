//! The tree that the paths of several edits make, so that one walk over a message finds all their places.

use super::{Change, Edit};
use crate::path::{Selector, Step};

/// The end of a list of nodes.
pub(super) const NONE: u32 = u32::MAX;

/// A step that one or more edits have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// An edit that has the step, and where in its path.
    edit: u32,
    step: u32,
    /// The first node below, and the next one beside.
    pub(super) child: u32,
    pub(super) next: u32,
    /// The edit that ends here.
    pub(super) leaf: Option<u32>,
    /// Whether an edit here or below makes what is missing.
    pub(super) creates: bool,
    /// How many elements were passed by; `None` when the element was found or cannot be.
    pub(super) remaining: Option<usize>,
}

/// Nodes whose storage is used again and again.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    pub(super) root: u32,
}

impl Tree {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.root = NONE;
    }

    pub(super) fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    pub(super) fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(index as usize)
    }

    /// The nodes from `first` on, side by side.
    pub(super) fn siblings(&self, first: u32) -> impl Iterator<Item = (u32, &Node)> {
        let mut index = first;
        std::iter::from_fn(move || {
            let node = self.node(index)?;
            let found = (index, node);
            index = node.next;
            Some(found)
        })
    }

    /// Puts edit `index` into the tree. `false` when it has to wait until those in the tree are made, because it depends
    /// on what they leave.
    pub(super) fn insert(&mut self, edits: &[Edit<'_>], index: usize) -> bool {
        let Some(edit) = edits.get(index) else {
            return true;
        };
        if !self.takes(edits, edit) {
            return false;
        }
        let (mut parent, mut level) = (NONE, self.root);
        let creates = edit.change.creates();
        for (at, step) in edit.path.steps.iter().enumerate() {
            let found = self.find(edits, level, step);
            let node = found.unwrap_or_else(|| self.push(index, at, parent));
            let last = at + 1 == edit.path.steps.len();
            if let Some(node) = self.node_mut(node) {
                node.creates |= creates;
                if last {
                    node.leaf = Some(index as u32);
                }
                level = node.child;
            }
            parent = node;
        }
        true
    }

    fn find(&self, edits: &[Edit<'_>], level: u32, step: &Step) -> Option<u32> {
        self.siblings(level)
            .find(|(_, node)| node.step(edits).is_some_and(|other| is_same(other, step)))
            .map(|(index, _)| index)
    }

    /// New nodes come first among their siblings; their order does not matter.
    fn push(&mut self, edit: usize, step: usize, parent: u32) -> u32 {
        let index = self.nodes.len() as u32;
        let first = match self.node_mut(parent) {
            Some(parent) => std::mem::replace(&mut parent.child, index),
            None => std::mem::replace(&mut self.root, index),
        };
        self.nodes.push(Node {
            edit: edit as u32,
            step: step as u32,
            child: NONE,
            next: first,
            leaf: None,
            creates: false,
            remaining: None,
        });
        index
    }

    fn takes(&self, edits: &[Edit<'_>], edit: &Edit<'_>) -> bool {
        let mut level = self.root;
        for (at, step) in edit.path.steps.iter().enumerate() {
            let last = at + 1 == edit.path.steps.len();
            let shifts = last && edit.change.shifts();
            let mut found = None;
            for (_, node) in self.siblings(level) {
                let Some(other) = node.step(edits) else {
                    continue;
                };
                if is_same(other, step) {
                    found = Some(node);
                } else if depend(other, step, shifts || node.shifts(edits)) {
                    return false;
                }
            }
            match found {
                None => level = NONE,
                Some(node) if node.leaf.is_some() || last => return false,
                Some(node) => level = node.child,
            }
        }
        true
    }
}

impl Node {
    pub(super) fn step<'e>(&self, edits: &[Edit<'e>]) -> Option<&'e Step> {
        edits.get(self.edit as usize)?.path.steps.get(self.step as usize)
    }

    /// The path that leads here or further.
    pub(super) fn path<'e>(&self, edits: &[Edit<'e>]) -> &'e str {
        edits
            .get(self.edit as usize)
            .map_or("", |edit| edit.path.as_str())
    }

    /// The steps that lead here.
    pub(super) fn way<'e>(&self, edits: &[Edit<'e>]) -> &'e [Step] {
        let path = edits.get(self.edit as usize).map(|edit| edit.path);
        path.and_then(|path| path.steps.get(..=self.step as usize))
            .unwrap_or_default()
    }

    fn shifts(&self, edits: &[Edit<'_>]) -> bool {
        let leaf = self.leaf.and_then(|leaf| edits.get(leaf as usize));
        leaf.is_some_and(|edit| edit.change.shifts())
    }
}

impl Change<'_> {
    /// Whether it makes the messages on the way to it when they are missing.
    pub(super) const fn creates(&self) -> bool {
        matches!(self, Self::Set(_) | Self::Append(_) | Self::Insert(..))
    }

    /// Whether elements behind it get another index.
    const fn shifts(&self) -> bool {
        !matches!(self, Self::Set(_))
    }
}

fn is_same(one: &Step, other: &Step) -> bool {
    one.target.field == other.target.field && one.selector == other.selector
}

/// Whether an edit at one of two different steps of a message may change what the other means.
fn depend(one: &Step, other: &Step, shifts: bool) -> bool {
    if one.target.field != other.target.field {
        let oneof = one.target.entry.oneof;
        return oneof != 0 && oneof == other.target.entry.oneof;
    }
    match (&one.selector, &other.selector) {
        (Selector::Key { .. }, Selector::Key { .. }) => false,
        (Selector::Index(one), Selector::Index(other)) => shifts || *one < 0 || *other < 0,
        _ => true,
    }
}
