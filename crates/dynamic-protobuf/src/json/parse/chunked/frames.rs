//! What is open, and how records reach the wire inside it.

use super::{Frame, Next, Run, What};
use crate::json::error::Step;
use crate::schema::tables::{Entry, FieldTable};
use crate::wire::{self, WireType};

impl<'r, 's: 'r> Run<'r, 's> {
    /// Goes into the message, list or map that begins here.
    pub(super) fn open_frame(&mut self, field: &'s FieldTable) -> Step {
        let what = if field.entry.is(Entry::MAP) {
            What::Map {
                keys: self.parsing.scratch.keys.len(),
            }
        } else if field.entry.is(Entry::REPEATED) {
            What::List
        } else {
            // What was gathered belongs to the message around it.
            self.flush();
            self.parsing.enter()?;
            let table = self.tables.message(field.entry.sub);
            What::Message {
                table,
                seen: self.parsing.scratch.seen.open(table),
                written: false,
            }
        };
        self.expect(Next::CommaOrEnd);
        self.parsing.pos += 1;
        self.frames.push(Frame {
            what,
            next: Next::FirstOrEnd,
            field: Some(field),
            count: 0,
        });
        Ok(())
    }

    /// Ends the innermost frame.
    pub(super) fn close_frame(&mut self) -> Step {
        match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { .. }) => self.flush_message(),
            Some(What::Map { keys }) => {
                let keys = *keys;
                self.parsing.unique_keys(keys)?;
            }
            _ => self.close_packed(),
        }
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        if let What::Message { seen, .. } = frame.what {
            self.parsing.scratch.seen.close(&seen);
            self.parsing.depth += 1;
        }
        Ok(())
    }

    /// Writes what is left of the innermost message; if nothing was written yet, that it is there.
    pub(super) fn flush_message(&mut self) {
        let written = match self.frames.last().map(|frame| &frame.what) {
            Some(What::Message { written, .. }) => *written,
            _ => true,
        };
        if !written || self.parsing.out.at() > 0 {
            self.wrap();
        }
    }

    pub(super) fn flush(&mut self) {
        self.close_packed();
        if self.parsing.out.at() > 0 {
            self.wrap();
        }
    }

    pub(super) fn close_packed(&mut self) {
        let Some(gap) = self.packed.take() else { return };
        self.parsing.close(gap);
    }

    /// Moves the gathered records to the wire, inside the messages that are open.
    pub(super) fn wrap(&mut self) {
        let chain = || self.frames.iter().filter_map(|frame| frame.chain_field());
        let mut lengths: Vec<usize> = Vec::new();
        let mut length = self.parsing.out.at();
        for field in chain().rev() {
            lengths.push(length);
            let tag = wire::varint_len(u64::from(field.entry.tag));
            length += if field.kind == crate::Kind::Group {
                2 * tag
            } else {
                tag + wire::varint_len(length as u64)
            };
        }
        for (field, length) in chain().zip(lengths.iter().rev()) {
            self.wire.varint(u64::from(field.entry.tag));
            if field.kind != crate::Kind::Group {
                self.wire.varint(*length as u64);
            }
        }
        self.wire.put(self.parsing.out.since(0));
        for field in chain().rev().filter(|field| field.kind == crate::Kind::Group) {
            self.wire
                .varint(u64::from(wire::tag(field.number, WireType::EndGroup)));
        }
        self.parsing.out.back_to(0);
        for frame in self.frames.iter_mut() {
            if let What::Message { written, .. } = &mut frame.what {
                *written = true;
            }
        }
    }
}
