//! Writes what is missing on the way to an edit: messages and map entries that the message does not have.

use super::Change;
use super::apply::Apply;
use super::error::EditError;
use super::place::{Place, scalar};
use super::tree::Node;
use super::value::{NewValue, wrap};
use crate::error::DecodeErrorKind;
use crate::path::{Selector, Step};
use crate::view::scan::Fault;
use crate::view::target::Target;

impl Apply<'_, '_> {
    /// Writes the field of a node to the scratch, as if the message had none of it.
    pub(super) fn build_node(&mut self, node: &Node, depth: u32) -> Result<(), EditError> {
        let Some(step) = node.step(self.edits) else {
            return Ok(());
        };
        if !node.creates {
            return Ok(());
        }
        let place = Place {
            node: *node,
            parts: 0..0,
            frames: usize::MAX,
            depth,
        };
        let leaf = node.leaf.and_then(|leaf| self.edits.get(leaf as usize));
        match (leaf, &step.selector) {
            (_, Selector::Index(_)) => Err(self.out_of_range(&place, 0)),
            (Some(edit), _) => self.build_leaf(&place, step, &edit.change),
            (None, Selector::Whole) => self.build_message(&step.target, node.child, depth),
            (
                None,
                Selector::Key {
                    key,
                    key_target,
                    value,
                },
            ) => {
                let start = self.plan.scratch.len();
                let writer = self.writer(depth);
                let key = NewValue::Scalar(scalar(key));
                let written = writer.field(&mut self.plan.scratch, key_target, &key);
                written.map_err(|misfit| misfit.at(node.path(self.edits)))?;
                self.build_message(value, node.child, depth)?;
                wrap(&mut self.plan.scratch, start, &step.target);
                Ok(())
            }
        }
    }

    fn build_leaf(&mut self, place: &Place, step: &Step, change: &Change<'_>) -> Result<(), EditError> {
        match change {
            Change::Set(value) => self.build_value(place, step, value),
            Change::Append(values) | Change::Insert(0, values) if step.target.is_list() => {
                self.put_list(place, step, values, false)
            }
            Change::Insert(..) if step.target.is_list() => Err(self.out_of_range(place, 0)),
            Change::Remove | Change::Keep(_) => Ok(()),
            change => Err(self.wrong_change(place, change)),
        }
    }

    /// Writes a message that has only what the nodes from `first` on make.
    pub(super) fn build_message(&mut self, target: &Target, first: u32, depth: u32) -> Result<(), EditError> {
        let node = self.tree.node(first).copied();
        let depth = depth.checked_sub(1).ok_or_else(|| {
            let fault = Fault::new(DecodeErrorKind::TooDeep, self.bytes, 0);
            match &node {
                Some(node) => self.locate_node(node, fault),
                None => EditError::Decode(fault.error(self.bytes.as_ptr().addr())),
            }
        })?;
        let start = self.plan.scratch.len();
        let mut next = node;
        while let Some(node) = next {
            self.build_node(&node, depth)?;
            next = self.tree.node(node.next).copied();
        }
        wrap(&mut self.plan.scratch, start, target);
        Ok(())
    }
}
