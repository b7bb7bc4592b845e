//! Packed lists: fixed-width elements and one-byte varints stay where they are in the source, longer varints are unpacked.

use super::super::arena::{Arena, List};
use super::scalar::{from_varint, op_wire_type};
use super::{Decoder, Frame, Next};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{Entry, MessageTable, Op};
use crate::wire::{self, WireType};

impl Decoder<'_> {
    /// Reads a packed run whose tag is past.
    pub(super) fn packed(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        pos: usize,
    ) -> Next {
        let read = self.packed_run(table, entry, frame, input, pos);
        read.map_err(|stopped| match stopped {
            Stopped::Kind(kind) => self.failed(table, entry, kind, pos),
            Stopped::Error(error) => error,
        })
    }

    fn packed_run(
        &mut self,
        table: &MessageTable,
        entry: &Entry,
        frame: Frame,
        input: &[u8],
        mut pos: usize,
    ) -> Result<usize, Stopped> {
        let run = wire::read_bytes(input, &mut pos)?;
        if !complete(entry.op, run)? {
            self.arena.touch(frame.node);
            return Ok(pos);
        }
        let list_at = frame.node + table.slots_at + u32::from(entry.slot);
        if self.arena.set_has(frame.node, u32::from(entry.slot)) {
            self.arena.touch(frame.node);
            unalias(self.arena, entry.op, list_at, input)?;
            self.append(entry, frame, run, list_at)?;
        } else if entry.is(Entry::PACKED) && stays(entry.op, run) {
            // Elements one by one may follow where they are what the schema asks for, and those have to find a list that grows.
            let list = List {
                at: (pos - run.len()) as u32,
                len: (run.len() / aliased_width(entry.op)) as u32,
                aliased: true,
            };
            let list = self.count(list)?;
            self.arena.set_word(list_at, list.to_word());
        } else if entry.op == Op::EnumClosed || op_wire_type(entry.op) != WireType::Varint {
            self.arena.set_word(list_at, 0);
            self.append(entry, frame, run, list_at)?;
        } else {
            let header = self.arena.begin_list()?;
            if !self.push_varints(entry.op, run)? {
                self.arena.touch(frame.node);
            }
            let list = self.arena.end_list(header)?;
            let list = self.count(list)?;
            self.arena.set_word(list_at, list.to_word());
        }
        Ok(pos)
    }

    /// Pushes the numbers of a run; whether they are written in the shortest way.
    fn push_varints(&mut self, op: Op, run: &[u8]) -> Result<bool, DecodeErrorKind> {
        match op {
            Op::Int32 | Op::EnumOpen => self.push_varints_as(Op::Int32, run),
            Op::Varint64 => self.push_varints_as(Op::Varint64, run),
            op => self.push_varints_as(op, run),
        }
    }

    #[inline(always)]
    fn push_varints_as(&mut self, op: Op, run: &[u8]) -> Result<bool, DecodeErrorKind> {
        let (mut pos, mut regular) = (0, true);
        while let Some(&byte) = run.get(pos) {
            let start = pos;
            let raw = if byte < 0x80 {
                pos += 1;
                u64::from(byte)
            } else {
                let raw = wire::varint(run, &mut pos)?;
                regular &= pos - start == wire::varint_len(raw);
                raw
            };
            let (value, written) = from_varint(op, raw);
            regular &= raw == written;
            self.arena.push(value)?;
        }
        Ok(regular)
    }

    /// Appends a run to a list that is in the arena.
    fn append(&mut self, entry: &Entry, frame: Frame, run: &[u8], list_at: u32) -> Result<(), Stopped> {
        let count = count(entry.op, run);
        self.elements = self
            .elements
            .checked_sub(count)
            .ok_or(DecodeErrorKind::TooManyElements)?;
        let regular = self.unpack(entry, frame, run, list_at, count)?;
        if List::from_word(self.arena.word(list_at)).len == 0 {
            self.arena.clear_has(frame.node, u32::from(entry.slot));
        }
        if !regular {
            self.arena.touch(frame.node);
        }
        Ok(())
    }

    /// Reads the elements of a run into the arena; whether they are written in the shortest way.
    fn unpack(
        &mut self,
        entry: &Entry,
        frame: Frame,
        run: &[u8],
        list_at: u32,
        count: usize,
    ) -> Result<bool, Stopped> {
        if self.arena.word(list_at) == 0 && entry.op != Op::EnumClosed {
            let list = self.arena.new_list(count)?;
            self.arena.set_word(list_at, list.to_word());
            return Ok(unpack_into(entry.op, run, self.arena.slice_mut(list.at, count))?);
        }
        let base = self.scratch.len();
        if base + count > self.most_scratch {
            return Err(DecodeErrorKind::AllocationLimit.into());
        }
        self.scratch.resize(base + count, 0);
        let mut regular = unpack_into(entry.op, run, self.scratch.get_mut(base..).unwrap_or_default())?;
        if entry.op == Op::EnumClosed {
            regular &= self.take_out_unknown(entry, frame, base)?;
        }
        let elements = self.scratch.get(base..).unwrap_or_default();
        self.arena.extend_list(list_at, elements, 1)?;
        self.scratch.truncate(base);
        Ok(regular)
    }

    /// Moves the numbers since `base` that the closed enum does not know to the unknown fields; whether there were none.
    fn take_out_unknown(&mut self, entry: &Entry, frame: Frame, base: usize) -> Result<bool, Stopped> {
        let mut kept = base;
        for at in base..self.scratch.len() {
            let number = self.scratch[at];
            if self.knows(entry, number) {
                self.scratch[kept] = number;
                kept += 1;
            } else {
                let tag = wire::tag(entry.tag >> 3, WireType::Varint);
                self.unknown_number(frame, tag, number).map_err(Stopped::Error)?;
            }
        }
        let all = kept == self.scratch.len();
        self.scratch.truncate(kept);
        Ok(all)
    }
}

