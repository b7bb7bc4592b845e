//! Finds the value that counts: the last of a scalar, all occurrences of a message, one element, one map entry.

use super::parts::{Collected, Parts};
use super::scan::{At, Fault, Field, Fields, Scan, body, find, length};
use super::target::{Target, bits, fixed_width, is_known, packed_count};
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::path::Key;
use crate::schema::tables::{Entry, Op, Tables};
use crate::wire;

/// What lookups may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many more levels may nest.
    pub(crate) depth: u32,
    /// How many elements may be passed by.
    pub(crate) elements: usize,
    /// How much memory merged messages may take, in bytes.
    pub(crate) allocation: usize,
}

impl Bounds {
    #[inline]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            depth: limits.depth,
            elements: limits.elements,
            allocation: limits.allocation,
        }
    }

    /// The bounds one level further down.
    #[inline]
    pub(crate) fn nested(mut self, bytes: &[u8]) -> Scan<Self> {
        match self.depth.checked_sub(1) {
            Some(depth) => self.depth = depth,
            None => return Err(Fault::new(DecodeErrorKind::TooDeep, bytes, 0)),
        }
        Ok(self)
    }
}

/// One message in which to look.
#[derive(Clone, Copy)]
pub(crate) struct Seek<'t, 'p, 'a> {
    pub(crate) tables: &'t Tables,
    pub(crate) parts: &'p Parts<'a>,
    /// The message's type.
    pub(crate) message: u32,
    pub(crate) bounds: Bounds,
}

