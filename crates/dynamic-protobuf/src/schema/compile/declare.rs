//! Declares every message, enum, service and extension by its full name.

use super::super::WellKnown;
use super::super::error::SchemaErrorKind;
use super::super::features::Features;
use super::super::names::NameTable;
use super::super::tables::{EnumTable, EnumValueTable, MessageTable, Symbol};
use super::{Compiler, PendingField, PendingMessage, is_identifier, name_at, qualified};
use crate::descriptor::{DescriptorProto, EnumDescriptorProto, EnumType, FieldDescriptorProto};
use std::collections::HashSet;
use std::collections::hash_map::Entry as MapEntry;

/// Where a declaration stands.
#[derive(Clone, Copy)]
struct Scope<'s> {
    file: u32,
    parent: Option<u32>,
    name: &'s str,
    features: Features,
}

impl<'f> Compiler<'f> {
    pub(super) fn declare(&mut self) {
        for (index, file) in self.files.iter().enumerate() {
            let features = Features::defaults(file.edition).with(&file.options.features);
            let scope = Scope {
                file: index as u32,
                parent: None,
                name: &file.package,
                features,
            };
            for message in &file.message_type {
                self.declare_message(scope, message);
            }
            for enumeration in &file.enum_type {
                self.declare_enum(scope, enumeration);
            }
            for extension in &file.extension {
                self.declare_extension(scope, extension);
            }
        }
    }

    /// Takes a full name for a symbol; the file that has it already is named in the error.
    pub(super) fn take_name(&mut self, file: u32, full_name: &str, name: &str, symbol: Symbol) {
        if !is_identifier(name) {
            self.error(file, full_name, SchemaErrorKind::InvalidName(name.to_owned()));
        }
        let taken = match self.tables.symbols.entry(Box::from(full_name)) {
            MapEntry::Vacant(free) => {
                free.insert(symbol);
                return;
            }
            MapEntry::Occupied(taken) => *taken.get(),
        };
        let by = match taken {
            Symbol::Message(index) => self.tables.message(index).file,
            Symbol::Enum(index) => self.tables.enumeration(index).file,
            Symbol::Service(_) | Symbol::Extension(_) => file,
        };
        let by = self.files[by as usize].name.clone();
        self.error(file, full_name, SchemaErrorKind::DuplicateName(by));
    }

    fn declare_message(&mut self, scope: Scope<'_>, proto: &'f DescriptorProto) {
        let full_name = qualified(scope.name, &proto.name);
        let index = self.tables.messages.len() as u32;
        self.take_name(scope.file, &full_name, &proto.name, Symbol::Message(index));
        let features = scope.features.with(&proto.options.features);
        self.tables.messages.push(shell(&full_name, scope, proto));
        self.messages.push(PendingMessage {
            proto,
            features,
            extensions: Vec::new(),
        });
        let inner = Scope {
            parent: Some(index),
            name: &full_name,
            features,
            ..scope
        };
        for nested in &proto.nested_type {
            self.declare_message(inner, nested);
        }
        for enumeration in &proto.enum_type {
            self.declare_enum(inner, enumeration);
        }
        for extension in &proto.extension {
            self.declare_extension(inner, extension);
        }
    }

    fn declare_extension(&mut self, scope: Scope<'_>, proto: &'f FieldDescriptorProto) {
        self.extensions.push(PendingField {
            proto,
            scope: scope.name.to_owned(),
            features: scope.features.with(&proto.options.features),
            file: scope.file,
        });
    }

    fn declare_enum(&mut self, scope: Scope<'_>, proto: &'f EnumDescriptorProto) {
        let full_name = qualified(scope.name, &proto.name);
        let index = self.tables.enums.len() as u32;
        self.take_name(scope.file, &full_name, &proto.name, Symbol::Enum(index));
        let closed = scope.features.with(&proto.options.features).enum_type == EnumType::Closed;
        self.check_enum(scope.file, &full_name, proto, closed);
        let table = EnumTable {
            name_at: name_at(&full_name),
            file: scope.file,
            parent: scope.parent,
            closed,
            values: values(proto),
            by_number: by_number(proto),
            contiguous: proto
                .value
                .iter()
                .enumerate()
                .all(|(at, value)| usize::try_from(value.number) == Ok(at)),
            by_name: value_names(proto),
            null_value: full_name == "google.protobuf.NullValue",
            full_name: full_name.into(),
        };
        self.tables.enums.push(table);
    }

    fn check_enum(&mut self, file: u32, full_name: &str, proto: &EnumDescriptorProto, closed: bool) {
        match proto.value.first() {
            None => self.error(file, full_name, SchemaErrorKind::EmptyEnum),
            Some(first) if !closed && first.number != 0 => {
                self.error(file, full_name, SchemaErrorKind::FirstValueNotZero);
            }
            Some(_) => {}
        }
        let mut names = HashSet::new();
        for value in &proto.value {
            let element = qualified(full_name, &value.name);
            if !is_identifier(&value.name) {
                self.error(file, &element, SchemaErrorKind::InvalidName(value.name.clone()));
            }
            if !names.insert(value.name.as_str()) {
                let here = self.files[file as usize].name.clone();
                self.error(file, &element, SchemaErrorKind::DuplicateName(here));
            }
        }
    }
}

/// A message's table without its fields.
fn shell(full_name: &str, scope: Scope<'_>, proto: &DescriptorProto) -> MessageTable {
    let ranges = proto.extension_range.iter();
    MessageTable {
        name_at: name_at(full_name),
        file: scope.file,
        parent: scope.parent,
        fields: 0..0,
        oneofs: 0..0,
        dense: Box::default(),
        sparse: Box::default(),
        names: NameTable::default(),
        map_entry: proto.options.map_entry,
        message_set: proto.options.message_set_wire_format,
        has_required: false,
        well_known: WellKnown::from_full_name(full_name),
        extension_ranges: ranges
            .map(|range| range.start.max(0) as u32..range.end.max(0) as u32)
            .collect(),
        reserved_names: reserved_names(proto),
        slots_at: 0,
        full_name: full_name.into(),
    }
}

fn reserved_names(proto: &DescriptorProto) -> Box<[Box<str>]> {
    let mut names: Vec<Box<str>> = proto
        .reserved_name
        .iter()
        .map(|name| name.as_str().into())
        .collect();
    names.sort_unstable();
    names.into_boxed_slice()
}

fn values(proto: &EnumDescriptorProto) -> Box<[EnumValueTable]> {
    let values = proto.value.iter();
    values
        .map(|value| EnumValueTable {
            name: value.name.as_str().into(),
            number: value.number,
        })
        .collect()
}

fn by_number(proto: &EnumDescriptorProto) -> Box<[u32]> {
    let number = |index: &u32| proto.value[*index as usize].number;
    let mut indexes: Vec<u32> = (0..proto.value.len() as u32).collect();
    // The sort is stable, so that of aliases the first declared stays.
    indexes.sort_by_key(number);
    indexes.dedup_by_key(|index| number(index));
    indexes.into_boxed_slice()
}

fn value_names(proto: &EnumDescriptorProto) -> NameTable {
    let names: Vec<(&str, u32)> = proto
        .value
        .iter()
        .enumerate()
        .map(|(index, value)| (value.name.as_str(), index as u32))
        .collect();
    NameTable::new(&names)
}