/// Makes a list that stands in the source one that can change and grow.
pub(in crate::message) fn unalias(
    arena: &mut Arena,
    op: Op,
    list_at: u32,
    source: &[u8],
) -> Result<(), DecodeErrorKind> {
    let list = List::from_word(arena.word(list_at));
    if !list.aliased {
        return Ok(());
    }
    let (start, len) = (list.at as usize, list.len as usize);
    let run = source
        .get(start..start + len * aliased_width(op))
        .unwrap_or_default();
    let copy = arena.new_list(len)?;
    unpack_into(op, run, arena.slice_mut(copy.at, len))?;
    arena.set_word(list_at, copy.to_word());
    Ok(())
}

/// Why reading a run stopped: either it is said already where, or not yet.
enum Stopped {
    Kind(DecodeErrorKind),
    Error(DecodeError),
}

impl From<DecodeErrorKind> for Stopped {
    fn from(kind: DecodeErrorKind) -> Self {
        Self::Kind(kind)
    }
}

/// Whether a run has elements; an error when it ends inside one.
#[inline(always)]
fn complete(op: Op, run: &[u8]) -> Result<bool, DecodeErrorKind> {
    let whole = match op_wire_type(op) {
        WireType::I32 => run.len().is_multiple_of(4),
        WireType::I64 => run.len().is_multiple_of(8),
        _ => run.last().is_none_or(|byte| *byte < 0x80),
    };
    if !whole {
        return Err(DecodeErrorKind::Truncated);
    }
    Ok(!run.is_empty())
}

/// How many elements a complete run has.
fn count(op: Op, run: &[u8]) -> usize {
    match op_wire_type(op) {
        WireType::I32 => run.len() / 4,
        WireType::I64 => run.len() / 8,
        _ => run.iter().map(|byte| usize::from(*byte < 0x80)).sum(),
    }
}

/// How many bytes each element of an aliased list has.
pub(crate) fn aliased_width(op: Op) -> usize {
    match op_wire_type(op) {
        WireType::I32 => 4,
        WireType::I64 => 8,
        _ => 1,
    }
}

/// Whether each element of the run can be found by its index.
fn stays(op: Op, run: &[u8]) -> bool {
    match op {
        Op::Fixed32 | Op::Sfixed32 | Op::Fixed64 => true,
        // The numbers of closed enums are looked at one by one, and a bool may be written as any number.
        Op::EnumClosed | Op::Bool => false,
        _ => crate::utf8::is_ascii(run),
    }
}

/// The value of an element of an aliased list, from its bytes.
#[inline(always)]
pub(crate) fn aliased_element(op: Op, bytes: &[u8]) -> u64 {
    match op {
        Op::Fixed32 => u64::from(wire::read_i32(bytes, &mut 0).unwrap_or_default()),
        Op::Sfixed32 => i64::from(wire::read_i32(bytes, &mut 0).unwrap_or_default() as i32) as u64,
        Op::Fixed64 => wire::read_i64(bytes, &mut 0).unwrap_or_default(),
        _ => from_varint(op, u64::from(bytes.first().copied().unwrap_or_default())).0,
    }
}

/// Reads a run into exactly as many words as it has elements; whether each was written in the shortest way.
fn unpack_into(op: Op, run: &[u8], out: &mut [u64]) -> Result<bool, DecodeErrorKind> {
    if matches!(op, Op::Fixed32 | Op::Sfixed32 | Op::Fixed64) {
        for (bytes, word) in run.chunks_exact(aliased_width(op)).zip(out) {
            *word = aliased_element(op, bytes);
        }
        return Ok(true);
    }
    let mut pos = 0;
    let mut written_len = 0;
    for word in out {
        let (value, written) = from_varint(op, wire::varint(run, &mut pos)?);
        *word = value;
        written_len += wire::varint_len(written);
    }
    // As many bytes as would be written, element by element at least as many: so the same bytes.
    Ok(written_len == run.len())
}
