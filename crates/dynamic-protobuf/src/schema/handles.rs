//! The handles by which a schema is looked into: two words each, copied freely, in the vocabulary of protobuf reflection.

mod service;

pub use service::MethodDescriptor;

use super::tables::{Default as DefaultValue, EnumTable, FieldTable, MessageTable, OneofTable};
use super::{Cardinality, Kind, Schema, WellKnown};
use crate::descriptor::{Edition, FileDescriptorProto};
use std::fmt;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $table:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'s> {
            schema: &'s Schema,
            index: u32,
        }

        impl<'s> $name<'s> {
            #[inline]
            pub(crate) fn new(schema: &'s Schema, index: u32) -> Self {
                Self { schema, index }
            }

            /// The schema it belongs to.
            #[inline]
            pub fn schema(self) -> &'s Schema {
                self.schema
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.index == other.index && self.schema.ptr_eq(other.schema)
            }
        }

        impl Eq for $name<'_> {}

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.full_name()).finish()
            }
        }
    };
}

handle!(
    /// A `.proto` file.
    FileDescriptor,
    files
);
handle!(
    /// A message type.
    MessageDescriptor,
    messages
);
handle!(
    /// A field of a message, or an extension.
    FieldDescriptor,
    fields
);
handle!(
    /// A oneof of a message.
    OneofDescriptor,
    oneofs
);
handle!(
    /// An enum type.
    EnumDescriptor,
    enums
);
handle!(
    /// A service.
    ServiceDescriptor,
    services
);

impl<'s> FileDescriptor<'s> {
    /// Its path below the import root.
    pub fn name(self) -> &'s str {
        &self.proto().name
    }

    fn full_name(self) -> &'s str {
        self.name()
    }

    /// Its package; empty when it has none.
    pub fn package(self) -> &'s str {
        &self.proto().package
    }

    /// Its syntax or edition.
    pub fn edition(self) -> Edition {
        self.schema.tables().files[self.index as usize].edition
    }

    /// Everything that the descriptor set said of it.
    pub fn proto(self) -> &'s FileDescriptorProto {
        &self.schema.tables().files[self.index as usize].proto
    }
}

impl<'s> MessageDescriptor<'s> {
    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    #[inline]
    pub(crate) fn table(self) -> &'s MessageTable {
        self.schema.tables().message(self.index)
    }

    /// Its name with package and enclosing messages.
    pub fn full_name(self) -> &'s str {
        &self.table().full_name
    }

    /// The last part of its name.
    pub fn name(self) -> &'s str {
        &self.table().full_name[self.table().name_at as usize..]
    }

    /// The file that declares it.
    pub fn file(self) -> FileDescriptor<'s> {
        FileDescriptor::new(self.schema, self.table().file)
    }

    /// The message it is nested in.
    pub fn parent(self) -> Option<MessageDescriptor<'s>> {
        self.table().parent.map(|index| Self::new(self.schema, index))
    }

    /// Its fields and the known extensions of it, by ascending number.
    pub fn fields(self) -> impl ExactSizeIterator<Item = FieldDescriptor<'s>> + DoubleEndedIterator {
        self.table()
            .fields
            .clone()
            .map(move |index| FieldDescriptor::new(self.schema, index))
    }

    /// The field or extension with this number.
    pub fn field(self, number: u32) -> Option<FieldDescriptor<'s>> {
        let table = self.table();
        let entry = table.entry(number);
        let known = entry.op != super::tables::Op::Unknown;
        known.then(|| FieldDescriptor::new(self.schema, table.fields.start + u32::from(entry.slot)))
    }

    /// The field with this name as it stands in the `.proto` file; an extension is `[its.full.name]`.
    pub fn field_named(self, name: &str) -> Option<FieldDescriptor<'s>> {
        let found = self.field_spelled(name)?;
        let matches = found.name() == name || found.is_extension();
        matches.then_some(found).or_else(|| {
            self.fields()
                .find(|field| field.name() == name && !field.is_extension())
        })
    }

    /// The field that JSON calls so: by its JSON name, its own name, or `[full.name]` for an extension.
    pub fn field_spelled(self, name: &str) -> Option<FieldDescriptor<'s>> {
        let table = self.table();
        let slot = table.names.find(name.as_bytes())?;
        Some(FieldDescriptor::new(self.schema, table.fields.start + slot))
    }

    /// Its oneofs in the order of declaration, without those made for `optional` of proto3.
    pub fn oneofs(self) -> impl Iterator<Item = OneofDescriptor<'s>> {
        let all = self.table().oneofs.clone();
        all.map(move |index| OneofDescriptor::new(self.schema, index))
            .filter(|oneof| !oneof.table().synthetic)
    }

    /// The oneof with this name.
    pub fn oneof_named(self, name: &str) -> Option<OneofDescriptor<'s>> {
        self.oneofs().find(|oneof| oneof.name() == name)
    }

    /// Whether it is the type of a map field's entries.
    pub fn is_map_entry(self) -> bool {
        self.table().map_entry
    }

    /// Whether it is written as proto1's MessageSet.
    pub fn is_message_set(self) -> bool {
        self.table().message_set
    }

    /// Which well-known type it is, if any.
    pub fn well_known(self) -> Option<WellKnown> {
        self.table().well_known
    }

    /// Whether extensions of it may have this number.
    pub fn is_extension_number(self, number: u32) -> bool {
        self.table()
            .extension_ranges
            .iter()
            .any(|range| range.contains(&number))
    }

    /// Whether no field of it may ever have this name again.
    pub fn is_reserved_name(self, name: &str) -> bool {
        let reserved = &self.table().reserved_names;
        reserved.binary_search_by(|other| (**other).cmp(name)).is_ok()
    }
}

