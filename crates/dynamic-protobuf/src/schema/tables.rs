//! The compiled form of a schema: dense, immutable tables in which everything refers to everything else by index.

use super::names::NameTable;
use super::{Cardinality, Kind, WellKnown};
use crate::descriptor::{Edition, FileDescriptorProto};
use std::collections::HashMap;
use std::ops::Range;

/// Everything a schema holds.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) files: Vec<FileTable>,
    pub(crate) messages: Vec<MessageTable>,
    /// The fields and extensions of each message stand together, by ascending number.
    pub(crate) fields: Vec<FieldTable>,
    pub(crate) oneofs: Vec<OneofTable>,
    pub(crate) enums: Vec<EnumTable>,
    pub(crate) services: Vec<ServiceTable>,
    /// Full names without a leading dot.
    pub(crate) symbols: HashMap<Box<str>, Symbol>,
}

/// What a full name stands for, as an index into the table of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    Message(u32),
    Enum(u32),
    Service(u32),
    /// An index into `Tables::fields`.
    Extension(u32),
}

#[derive(Debug)]
pub(crate) struct FileTable {
    /// The file as it came, for what the tables leave out: options and comments.
    pub(crate) proto: FileDescriptorProto,
    pub(crate) edition: Edition,
}

#[derive(Debug)]
pub(crate) struct MessageTable {
    pub(crate) full_name: Box<str>,
    /// Where the last part of `full_name` begins.
    pub(crate) name_at: u32,
    pub(crate) file: u32,
    pub(crate) parent: Option<u32>,
    /// Into `Tables::fields`.
    pub(crate) fields: Range<u32>,
    /// Into `Tables::oneofs`; those made for `optional` of proto3 are last.
    pub(crate) oneofs: Range<u32>,
    /// Entries by field number, as far as numbers are dense; absent numbers have [`Op::Unknown`].
    pub(crate) dense: Box<[Entry]>,
    /// The remaining entries by ascending number.
    pub(crate) sparse: Box<[(u32, Entry)]>,
    pub(crate) names: NameTable,
    pub(crate) map_entry: bool,
    pub(crate) message_set: bool,
    pub(crate) has_required: bool,
    pub(crate) well_known: Option<WellKnown>,
    pub(crate) extension_ranges: Box<[Range<u32>]>,
    /// Sorted.
    pub(crate) reserved_names: Box<[Box<str>]>,
    /// Where in a decoded message's node its slots begin, in words; see `message::arena`.
    pub(crate) slots_at: u32,
}

impl MessageTable {
    /// The entry of a field number; [`Op::Unknown`] when there is none.
    #[inline(always)]
    pub(crate) fn entry(&self, number: u32) -> Entry {
        match self.dense.get(number as usize) {
            Some(entry) => *entry,
            None => *self.sparse_entry(number),
        }
    }

    /// [`MessageTable::entry`] where it is: a decoder looks at no more of it than it needs.
    #[inline(always)]
    pub(crate) fn entry_ref(&self, number: u32) -> &Entry {
        match self.dense.get(number as usize) {
            Some(entry) => entry,
            None => self.sparse_entry(number),
        }
    }

    #[inline]
    fn sparse_entry(&self, number: u32) -> &Entry {
        let found = self.sparse.binary_search_by_key(&number, |(number, _)| *number);
        let entry = found.ok().and_then(|index| self.sparse.get(index));
        entry.map_or(&Entry::UNKNOWN, |(_, entry)| entry)
    }

    /// How many fields and extensions it has.
    pub(crate) fn field_count(&self) -> usize {
        self.fields.len()
    }
}

/// What decoders need to know of a field, in 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The tag that encoders write: for packed lists, that of the whole list.
    pub(crate) tag: u32,
    /// The message's or enum's index, by `op`; for maps the entry type's.
    pub(crate) sub: u32,
    /// The field's place among the message's fields by ascending number.
    pub(crate) slot: u16,
    /// One more than the index of the oneof among the message's; zero without one.
    pub(crate) oneof: u16,
    pub(crate) op: Op,
    pub(crate) flags: u8,
}

impl Entry {
    /// Any number of values.
    pub(crate) const REPEATED: u8 = 1;
    /// A map; `REPEATED` is set too.
    pub(crate) const MAP: u8 = 2;
    /// Written packed.
    pub(crate) const PACKED: u8 = 4;
    /// A zero value is the same as none.
    pub(crate) const IMPLICIT: u8 = 8;
    /// A string that has to be UTF-8.
    pub(crate) const UTF8: u8 = 16;

    pub(crate) const UNKNOWN: Self = Self {
        tag: 0,
        sub: 0,
        slot: 0,
        oneof: 0,
        op: Op::Unknown,
        flags: 0,
    };

