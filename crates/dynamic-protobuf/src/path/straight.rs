//! The walk that most messages need: what a path leads through stands there once, in one piece. Whatever is out of the
//! ordinary, errors among it, is left to the walk that knows everything.

use super::{Selector, Step};
use crate::Schema;
use crate::limits::Limits;
use crate::schema::tables::{MessageTable, Op};
use crate::view::pass::{length, skip, tag};
use crate::view::scan::At;
use crate::view::seek::{Bounds, is_implied};
use crate::view::target::{Target, is_known};
use crate::view::{Context, Value};
use crate::wire::WireType;

const LEN: u32 = WireType::Len as u32;

/// A path whose steps are fields with a single value and elements counted from the front.
#[derive(Clone, Debug)]
pub(super) struct Straight {
    way: Box<[Hop]>,
    last: Hop,
    target: Target,
    /// What the limits leave at the last step.
    bounds: Bounds,
}

/// What a step comes down to on the wire.
#[derive(Clone, Copy, Debug)]
struct Hop {
    tag: u32,
    take: Take,
    /// The message that has the field.
    message: u32,
}

#[derive(Clone, Copy, Debug)]
enum Take {
    Only,
    /// Unless another member of this oneof comes after it.
    OnlyOf(u16),
    Element(usize),
}

impl Straight {
    /// `None` when the path or its limits ask for more.
    pub(super) fn new(steps: &[Step], limits: &Limits) -> Option<Self> {
        let (last, way) = steps.split_last()?;
        let mut bounds = Bounds::new(limits);
        bounds.depth = bounds.depth.checked_sub(u32::try_from(steps.len()).ok()?)? + 1;
        let is_plain = |hop: &Hop| hop.tag & 7 == LEN;
        Some(Self {
            way: way
                .iter()
                .map(|step| hop(step, limits).filter(is_plain))
                .collect::<Option<_>>()?,
            last: hop(last, limits)?,
            target: last.target,
            bounds,
        })
    }

    /// The value at the path's end. The outer `None` says that the message is not so simple.
    #[inline]
    pub(super) fn get<'s, 'a>(&self, schema: &'s Schema, bytes: &'a [u8]) -> Option<Option<Value<'s, 'a>>> {
        let Some(at) = self.find(schema, bytes)? else {
            return Some(None);
        };
        let context = Context {
            schema,
            base: bytes.as_ptr().addr(),
            bounds: self.bounds,
        };
        if !is_known(schema.tables(), &self.target.entry, at) {
            return None;
        }
        if is_implied(&self.target.entry, at) {
            return Some(None);
        }
        context.read(&self.target, at).ok().map(Some)
    }

    fn find<'a>(&self, schema: &Schema, mut bytes: &'a [u8]) -> Option<Option<At<'a>>> {
        for hop in &self.way {
            let Some(mut pos) = hop.find(schema, bytes)? else {
                return Some(None);
            };
            let length = length(bytes, &mut pos)?;
            bytes = bytes.get(pos..)?.get(..length)?;
        }
        let pos = self.last.find(schema, bytes)?;
        Some(pos.map(|pos| At { bytes, pos }))
    }
}

fn hop(step: &Step, limits: &Limits) -> Option<Hop> {
    let target = &step.target;
    let is_simple =
        target.tag == target.packed_tag && target.type_id.is_none() && target.entry.op != Op::Group;
    let take = match step.selector {
        _ if !is_simple => return None,
        Selector::Whole if target.is_list() || target.is_map() => return None,
        Selector::Whole if target.entry.oneof != 0 => Take::OnlyOf(target.entry.oneof),
        Selector::Whole => Take::Only,
        Selector::Index(index) => Take::Element(
            usize::try_from(index)
                .ok()
                .filter(|index| *index < limits.elements)?,
        ),
        Selector::Key { .. } => return None,
    };
    Some(Hop {
        tag: target.tag,
        take,
        message: step.message,
    })
}

impl Hop {
    /// Where what stands behind the tag of the occurrence that counts begins.
    #[inline]
    fn find(&self, schema: &Schema, bytes: &[u8]) -> Option<Option<usize>> {
        match self.take {
            Take::Only if self.tag & 7 == LEN => only(bytes, self.tag),
            Take::Only => last(bytes, self.tag),
            Take::OnlyOf(oneof) => only_of(bytes, self.tag, oneof, schema.tables().message(self.message)),
            Take::Element(index) => element(bytes, self.tag, index),
        }
    }
}

#[inline]
fn only(bytes: &[u8], wanted: u32) -> Option<Option<usize>> {
    let (mut pos, mut found) = (0, None);
    while pos < bytes.len() {
        let tag = tag(bytes, &mut pos)?;
        if tag == wanted && found.replace(pos).is_some() {
            return None;
        }
        skip(bytes, &mut pos, tag)?;
    }
    (pos == bytes.len()).then_some(found)
}

#[inline]
fn last(bytes: &[u8], wanted: u32) -> Option<Option<usize>> {
    let (mut pos, mut found) = (0, None);
    while pos < bytes.len() {
        let tag = tag(bytes, &mut pos)?;
        if tag == wanted {
            found = Some(pos);
        }
        skip(bytes, &mut pos, tag)?;
    }
    (pos == bytes.len()).then_some(found)
}

#[inline]
fn only_of(bytes: &[u8], wanted: u32, oneof: u16, table: &MessageTable) -> Option<Option<usize>> {
    let (mut pos, mut found) = (0, None);
    while pos < bytes.len() {
        let tag = tag(bytes, &mut pos)?;
        if found.is_some() && table.entry_ref(tag >> 3).oneof == oneof {
            return None;
        }
        if tag == wanted {
            found = Some(pos);
        }
        skip(bytes, &mut pos, tag)?;
    }
    (pos == bytes.len()).then_some(found)
}

#[inline]
fn element(bytes: &[u8], wanted: u32, mut remaining: usize) -> Option<Option<usize>> {
    let mut pos = 0;
    while pos < bytes.len() {
        let tag = tag(bytes, &mut pos)?;
        if tag == wanted {
            if remaining == 0 {
                return Some(Some(pos));
            }
            remaining -= 1;
        }
        skip(bytes, &mut pos, tag)?;
    }
    (pos == bytes.len()).then_some(None)
}