impl<'s> FieldDescriptor<'s> {
    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    #[inline]
    pub(crate) fn table(self) -> &'s FieldTable {
        self.schema.tables().field(self.index)
    }

    /// Its name as it stands in the `.proto` file.
    pub fn name(self) -> &'s str {
        &self.table().name
    }

    /// Its name with the scope of its declaration.
    pub fn full_name(self) -> &'s str {
        &self.table().full_name
    }

    /// Its name in JSON; `[full.name]` for an extension.
    pub fn json_name(self) -> &'s str {
        &self.table().json_name
    }

    /// Its number: 1 to 536,870,911.
    pub fn number(self) -> u32 {
        self.table().number
    }

    /// The type of its values.
    pub fn kind(self) -> Kind {
        self.table().kind
    }

    /// How often it may occur.
    pub fn cardinality(self) -> Cardinality {
        self.table().cardinality
    }

    /// Whether it is repeated and not a map.
    pub fn is_list(self) -> bool {
        self.table().cardinality == Cardinality::Repeated && !self.is_map()
    }

    /// Whether it is a map.
    pub fn is_map(self) -> bool {
        self.table().entry.is(super::tables::Entry::MAP)
    }

    /// Whether lists are written packed.
    pub fn is_packed(self) -> bool {
        self.table().entry.is(super::tables::Entry::PACKED)
    }

    /// Whether set to its default differs from not set.
    pub fn has_presence(self) -> bool {
        self.table().presence
    }

    /// Whether it must be set.
    pub fn is_required(self) -> bool {
        self.table().cardinality == Cardinality::Required
    }

    /// Whether it is an extension.
    pub fn is_extension(self) -> bool {
        self.table().extension
    }

    /// Whether its strings have to be UTF-8.
    pub fn validates_utf8(self) -> bool {
        self.table().entry.is(super::tables::Entry::UTF8)
    }

    /// The message it belongs to, or extends.
    pub fn containing_message(self) -> MessageDescriptor<'s> {
        MessageDescriptor::new(self.schema, self.table().message)
    }

    /// The file that declares it.
    pub fn file(self) -> FileDescriptor<'s> {
        FileDescriptor::new(self.schema, self.table().file)
    }

    /// The type of its messages; of a map that of its entries.
    pub fn message(self) -> Option<MessageDescriptor<'s>> {
        let table = self.table();
        table
            .kind
            .is_message()
            .then(|| MessageDescriptor::new(self.schema, table.entry.sub))
    }

    /// The type of its enum values.
    pub fn enumeration(self) -> Option<EnumDescriptor<'s>> {
        let table = self.table();
        (table.kind == Kind::Enum).then(|| EnumDescriptor::new(self.schema, table.entry.sub))
    }

    /// The oneof it belongs to; `None` for `optional` of proto3.
    pub fn oneof(self) -> Option<OneofDescriptor<'s>> {
        let oneof = OneofDescriptor::new(self.schema, self.table().oneof?);
        (!oneof.table().synthetic).then_some(oneof)
    }

    /// The key's field, for maps.
    pub fn map_key(self) -> Option<FieldDescriptor<'s>> {
        self.is_map().then(|| self.message()?.field(1)).flatten()
    }

    /// The value's field, for maps.
    pub fn map_value(self) -> Option<FieldDescriptor<'s>> {
        self.is_map().then(|| self.message()?.field(2)).flatten()
    }

    /// Whether the file gives it a default of its own.
    pub fn has_default(self) -> bool {
        !matches!(self.table().default, DefaultValue::Bits(0))
    }
}