impl<'a> Seek<'_, '_, 'a> {
    /// Where the value of a singular scalar begins.
    #[inline]
    pub(crate) fn scalar(&self, target: &Target) -> Scan<Option<At<'a>>> {
        if target.entry.oneof != 0 {
            return self.scalar_of_oneof(target);
        }
        let mut found = None;
        for &bytes in self.parts.slices() {
            let mut pos = 0;
            while find(bytes, &mut pos, target.tags(), &mut 0, self.bounds.depth)? {
                let at = At { bytes, pos };
                if is_known(self.tables, &target.entry, at) {
                    found = Some(at);
                }
                self.pass(at, target.tag, &mut pos)?;
            }
        }
        Ok(found)
    }

    #[inline(always)]
    fn pass(&self, at: At<'a>, tag: u32, pos: &mut usize) -> Scan<()> {
        super::scan::skip(at.bytes, pos, tag, self.bounds.depth)
            .map_err(|kind| Fault::new(kind, at.bytes, at.pos))
    }

    fn scalar_of_oneof(&self, target: &Target) -> Scan<Option<At<'a>>> {
        let mut found = None;
        self.members(target, |bytes, field, own| {
            found = own.then_some(At {
                bytes,
                pos: field.value,
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// The occurrences of a singular message.
    #[inline]
    pub(crate) fn message(&self, target: &Target) -> Scan<Option<Parts<'a>>> {
        if target.entry.oneof != 0 {
            return self.message_of_oneof(target);
        }
        if target.type_id.is_some() {
            return self.message_of_set(target);
        }
        let mut found = Collected::default();
        for &bytes in self.parts.slices() {
            let mut pos = 0;
            while find(bytes, &mut pos, target.tags(), &mut 0, self.bounds.depth)? {
                let (slice, next) = body(At { bytes, pos }, target.tag, self.bounds.depth)?;
                self.collect(&mut found, slice)?;
                pos = next;
            }
        }
        Ok(found.finish())
    }

    fn message_of_oneof(&self, target: &Target) -> Scan<Option<Parts<'a>>> {
        let mut found = Collected::default();
        self.members(target, |bytes, field, own| {
            if own {
                return self.collect(&mut found, bytes.get(field.body..field.end).unwrap_or_default());
            }
            found.clear();
            Ok(())
        })?;
        Ok(found.finish())
    }

    #[inline(always)]
    pub(super) fn collect(&self, found: &mut Collected<'a>, slice: &'a [u8]) -> Scan<()> {
        found.push(slice);
        if found.len() > 1 && found.len() > self.bounds.allocation / size_of::<&[u8]>() {
            return Err(Fault::new(DecodeErrorKind::AllocationLimit, slice, 0));
        }
        Ok(())
    }

    /// Calls `event` for each occurrence of a member of the target's oneof, and says whether it is the target itself.
    pub(crate) fn members(
        &self,
        target: &Target,
        mut event: impl FnMut(&'a [u8], &Field, bool) -> Scan<()>,
    ) -> Scan<()> {
        let table = self.tables.message(self.message);
        for &bytes in self.parts.slices() {
            let mut fields = Fields::new(bytes, self.bounds.depth);
            while let Some(field) = fields.next()? {
                let own = field.tag == target.tag;
                let entry = if own {
                    target.entry
                } else {
                    table.entry(field.number())
                };
                let at = At {
                    bytes,
                    pos: field.value,
                };
                if entry.oneof == target.entry.oneof
                    && entry.tag == field.tag
                    && is_known(self.tables, &entry, at)
                {
                    event(bytes, &field, own)?;
                }
            }
        }
        Ok(())
    }

    /// Where element `index` of a list begins.
    pub(crate) fn element(&self, target: &Target, index: usize) -> Scan<Option<At<'a>>> {
        let mut remaining = index;
        for &bytes in self.parts.slices() {
            if index >= self.bounds.elements {
                return Err(Fault::new(DecodeErrorKind::TooManyElements, bytes, 0));
            }
            let found = if target.tag == target.packed_tag {
                self.unpacked_element(bytes, target, &mut remaining)?
            } else {
                self.packable_element(bytes, target, &mut remaining)?
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    #[inline]
    fn unpacked_element(
        &self,
        bytes: &'a [u8],
        target: &Target,
        remaining: &mut usize,
    ) -> Scan<Option<At<'a>>> {
        let mut pos = 0;
        let found = find(bytes, &mut pos, target.tags(), remaining, self.bounds.depth)?;
        Ok(found.then_some(At { bytes, pos }))
    }

    fn packable_element(
        &self,
        bytes: &'a [u8],
        target: &Target,
        remaining: &mut usize,
    ) -> Scan<Option<At<'a>>> {
        let mut fields = Fields::new(bytes, self.bounds.depth);
        while let Some(field) = fields.next()? {
            if !target.takes(field.tag) {
                continue;
            }
            if target.is_packed(field.tag) {
                let run = bytes.get(field.body..field.end).unwrap_or_default();
                if let Some(at) = self.element_of_run(target, run, remaining)? {
                    return Ok(Some(at));
                }
                continue;
            }
            let at = At {
                bytes,
                pos: field.value,
            };
            if is_known(self.tables, &target.entry, at) {
                let Some(less) = remaining.checked_sub(1) else {
                    return Ok(Some(at));
                };
                *remaining = less;
            }
        }
        Ok(None)
    }

    pub(crate) fn element_of_run(
        &self,
        target: &Target,
        run: &'a [u8],
        remaining: &mut usize,
    ) -> Scan<Option<At<'a>>> {
        let op = target.entry.op;
        if op != Op::EnumClosed {
            let count = packed_count(op, run);
            if *remaining >= count {
                *remaining -= count;
                return Ok(None);
            }
            if let Some(width) = fixed_width(op) {
                let pos = *remaining * width;
                return Ok(Some(At { bytes: run, pos }));
            }
        }
        let mut pos = 0;
        while pos < run.len() {
            let at = At { bytes: run, pos };
            if is_known(self.tables, &target.entry, at) {
                let Some(less) = remaining.checked_sub(1) else {
                    return Ok(Some(at));
                };
                *remaining = less;
            }
            wire::varint(run, &mut pos).map_err(|kind| Fault::new(kind, run, at.pos))?;
        }
        Ok(None)
    }

    /// How many elements a list has.
    pub(crate) fn count(&self, target: &Target) -> Scan<usize> {
        let mut count = 0usize;
        for &bytes in self.parts.slices() {
            let mut fields = Fields::new(bytes, self.bounds.depth);
            while let Some(field) = fields.next()? {
                if !target.takes(field.tag) {
                    continue;
                }
                count += count_of(self.tables, target, bytes, &field)?;
                if count > self.bounds.elements {
                    return Err(Fault::new(DecodeErrorKind::TooManyElements, bytes, field.start));
                }
            }
        }
        Ok(count)
    }

    /// The entry that counts for this key: the last one.
    pub(crate) fn entry(&self, target: &Target, key: &Key) -> Scan<Option<&'a [u8]>> {
        let (key_target, value_target) = target.of_entry(self.tables);
        let mut found = None;
        for &bytes in self.parts.slices() {
            let (mut pos, mut seen) = (0, 0usize);
            while find(bytes, &mut pos, target.tags(), &mut 0, self.bounds.depth)? {
                let (slice, next) = body(At { bytes, pos }, target.tag, self.bounds.depth)?;
                seen += 1;
                if seen > self.bounds.elements {
                    return Err(Fault::new(DecodeErrorKind::TooManyElements, bytes, pos));
                }
                if key_of(&key_target, slice, self.bounds.depth)?.is(key)
                    && self.is_entry(&value_target, slice)?
                {
                    found = Some(slice);
                }
                pos = next;
            }
        }
        Ok(found)
    }

    /// Whether an entry counts: one whose value a closed enum does not name is an unknown field.
    pub(crate) fn is_entry(&self, value: &Target, entry: &[u8]) -> Scan<bool> {
        is_entry(self.tables, value, entry, self.bounds.depth)
    }
}

