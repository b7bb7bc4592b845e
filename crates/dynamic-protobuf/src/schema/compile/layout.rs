//! Lays out the tables of one message: slots by ascending number, lookup by number and by name, oneofs.

use super::super::Cardinality;
use super::super::error::SchemaErrorKind;
use super::super::names::NameTable;
use super::super::tables::{Entry, FieldTable, OneofTable, Symbol};
use super::{Compiler, MAX_FIELDS_PER_MESSAGE, is_identifier};
use std::collections::HashSet;

/// Numbers below this are always looked up directly; those of two-byte tags begin at 16.
const DENSE_AT_LEAST: u32 = 32;
/// Beyond it, direct lookup goes on while at least one number in this many is in use.
const DENSE_SPARSITY: usize = 8;

impl Compiler<'_> {
    pub(super) fn lay_out(&mut self, message: u32, mut fields: Vec<FieldTable>) {
        let oneofs = self.messages[message as usize].proto.oneof_decl.len();
        if fields.len().max(oneofs) > MAX_FIELDS_PER_MESSAGE {
            let table = self.tables.message(message);
            let (file, name) = (table.file, table.full_name.clone());
            let kind = SchemaErrorKind::TooMany {
                what: "fields, extensions or oneofs in one message",
                limit: MAX_FIELDS_PER_MESSAGE,
            };
            self.error(file, &name, kind);
            return;
        }
        fields.sort_by_key(|field| field.number);
        self.check_fields(&fields);
        let first = self.tables.fields.len() as u32;
        for (slot, field) in fields.iter_mut().enumerate() {
            field.entry.slot = slot as u16;
            if field.extension {
                let (file, full_name, name) = (field.file, field.full_name.clone(), field.name.clone());
                self.take_name(file, &full_name, &name, Symbol::Extension(first + slot as u32));
            }
        }
        self.lay_out_oneofs(message, first, &mut fields);
        let names = names(&fields);
        let (dense, sparse) = lookup(&fields);
        let table = &mut self.tables.messages[message as usize];
        table.fields = first..first + fields.len() as u32;
        table.slots_at = crate::message::slots_at(fields.len());
        table.has_required = fields
            .iter()
            .any(|field| field.cardinality == Cardinality::Required);
        table.dense = dense;
        table.sparse = sparse;
        table.names = names;
        self.tables.fields.extend(fields);
    }

    fn check_fields(&mut self, fields: &[FieldTable]) {
        for pair in fields.windows(2) {
            if let [one, other] = pair
                && one.number == other.number
                && one.number != 0
            {
                let kind = SchemaErrorKind::DuplicateNumber(other.number, one.full_name.to_string());
                self.error(other.file, &other.full_name, kind);
            }
        }
        let mut seen = HashSet::new();
        for field in fields.iter().filter(|field| !field.extension) {
            if !is_identifier(&field.name) {
                self.error(
                    field.file,
                    &field.full_name,
                    SchemaErrorKind::InvalidName(field.name.to_string()),
                );
            }
            if !seen.insert(&field.name) {
                let file = self.files[field.file as usize].name.clone();
                self.error(field.file, &field.full_name, SchemaErrorKind::DuplicateName(file));
            }
        }
    }

    fn lay_out_oneofs(&mut self, message: u32, first: u32, fields: &mut [FieldTable]) {
        let proto = self.messages[message as usize].proto;
        let start = self.tables.oneofs.len() as u32;
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); proto.oneof_decl.len()];
        for field in fields.iter_mut().filter(|field| !field.extension) {
            let declared = &proto.field[field.declared as usize];
            let Some(index) = declared.oneof_index else {
                continue;
            };
            let Some(list) = usize::try_from(index)
                .ok()
                .and_then(|index| members.get_mut(index))
            else {
                self.error(field.file, &field.full_name, SchemaErrorKind::UnknownOneof);
                continue;
            };
            if field.cardinality != Cardinality::Optional {
                self.error(field.file, &field.full_name, SchemaErrorKind::InvalidOneofMember);
            }
            list.push(u32::from(field.entry.slot));
            field.oneof = Some(start + index as u32);
            // A lone member has nobody to put out, so that decoders need not look.
            field.entry.oneof = if declared.proto3_optional {
                0
            } else {
                index as u16 + 1
            };
        }
        for (declared, slots) in proto.oneof_decl.iter().zip(members) {
            let optional = |slot: &u32| proto.field[fields[*slot as usize].declared as usize].proto3_optional;
            self.tables.oneofs.push(OneofTable {
                name: declared.name.as_str().into(),
                message,
                synthetic: slots.len() == 1 && slots.iter().all(optional),
                masks: masks(&slots),
                fields: slots.iter().map(|slot| first + slot).collect(),
            });
        }
        self.tables.messages[message as usize].oneofs = start..self.tables.oneofs.len() as u32;
    }
}

/// The presence bits of a oneof's members.
fn masks(slots: &[u32]) -> Box<[(u32, u64)]> {
    let mut masks: Vec<(u32, u64)> = Vec::new();
    for slot in slots {
        let (word, bit) = (slot / 64, 1u64 << (slot % 64));
        match masks.iter_mut().find(|(at, _)| *at == word) {
            Some((_, mask)) => *mask |= bit,
            None => masks.push((word, bit)),
        }
    }
    masks.into_boxed_slice()
}

/// JSON names come first: where one field's is another's own name, JSON decides.
fn names(fields: &[FieldTable]) -> NameTable {
    let json = fields
        .iter()
        .map(|field| (&*field.json_name, u32::from(field.entry.slot)));
    let own = fields
        .iter()
        .filter(|field| !field.extension)
        .map(|field| (&*field.name, u32::from(field.entry.slot)));
    NameTable::new(&json.chain(own).collect::<Vec<_>>())
}

/// Numbers that are far apart, with their entries.
type Sparse = Box<[(u32, Entry)]>;

/// Entries by number: an array while numbers are dense, a sorted list for the rest.
fn lookup(fields: &[FieldTable]) -> (Box<[Entry]>, Sparse) {
    let dense_end = fields
        .iter()
        .enumerate()
        .filter(|(index, field)| {
            field.number < DENSE_AT_LEAST || (field.number as usize) < (index + 1) * DENSE_SPARSITY
        })
        .map(|(_, field)| field.number + 1)
        .max()
        .unwrap_or(0);
    let mut dense = vec![Entry::UNKNOWN; dense_end as usize];
    let mut sparse = Vec::new();
    for field in fields {
        match dense.get_mut(field.number as usize) {
            Some(cell) => *cell = field.entry,
            None => sparse.push((field.number, field.entry)),
        }
    }
    (dense.into_boxed_slice(), sparse.into_boxed_slice())
}
