//! Puts together what counts of the fields of a merged message.

use super::{EntryKey, Merge, Occurrence, Part, Piece, Place, Role, Slot};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::schema::tables::{Entry, Op};
use crate::view::scan::{Fault, Scan};
use crate::view::seek::{WireKey, is_entry, key_of};
use crate::view::target::Target;
use crate::wire::{WireType, tag, varint_len};

impl<'p> Merge<'p> {
    /// Marks map entries with a later one of the same key.
    pub(super) fn supersede(&mut self, place: &Place<'p>) -> Result<(), DecodeError> {
        self.state.keys.clear();
        for at in place.occurrences..self.state.occurrences.len() {
            let Some(occurrence) = self.state.occurrences.get(at).copied() else {
                continue;
            };
            let entry = place.table.entry(occurrence.field.number());
            if entry.is(Entry::MAP) && entry.tag == occurrence.field.tag {
                let noted = self.note_key(place, at, &occurrence);
                noted.map_err(|fault| self.error(occurrence.second, fault))?;
            }
        }
        let (one, other) = self.inputs;
        let resolve = |key: &EntryKey| {
            let input = if key.second { other } else { one };
            let text = input
                .get(key.key.0 as usize..key.key.1 as usize)
                .unwrap_or_default();
            let key_value = if key.text {
                WireKey::Text(text)
            } else {
                WireKey::Bits(key.key.0)
            };
            (key.number, key_value)
        };
        self.state.keys.sort_unstable_by(|left, right| {
            resolve(left)
                .cmp(&resolve(right))
                .then(left.occurrence.cmp(&right.occurrence))
        });
        for pair in self.state.keys.windows(2) {
            if let [earlier, later] = pair
                && resolve(earlier) == resolve(later)
                && let Some(occurrence) = self.state.occurrences.get_mut(earlier.occurrence)
            {
                occurrence.role = Role::Superseded;
            }
        }
        Ok(())
    }

    fn note_key(&mut self, place: &Place<'p>, index: usize, occurrence: &Occurrence) -> Scan<()> {
        let tables = self.schema.tables();
        let field = place.table.fields.start + u32::from(place.table.entry(occurrence.field.number()).slot);
        let (key, value) = Target::of(tables, field).of_entry(tables);
        let bytes = self.input(occurrence.second);
        let entry = bytes
            .get(occurrence.field.body..occurrence.field.end)
            .unwrap_or_default();
        if !is_entry(tables, &value, entry, place.depth)? {
            return Ok(());
        }
        let (key, text) = match key_of(&key, entry, place.depth)? {
            WireKey::Bits(bits) => ((bits, 0), false),
            WireKey::Text([]) => ((0, 0), true),
            WireKey::Text(text) => {
                let start = (text.as_ptr().addr() - bytes.as_ptr().addr()) as u64;
                ((start, start + text.len() as u64), true)
            }
        };
        self.state.keys.push(EntryKey {
            occurrence: index,
            number: occurrence.field.number(),
            second: occurrence.second,
            key,
            text,
        });
        Ok(())
    }

    /// Puts together what counts of the noted fields, and returns how long it is.
    pub(super) fn compose(&mut self, place: &Place<'p>) -> Result<usize, DecodeError> {
        let mut len = 0;
        for at in place.occurrences..self.state.occurrences.len() {
            let Some(occurrence) = self.state.occurrences.get(at).copied() else {
                continue;
            };
            let slot = match occurrence.role {
                Role::Kept => {
                    len += self.copy(&occurrence);
                    continue;
                }
                Role::Superseded => continue,
                Role::Singular(slot) => slot,
            };
            let entry = place.table.entry(occurrence.field.number());
            let known = self
                .state
                .slots
                .get(place.slots + slot as usize)
                .copied()
                .unwrap_or_default();
            if !self.is_current(place, &entry, occurrence.field.number()) {
                continue;
            }
            let message = matches!(entry.op, Op::Message | Op::Group);
            if message && known.count > 1 {
                if at == known.first {
                    len += self.join(place, &entry, known)?;
                }
            } else if at == known.last {
                len += self.copy(&occurrence);
            }
        }
        Ok(len)
    }

    fn is_current(&self, place: &Place<'p>, entry: &Entry, number: u32) -> bool {
        let oneof = usize::from(entry.oneof).checked_sub(1);
        let current = oneof.and_then(|oneof| self.state.oneofs.get(place.oneofs + oneof));
        current.is_none_or(|current| *current == number)
    }

    fn copy(&mut self, occurrence: &Occurrence) -> usize {
        let (start, end) = (occurrence.field.start, occurrence.field.next);
        match self.state.pieces.last_mut() {
            Some(Piece::Copy(last)) if last.second == occurrence.second && last.end == start => {
                last.end = end
            }
            _ => {
                let part = Part {
                    second: occurrence.second,
                    start,
                    end,
                };
                self.state.pieces.push(Piece::Copy(part));
            }
        }
        end - start
    }

    /// Makes one of the occurrences of a singular message that count.
    fn join(&mut self, place: &Place<'p>, entry: &Entry, slot: Slot) -> Result<usize, DecodeError> {
        let from = self.state.parts.len();
        let mut at = slot.first;
        while let Some(part) = self.state.occurrences.get(at).copied() {
            self.state.parts.push(Part {
                second: part.second,
                start: part.field.body,
                end: part.field.end,
            });
            if part.next <= at {
                break;
            }
            at = part.next;
        }
        let depth = place.depth.checked_sub(1).ok_or_else(|| {
            let first = self.state.parts.get(from).copied();
            let (second, pos) = first.map_or((false, 0), |part| (part.second, part.start));
            let fault = Fault::new(DecodeErrorKind::TooDeep, self.input(second), pos);
            self.error(second, fault)
        })?;
        let open = self.state.pieces.len();
        self.state.pieces.push(Piece::Open {
            tag: entry.tag,
            len: 0,
        });
        let name = || {
            let field = place.table.fields.start + u32::from(entry.slot);
            &self.schema.tables().field(field).name
        };
        let name = name();
        let inner = self
            .message(entry.sub, from..self.state.parts.len(), depth)
            .map_err(|error| error.in_field(name))?;
        self.state.parts.truncate(from);
        let header = varint_len(entry.tag.into());
        if entry.op == Op::Group {
            let end = tag(entry.tag >> 3, WireType::EndGroup);
            self.state.pieces.push(Piece::Close { tag: end });
            return Ok(header * 2 + inner);
        }
        if let Some(piece) = self.state.pieces.get_mut(open) {
            *piece = Piece::Open {
                tag: entry.tag,
                len: inner,
            };
        }
        Ok(header + varint_len(inner as u64) + inner)
    }
}
