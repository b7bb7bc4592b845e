//! Maps: members to entries, each key once.

use super::Parsing;
use super::scalar::put_bits;
use super::text::Scanned;
use crate::json::error::{JsonErrorKind, Step};
use crate::json::print::hash;
use crate::schema::Kind;
use crate::schema::tables::FieldTable;
use crate::wire;

/// Up to so many keys are compared each with each; more are sorted.
const FEW_KEYS: usize = 12;

impl<'a> Parsing<'a> {
    /// Reads an object and appends its members as the entries of a map.
    pub(super) fn map(&mut self, field: &'a FieldTable) -> Step {
        if self.peek() != b'{' {
            return Err(self.expected("an object"));
        }
        self.pos += 1;
        self.space();
        if self.take_closing(b'}') {
            return Ok(());
        }
        let base = self.scratch.keys.len();
        let start = self.out.at();
        let mut index = 0;
        loop {
            self.map_entry(field).map_err(|stop| stop.in_element(index))?;
            index += 1;
            if !self.goes_on(b'}', "a comma or the end of the object")? {
                break;
            }
        }
        self.end_keys(base, start)
    }

    /// Reads a member and appends it as an entry.
    pub(super) fn map_entry(&mut self, field: &'a FieldTable) -> Step {
        let entry = self.tables.message(field.entry.sub);
        let [key, value] = self.tables.fields_of(entry) else {
            return Err(self.fail(JsonErrorKind::UnknownField));
        };
        self.element()?;
        let start = self.out.at();
        self.out.varint(u64::from(field.entry.tag));
        let gap = self.open(1);
        let name = self.scan_string()?;
        self.map_key(key, &name)?;
        self.expect(b':', "a colon")?;
        if self.map_value(value)? {
            self.close(gap);
        } else {
            self.out.back_to(start);
        }
        Ok(())
    }

    fn map_key(&mut self, key: &FieldTable, name: &Scanned) -> Step {
        self.out.varint(u64::from(key.entry.tag));
        let bits = if key.kind == Kind::String {
            self.put_string(name)?;
            hash(self.unescaped(name)?)
        } else {
            let bits = self.key_bits(key.kind, name)?;
            put_bits(&mut self.out, key.kind, bits);
            bits
        };
        self.note_key(bits)
    }

    /// Notes a key's bits or hash, to be compared with the others at the map's end.
    #[inline(always)]
    pub(super) fn note_key(&mut self, bits: u64) -> Step {
        let keys = &mut self.scratch.keys;
        if keys.len() == keys.capacity() && keys.len() * 16 > self.options.limits.allocation {
            return Err(self.fail(JsonErrorKind::AllocationLimit));
        }
        keys.push(bits);
        Ok(())
    }

    /// Reads an entry's value and appends it; `false` when it is to be ignored, with its entry.
    fn map_value(&mut self, value: &'a FieldTable) -> Step<bool> {
        self.check_null(value)?;
        match value.kind {
            Kind::Message | Kind::Group => self.submessage(value)?,
            Kind::String | Kind::Bytes => {
                self.out.varint(u64::from(value.entry.tag));
                self.blob(value.kind)?;
            }
            kind => {
                let Some(bits) = self.bits(value)? else {
                    return Ok(false);
                };
                self.out.varint(u64::from(value.entry.tag));
                put_bits(&mut self.out, kind, bits);
            }
        }
        Ok(true)
    }

    /// Refuses keys that occur twice, among those noted since there were `base`. The entries begin at `start`.
    pub(super) fn end_keys(&mut self, base: usize, start: usize) -> Step {
        // Hashes of different keys may be equal, so the keys themselves decide.
        if self.may_repeat(base) && has_equal_keys(self.out.since(start)) {
            return Err(self.fail(JsonErrorKind::DuplicateKey));
        }
        Ok(())
    }

    /// Refuses keys that may occur twice, where the entries are not at hand any more.
    pub(super) fn unique_keys(&mut self, base: usize) -> Step {
        if self.may_repeat(base) {
            return Err(self.fail(JsonErrorKind::DuplicateKey));
        }
        Ok(())
    }

    /// Whether two of the keys noted since there were `base` have the same bits or hash. They are forgotten.
    fn may_repeat(&mut self, base: usize) -> bool {
        let keys = self.scratch.keys.get_mut(base..).unwrap_or_default();
        let suspicious = if keys.len() <= FEW_KEYS {
            (1..keys.len()).any(|at| keys[..at].contains(&keys[at]))
        } else {
            keys.sort_unstable();
            keys.windows(2).any(|pair| pair[0] == pair[1])
        };
        self.scratch.keys.truncate(base);
        suspicious
    }
}

/// Whether two of these entries, as written here, have the same key.
#[cold]
fn has_equal_keys(entries: &[u8]) -> bool {
    let mut keys = Vec::new();
    let mut pos = 0;
    while pos < entries.len() {
        let Ok(key) = entry_key(entries, &mut pos) else {
            return true;
        };
        keys.push(key);
    }
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// The key of an entry with its tag; it always stands first.
fn entry_key<'e>(entries: &'e [u8], pos: &mut usize) -> Result<&'e [u8], crate::DecodeErrorKind> {
    wire::read_tag(entries, pos)?;
    let entry = wire::read_bytes(entries, pos)?;
    let mut end = 0;
    let tag = wire::read_tag(entry, &mut end)?;
    wire::skip_value(entry, &mut end, tag, 0)?;
    entry.get(..end).ok_or(crate::DecodeErrorKind::Truncated)
}
