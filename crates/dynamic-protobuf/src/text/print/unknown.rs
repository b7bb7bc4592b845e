//! Unknown fields to text: by number, with what the wire tells of their values.

use super::{Printer, Step};
use crate::wire::{self, WireType};

/// How deep contents are taken for messages on the mere chance that they are; each level is read once more for it.
const GUESSED_LEVELS: u32 = 10;

/// No group ends here.
const NO_GROUP: u32 = 0;

impl Printer<'_> {
    /// Writes a run of unknown fields.
    pub(super) fn unknown_run(&mut self, run: &[u8]) -> Step {
        self.unknown_fields(run, &mut 0, NO_GROUP, GUESSED_LEVELS)
    }

    /// Writes fields up to the end of `bytes`, or of the group that `end_group` ends; stops at what is no field.
    fn unknown_fields(&mut self, bytes: &[u8], pos: &mut usize, end_group: u32, levels: u32) -> Step {
        while *pos < bytes.len() {
            let Ok(tag) = wire::read_tag(bytes, pos) else {
                break;
            };
            if tag == end_group {
                break;
            }
            self.begin();
            self.integer(tag >> 3);
            self.unknown_value(bytes, pos, tag, levels)?;
            self.end()?;
        }
        Ok(())
    }

    fn unknown_value(&mut self, bytes: &[u8], pos: &mut usize, tag: u32, levels: u32) -> Step {
        match WireType::of_tag(tag) {
            Some(WireType::Varint) => {
                self.out.push_str(": ");
                self.integer(wire::varint(bytes, pos).unwrap_or_default());
            }
            Some(WireType::I32) => self.fixed::<10>(wire::read_i32(bytes, pos).unwrap_or_default().into()),
            Some(WireType::I64) => self.fixed::<18>(wire::read_i64(bytes, pos).unwrap_or_default()),
            Some(WireType::Len) => {
                let content = wire::read_bytes(bytes, pos).unwrap_or_default();
                match levels.checked_sub(1) {
                    Some(levels) if self.is_message(content) => {
                        self.block(|printer| printer.unknown_fields(content, &mut 0, NO_GROUP, levels))?;
                    }
                    _ => {
                        self.out.push_str(": ");
                        self.bytes(content);
                    }
                }
            }
            Some(WireType::StartGroup) => {
                self.block(|printer| printer.unknown_fields(bytes, pos, tag + 1, levels))?;
            }
            Some(WireType::EndGroup) | None => {}
        }
        Ok(())
    }

    fn fixed<const WIDTH: usize>(&mut self, value: u64) {
        self.out.push_str(&format!(": {value:#0WIDTH$x}"));
    }

    /// Whether the bytes are fields from end to end and nest no deeper than may be written.
    fn is_message(&self, bytes: &[u8]) -> bool {
        let Some(depth) = self.depth.checked_sub(1) else {
            return false;
        };
        let mut pos = 0;
        while pos < bytes.len() {
            let tag = wire::read_tag(bytes, &mut pos);
            if tag
                .and_then(|tag| wire::skip_value(bytes, &mut pos, tag, depth))
                .is_err()
            {
                return false;
            }
        }
        !bytes.is_empty()
    }
}