impl<'s> OneofDescriptor<'s> {
    #[inline]
    pub(crate) fn table(self) -> &'s OneofTable {
        &self.schema.tables().oneofs[self.index as usize]
    }

    /// Its name.
    pub fn name(self) -> &'s str {
        &self.table().name
    }

    fn full_name(self) -> &'s str {
        self.name()
    }

    /// Its members.
    pub fn fields(self) -> impl Iterator<Item = FieldDescriptor<'s>> {
        self.table()
            .fields
            .iter()
            .map(move |index| FieldDescriptor::new(self.schema, *index))
    }

    /// The message it belongs to.
    pub fn containing_message(self) -> MessageDescriptor<'s> {
        MessageDescriptor::new(self.schema, self.table().message)
    }
}

impl<'s> EnumDescriptor<'s> {
    #[inline]
    pub(crate) fn table(self) -> &'s EnumTable {
        self.schema.tables().enumeration(self.index)
    }

    /// Its name with package and enclosing messages.
    pub fn full_name(self) -> &'s str {
        &self.table().full_name
    }

    /// The last part of its name.
    pub fn name(self) -> &'s str {
        &self.table().full_name[self.table().name_at as usize..]
    }

    /// The file that declares it.
    pub fn file(self) -> FileDescriptor<'s> {
        FileDescriptor::new(self.schema, self.table().file)
    }

    /// The message it is nested in.
    pub fn parent(self) -> Option<MessageDescriptor<'s>> {
        self.table()
            .parent
            .map(|index| MessageDescriptor::new(self.schema, index))
    }

    /// Whether numbers without a name are unknown fields instead of values.
    pub fn is_closed(self) -> bool {
        self.table().closed
    }

    /// Its values in the order of declaration.
    pub fn values(self) -> impl ExactSizeIterator<Item = EnumValueDescriptor<'s>> {
        self.table().values.iter().map(|value| EnumValueDescriptor {
            name: &value.name,
            number: value.number,
        })
    }

    /// The first value with this number.
    pub fn value(self, number: i32) -> Option<EnumValueDescriptor<'s>> {
        let table = self.table();
        let value = table.values.get(table.index_of(number)?)?;
        Some(EnumValueDescriptor {
            name: &value.name,
            number: value.number,
        })
    }

    /// The value with this name.
    pub fn value_named(self, name: &str) -> Option<EnumValueDescriptor<'s>> {
        let table = self.table();
        let value = table.values.get(table.by_name.find(name.as_bytes())? as usize)?;
        Some(EnumValueDescriptor {
            name: &value.name,
            number: value.number,
        })
    }
}

/// One value of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnumValueDescriptor<'s> {
    name: &'s str,
    number: i32,
}

impl<'s> EnumValueDescriptor<'s> {
    /// Its name.
    pub fn name(self) -> &'s str {
        self.name
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.number
    }
}