    #[inline(always)]
    pub(crate) const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// How one value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    Unknown,
    /// `int64` and `uint64`.
    Varint64,
    Int32,
    Uint32,
    Sint32,
    Sint64,
    Bool,
    EnumOpen,
    EnumClosed,
    /// `fixed32` and `float`.
    Fixed32,
    Sfixed32,
    /// `fixed64`, `sfixed64` and `double`.
    Fixed64,
    String,
    Bytes,
    Message,
    Group,
}

#[derive(Debug)]
pub(crate) struct FieldTable {
    pub(crate) name: Box<str>,
    /// For extensions the scope is that of the declaration, not of the extended message.
    pub(crate) full_name: Box<str>,
    pub(crate) json_name: Box<str>,
    /// The key as it is written in JSON, with comma, quotes and colon: `,"name":`.
    pub(crate) json_key: Box<[u8]>,
    /// The same with the field's own name.
    pub(crate) proto_key: Box<[u8]>,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) cardinality: Cardinality,
    /// The message it belongs to or extends.
    pub(crate) message: u32,
    /// The oneof's index among all.
    pub(crate) oneof: Option<u32>,
    pub(crate) presence: bool,
    pub(crate) extension: bool,
    pub(crate) file: u32,
    pub(crate) default: Default,
    pub(crate) entry: Entry,
    /// The field's place among the message's in the order of declaration; extensions come after.
    pub(crate) declared: u32,
}

/// A field's value when it is not set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Default {
    /// As a slot holds it; zero for everything without a default of its own.
    Bits(u64),
    Bytes(Box<[u8]>),
}

#[derive(Debug)]
pub(crate) struct OneofTable {
    pub(crate) name: Box<str>,
    pub(crate) message: u32,
    /// Its members, as indexes into `Tables::fields`.
    pub(crate) fields: Box<[u32]>,
    /// The members' presence bits: word and mask.
    pub(crate) masks: Box<[(u32, u64)]>,
    /// Made by the compiler for `optional` of proto3.
    pub(crate) synthetic: bool,
}

#[derive(Debug)]
pub(crate) struct EnumTable {
    pub(crate) full_name: Box<str>,
    pub(crate) name_at: u32,
    pub(crate) file: u32,
    pub(crate) parent: Option<u32>,
    pub(crate) closed: bool,
    pub(crate) values: Box<[EnumValueTable]>,
    /// Indexes into `values` by ascending number; of aliases only the first.
    pub(crate) by_number: Box<[u32]>,
    /// When numbers are 0, 1, 2, … without a gap and an alias, a number is its own index into `values`.
    pub(crate) contiguous: bool,
    pub(crate) by_name: NameTable,
    /// `google.protobuf.NullValue`, which is `null` in JSON.
    pub(crate) null_value: bool,
}

#[derive(Debug)]
pub(crate) struct EnumValueTable {
    pub(crate) name: Box<str>,
    pub(crate) number: i32,
}

impl EnumTable {
    /// The first value with this number, as an index into `values`.
    #[inline]
    pub(crate) fn index_of(&self, number: i32) -> Option<usize> {
        if self.contiguous {
            return usize::try_from(number)
                .ok()
                .filter(|index| *index < self.values.len());
        }
        let found = self
            .by_number
            .binary_search_by(|index| self.values[*index as usize].number.cmp(&number));
        found.ok().map(|at| self.by_number[at] as usize)
    }
}

#[derive(Debug)]
pub(crate) struct ServiceTable {
    pub(crate) full_name: Box<str>,
    pub(crate) name_at: u32,
    pub(crate) file: u32,
    pub(crate) methods: Box<[MethodTable]>,
}

#[derive(Debug)]
pub(crate) struct MethodTable {
    pub(crate) name: Box<str>,
    pub(crate) input: u32,
    pub(crate) output: u32,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
}

impl Tables {
    /// What a full name stands for; a leading dot is allowed.
    pub(crate) fn symbol(&self, full_name: &str) -> Option<Symbol> {
        let full_name = full_name.strip_prefix('.').unwrap_or(full_name);
        self.symbols.get(full_name).copied()
    }

    #[inline(always)]
    pub(crate) fn message(&self, index: u32) -> &MessageTable {
        &self.messages[index as usize]
    }

    #[inline(always)]
    pub(crate) fn field(&self, index: u32) -> &FieldTable {
        &self.fields[index as usize]
    }

    #[inline(always)]
    pub(crate) fn enumeration(&self, index: u32) -> &EnumTable {
        &self.enums[index as usize]
    }

    /// The fields of a message by ascending number.
    #[inline(always)]
    pub(crate) fn fields_of(&self, message: &MessageTable) -> &[FieldTable] {
        &self.fields[message.fields.start as usize..message.fields.end as usize]
    }
}
