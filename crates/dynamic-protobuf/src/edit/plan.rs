//! What is to change in a message: byte ranges and their replacements, and the lengths around them.

use super::error::EditError;
use crate::limits::Limits;
use crate::view::scan::Field;
use crate::wire::{MAX_MESSAGE_BYTES, put_varint, varint_len};
use std::cmp::Reverse;
use std::ops::Range;

/// The frame of what stands in no frame: the message itself.
pub(super) const ROOT: u32 = u32::MAX;

/// Everything is kept between uses, so that in steady state nothing is allocated.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Enclosing ones come before those they enclose.
    frames: Vec<Frame>,
    splices: Vec<Splice>,
    /// The replacements, one after the other.
    pub(super) scratch: Vec<u8>,
    delta: isize,
}

/// A state of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    frames: usize,
    splices: usize,
}

/// A message, group, map entry or packed list whose length may change.
#[derive(Clone, Copy, Debug)]
struct Frame {
    parent: u32,
    /// How many frames are around it.
    depth: u32,
    /// Where its length stands; empty for groups.
    length: (usize, usize),
    /// The splice that repairs its length. It is made beforehand, so that splices mostly come in order.
    repair: usize,
    len: usize,
    delta: isize,
}

/// A byte range of the input, and what comes in its stead.
#[derive(Clone, Copy, Debug)]
struct Splice {
    start: usize,
    end: usize,
    depth: u32,
    order: u32,
    /// Into the scratch.
    data: (usize, usize),
}

impl Plan {
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.splices.clear();
        self.scratch.clear();
        self.delta = 0;
    }

    /// Opens a frame around the payload of `field`, inside frame `parent`.
    pub(super) fn frame(&mut self, parent: u32, field: &Field) -> u32 {
        let depth = self
            .frames
            .get(parent as usize)
            .map_or(0, |parent| parent.depth + 1);
        let length = (field.value, field.body);
        let repair = self.splices.len();
        if field.body > field.value {
            self.splices.push(Splice {
                start: field.value,
                end: field.value,
                depth,
                order: repair as u32,
                data: (0, 0),
            });
        }
        self.frames.push(Frame {
            parent,
            depth,
            length,
            repair,
            len: field.end - field.body,
            delta: 0,
        });
        self.frames.len() as u32 - 1
    }

    /// The frame around the payload of `field`, if one of those since `first` is.
    pub(super) fn frame_again(&mut self, first: usize, parent: u32, field: &Field) -> u32 {
        let since = self.frames.get(first..).unwrap_or_default();
        let same = since
            .iter()
            .rposition(|frame| frame.length == (field.value, field.body) && frame.parent == parent);
        same.map_or_else(|| self.frame(parent, field), |at| (first + at) as u32)
    }

    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }

    /// What is planned so far, for [`Plan::rollback`].
    pub(super) fn mark(&self) -> Mark {
        Mark {
            frames: self.frames.len(),
            splices: self.splices.len(),
        }
    }

    /// Forgets frames that were opened since `mark`, and splices in them; there must be none outside of them.
    pub(super) fn rollback(&mut self, mark: Mark) {
        self.frames.truncate(mark.frames);
        self.splices.truncate(mark.splices);
    }

    /// Takes `range` out of `frame`.
    pub(super) fn remove(&mut self, frame: u32, range: Range<usize>) {
        let at = self.scratch.len();
        self.splice(frame, range, at);
    }

    /// Puts what the scratch holds since `from` in the place of `range`, which is inside `frame`.
    pub(super) fn splice(&mut self, frame: u32, range: Range<usize>, from: usize) {
        let data = (from, self.scratch.len());
        let delta = (data.1 - data.0) as isize - range.len() as isize;
        let depth = match self.frames.get_mut(frame as usize) {
            Some(frame) => {
                frame.delta += delta;
                frame.depth + 1
            }
            None => {
                self.delta += delta;
                0
            }
        };
        if let Some(last) = self.splices.last_mut()
            && last.end == range.start
            && last.depth == depth
            && last.end > last.start
            && last.data.0 == last.data.1
            && data.0 == data.1
        {
            last.end = range.end;
            return;
        }
        self.splices.push(Splice {
            start: range.start,
            end: range.end,
            depth,
            order: self.splices.len() as u32,
            data,
        });
    }

    /// How much memory the plan holds, in bytes.
    pub(super) fn held(&self) -> usize {
        self.frames.len() * size_of::<Frame>() + self.splices.len() * size_of::<Splice>() + self.scratch.len()
    }

    /// Writes `input` as planned.
    pub(super) fn emit(&mut self, input: &[u8], out: &mut Vec<u8>, limits: &Limits) -> Result<(), EditError> {
        out.clear();
        self.repair_lengths();
        let bytes = input.len().saturating_add_signed(self.delta);
        let limit = limits.bytes.min(MAX_MESSAGE_BYTES);
        if bytes > limit {
            return Err(EditError::TooLarge { bytes, limit });
        }
        // What is inserted at one place: the innermost first, as its message ends there; what replaces bytes comes last.
        let key = |splice: &Splice| {
            let replaces = splice.end > splice.start;
            (splice.start, replaces, Reverse(splice.depth), splice.order)
        };
        if !self.splices.is_sorted_by_key(key) {
            self.splices.sort_unstable_by_key(key);
        }
        out.reserve(bytes);
        let mut pos = 0;
        for splice in &self.splices {
            if splice.end == splice.start && splice.data.0 == splice.data.1 {
                continue;
            }
            out.extend_from_slice(input.get(pos..splice.start).unwrap_or_default());
            out.extend_from_slice(self.scratch.get(splice.data.0..splice.data.1).unwrap_or_default());
            pos = splice.end;
        }
        out.extend_from_slice(input.get(pos..).unwrap_or_default());
        Ok(())
    }

    /// Innermost first, because a length that takes more bytes changes those around it.
    fn repair_lengths(&mut self) {
        for index in (0..self.frames.len()).rev() {
            let Some(frame) = self.frames.get(index).copied().filter(|frame| frame.delta != 0) else {
                continue;
            };
            let (at, end) = frame.length;
            let mut delta = frame.delta;
            if end > at {
                let len = frame.len.saturating_add_signed(delta) as u64;
                delta += varint_len(len) as isize - (end - at) as isize;
                let from = self.scratch.len();
                put_varint(&mut self.scratch, len);
                if let Some(splice) = self.splices.get_mut(frame.repair) {
                    splice.end = end;
                    splice.data = (from, self.scratch.len());
                }
            }
            match self.frames.get_mut(frame.parent as usize) {
                Some(parent) => parent.delta += delta,
                None => self.delta += delta,
            }
        }
    }
}