/// How many elements stand in one occurrence of a list.
pub(crate) fn count_of(tables: &Tables, target: &Target, bytes: &[u8], field: &Field) -> Scan<usize> {
    let op = target.entry.op;
    if !target.is_packed(field.tag) {
        let at = At {
            bytes,
            pos: field.value,
        };
        return Ok(usize::from(is_known(tables, &target.entry, at)));
    }
    let run = bytes.get(field.body..field.end).unwrap_or_default();
    if op != Op::EnumClosed {
        return Ok(packed_count(op, run));
    }
    let (mut pos, mut count) = (0, 0);
    while pos < run.len() {
        count += usize::from(is_known(tables, &target.entry, At { bytes: run, pos }));
        wire::varint(run, &mut pos).map_err(|kind| Fault::new(kind, run, pos))?;
    }
    Ok(count)
}

pub(crate) fn is_entry(tables: &Tables, value: &Target, entry: &[u8], depth: u32) -> Scan<bool> {
    if value.entry.op != Op::EnumClosed {
        return Ok(true);
    }
    // The last value counts; the first of a closed enum when there is none.
    let mut fields = Fields::new(entry, depth);
    let mut known = true;
    while let Some(field) = fields.next()? {
        if field.tag == value.tag {
            known = is_known(
                tables,
                &value.entry,
                At {
                    bytes: entry,
                    pos: field.value,
                },
            );
        }
    }
    Ok(known)
}

/// A key as it stands in a map entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum WireKey<'a> {
    Bits(u64),
    Text(&'a [u8]),
}

impl WireKey<'_> {
    #[inline]
    pub(crate) fn is(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::Text(text), Key::String(wanted)) => *text == wanted.as_bytes(),
            (Self::Bits(bits), Key::Bool(wanted)) => *bits == u64::from(*wanted),
            (Self::Bits(bits), Key::Int(wanted)) => *bits == *wanted as u64,
            (Self::Bits(bits), Key::Uint(wanted)) => bits == wanted,
            _ => false,
        }
    }
}

/// The key of a map entry: the last, or zero when there is none.
#[inline]
pub(crate) fn key_of<'a>(key: &Target, entry: &'a [u8], depth: u32) -> Scan<WireKey<'a>> {
    let op = key.entry.op;
    let mut found = if op == Op::String {
        WireKey::Text(&[])
    } else {
        WireKey::Bits(0)
    };
    let mut pos = 0;
    while find(entry, &mut pos, key.tags(), &mut 0, depth)? {
        let start = pos;
        let fault = |kind| Fault::new(kind, entry, start);
        if op == Op::String {
            let length = length(entry, &mut pos).map_err(fault)?;
            found = WireKey::Text(entry.get(pos..pos + length).unwrap_or_default());
            pos += length;
        } else {
            found = WireKey::Bits(bits(op, entry, &mut pos).map_err(fault)?);
        }
    }
    Ok(found)
}

/// Whether a scalar of this field at `at` is as good as none: a zero where presence is implicit.
#[inline]
pub(crate) fn is_implied(entry: &Entry, at: At<'_>) -> bool {
    if !entry.is(Entry::IMPLICIT) {
        return false;
    }
    let mut pos = at.pos;
    match entry.op {
        Op::String | Op::Bytes => length(at.bytes, &mut pos) == Ok(0),
        op => bits(op, at.bytes, &mut pos) == Ok(0),
    }
}

/// Whether an occurrence of a list or map has anything that counts.
pub(crate) fn counts(
    tables: &Tables,
    target: &Target,
    bytes: &[u8],
    field: &Field,
    depth: u32,
) -> Scan<bool> {
    if target.is_map() {
        let (_, value) = target.of_entry(tables);
        return is_entry(
            tables,
            &value,
            bytes.get(field.body..field.end).unwrap_or_default(),
            depth,
        );
    }
    Ok(count_of(tables, target, bytes, field)? > 0)
}
