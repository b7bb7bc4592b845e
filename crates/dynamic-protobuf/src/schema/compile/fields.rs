//! Resolves fields and extensions: their types, presence, encoding and defaults.

use super::super::error::SchemaErrorKind;
use super::super::features::Features;
use super::super::tables::{Default, Entry, FieldTable, MethodTable, Op, ServiceTable, Symbol};
use super::super::{Cardinality, Kind};
use super::{Compiler, PendingField, defaults, name_at, qualified};
use crate::descriptor::{
    Edition, FieldDescriptorProto, FieldPresence, FieldType, Label, MessageEncoding, RepeatedFieldEncoding,
    Utf8Validation,
};
use crate::wire::{MAX_FIELD_NUMBER, WireType, tag};

/// Numbers that the protobuf implementation keeps for itself.
const IMPLEMENTATION_NUMBERS: std::ops::RangeInclusive<i32> = 19_000..=19_999;

/// A field that is about to be resolved, with what its surroundings say.
struct Subject<'a> {
    proto: &'a FieldDescriptorProto,
    message: u32,
    full_name: String,
    scope: &'a str,
    file: u32,
    features: Features,
    extension: bool,
    declared: u32,
}

impl Compiler<'_> {
    /// Resolves the fields of every message in the order of messages, and lays out its tables.
    pub(super) fn resolve_fields(&mut self) {
        self.assign_extensions();
        for index in 0..self.messages.len() as u32 {
            let fields = self.fields_of_message(index);
            self.lay_out(index, fields);
        }
        self.check_maps();
    }

    /// Gives each extension to the message it extends.
    fn assign_extensions(&mut self) {
        for extension in std::mem::take(&mut self.extensions) {
            let full_name = qualified(&extension.scope, &extension.proto.name);
            let extendee = extension.proto.extendee.as_deref().unwrap_or_default();
            match self.resolve(&extension.scope, extendee) {
                Some(Symbol::Message(message)) => self.messages[message as usize].extensions.push(extension),
                Some(_) => self.error(
                    extension.file,
                    &full_name,
                    SchemaErrorKind::WrongType(extendee.to_owned()),
                ),
                None => self.error(
                    extension.file,
                    &full_name,
                    SchemaErrorKind::UnknownType(extendee.to_owned()),
                ),
            }
        }
    }

    fn fields_of_message(&mut self, message: u32) -> Vec<FieldTable> {
        let pending = &mut self.messages[message as usize];
        let (proto, features) = (pending.proto, pending.features);
        let extensions = std::mem::take(&mut pending.extensions);
        let table = self.tables.message(message);
        let (scope, file) = (table.full_name.to_string(), table.file);
        let mut fields = Vec::with_capacity(proto.field.len() + extensions.len());
        for (declared, proto) in proto.field.iter().enumerate() {
            let oneof = proto.oneof_index.and_then(|index| {
                self.messages[message as usize]
                    .proto
                    .oneof_decl
                    .get(index as usize)
            });
            let features = oneof.map_or(features, |oneof| features.with(&oneof.options.features));
            fields.push(self.field(&Subject {
                proto,
                message,
                full_name: qualified(&scope, &proto.name),
                scope: &scope,
                file,
                features: features.with(&proto.options.features),
                extension: false,
                declared: declared as u32,
            }));
        }
        for PendingField {
            proto,
            scope,
            features,
            file,
        } in &extensions
        {
            let full_name = qualified(scope, &proto.name);
            let declared = fields.len() as u32;
            let (file, features) = (*file, *features);
            fields.push(self.field(&Subject {
                proto,
                message,
                full_name,
                scope,
                file,
                features,
                extension: true,
                declared,
            }));
        }
        fields
    }

    fn field(&mut self, subject: &Subject<'_>) -> FieldTable {
        let proto = subject.proto;
        let (kind, sub) = self.field_type(subject);
        let number = self.number(subject);
        let cardinality = cardinality(proto, subject.features);
        let map = cardinality == Cardinality::Repeated
            && kind.is_message()
            && sub.is_some_and(|sub| self.tables.message(sub).map_entry);
        // A map is length-prefixed even where groups are the default.
        let kind = if map { Kind::Message } else { kind };
        let enumeration = sub
            .filter(|_| kind == Kind::Enum)
            .map(|sub| self.tables.enumeration(sub));
        let closed = enumeration.is_some_and(|enumeration| enumeration.closed);
        let default = match &proto.default_value {
            None => Some(defaults::implied(kind, enumeration)),
            Some(text) => defaults::parse(kind, enumeration, text),
        };
        let presence = has_presence(subject, kind, cardinality);
        let packed = cardinality == Cardinality::Repeated
            && kind.is_packable()
            && is_packed(subject, self.edition(subject.file));
        let flags = [
            (cardinality == Cardinality::Repeated, Entry::REPEATED),
            (map, Entry::MAP),
            (packed, Entry::PACKED),
            (!presence && cardinality != Cardinality::Repeated, Entry::IMPLICIT),
            (
                kind == Kind::String && subject.features.utf8_validation == Utf8Validation::Verify,
                Entry::UTF8,
            ),
        ];
        if default.is_none() {
            let text = proto.default_value.clone().unwrap_or_default();
            self.error(
                subject.file,
                &subject.full_name,
                SchemaErrorKind::InvalidDefault(text),
            );
        }
        let json_name = json_name(subject);
        FieldTable {
            json_key: json_key(&json_name),
            proto_key: json_key(if subject.extension {
                &json_name
            } else {
                &proto.name
            }),
            json_name: json_name.into(),
            name: proto.name.as_str().into(),
            full_name: subject.full_name.as_str().into(),
            number,
            kind,
            cardinality,
            message: subject.message,
            oneof: None,
            presence,
            extension: subject.extension,
            file: subject.file,
            default: default.unwrap_or(Default::Bits(0)),
            entry: Entry {
                tag: field_tag(number, kind, packed),
                sub: sub.unwrap_or_default(),
                slot: 0,
                oneof: 0,
                op: op(kind, closed),
                flags: flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag).sum(),
            },
            declared: subject.declared,
        }
    }

    fn edition(&self, file: u32) -> Edition {
        self.files[file as usize].edition
    }

    /// The field's kind and the index of its message or enum.
    fn field_type(&mut self, subject: &Subject<'_>) -> (Kind, Option<u32>) {
        let proto = subject.proto;
        let Some(type_name) = proto
            .type_name
            .as_deref()
            .filter(|_| !proto.r#type.is_some_and(is_scalar))
        else {
            let kind = proto.r#type.filter(|kind| is_scalar(*kind)).map(scalar_kind);
            if kind.is_none() {
                self.error(subject.file, &subject.full_name, SchemaErrorKind::MissingType);
            }
            return (kind.unwrap_or(Kind::Int32), None);
        };
        // Values of maps are length-prefixed even where groups are the default.
        let delimited = proto.r#type == Some(FieldType::Group)
            || subject.features.message_encoding == MessageEncoding::Delimited
                && !self.tables.message(subject.message).map_entry;
        let kind = if delimited { Kind::Group } else { Kind::Message };
        match (self.resolve(subject.scope, type_name), proto.r#type) {
            (Some(Symbol::Message(index)), None | Some(FieldType::Message | FieldType::Group)) => {
                (kind, Some(index))
            }
            (Some(Symbol::Enum(index)), None | Some(FieldType::Enum)) => (Kind::Enum, Some(index)),
            (Some(_), _) => {
                self.error(
                    subject.file,
                    &subject.full_name,
                    SchemaErrorKind::WrongType(type_name.to_owned()),
                );
                (Kind::Int32, None)
            }
            (None, _) => {
                self.error(
                    subject.file,
                    &subject.full_name,
                    SchemaErrorKind::UnknownType(type_name.to_owned()),
                );
                (Kind::Int32, None)
            }
        }
    }

    fn number(&mut self, subject: &Subject<'_>) -> u32 {
        let number = subject.proto.number;
        let table = self.tables.message(subject.message);
        // A MessageSet's numbers are type ids, which may have 31 bits.
        let most = if table.message_set {
            i32::MAX
        } else {
            MAX_FIELD_NUMBER as i32
        };
        let valid = (1..=most).contains(&number) && !IMPLEMENTATION_NUMBERS.contains(&number);
        let open = !subject.extension
            || table
                .extension_ranges
                .iter()
                .any(|range| range.contains(&(number as u32)));
        if !valid {
            self.error(
                subject.file,
                &subject.full_name,
                SchemaErrorKind::InvalidNumber(number),
            );
            return 0;
        }
        if !open {
            let kind = SchemaErrorKind::NotExtendable(table.full_name.to_string(), number as u32);
            self.error(subject.file, &subject.full_name, kind);
        }
        number as u32
    }

    /// Map entries need a key that can be one and a value; decoders rely on it.
    fn check_maps(&mut self) {
        let mut wrong = Vec::new();
        for field in self
            .tables
            .fields
            .iter()
            .filter(|field| field.entry.is(Entry::MAP))
        {
            let entry = self.tables.message(field.entry.sub);
            let fields = self.tables.fields_of(entry);
            let shaped = matches!(fields, [key, value] if key.number == 1 && value.number == 2 && is_map_key(key)
                && key.cardinality != Cardinality::Repeated && value.cardinality != Cardinality::Repeated);
            if !shaped {
                wrong.push((field.file, field.full_name.clone()));
            }
        }
        for (file, element) in wrong {
            self.error(file, &element, SchemaErrorKind::InvalidMapEntry);
        }
    }

    pub(super) fn resolve_services(&mut self) {
        for (index, file) in self.files.iter().enumerate() {
            let index = index as u32;
            for proto in &file.service {
                let full_name = qualified(&file.package, &proto.name);
                let symbol = Symbol::Service(self.tables.services.len() as u32);
                self.take_name(index, &full_name, &proto.name, symbol);
                let mut methods = Vec::with_capacity(proto.method.len());
                for method in &proto.method {
                    let element = qualified(&full_name, &method.name);
                    methods.push(MethodTable {
                        name: method.name.as_str().into(),
                        input: self.method_type(index, &element, &full_name, &method.input_type),
                        output: self.method_type(index, &element, &full_name, &method.output_type),
                        client_streaming: method.client_streaming,
                        server_streaming: method.server_streaming,
                    });
                }
                self.tables.services.push(ServiceTable {
                    name_at: name_at(&full_name),
                    full_name: full_name.into(),
                    file: index,
                    methods: methods.into_boxed_slice(),
                });
            }
        }
    }

    fn method_type(&mut self, file: u32, element: &str, scope: &str, name: &str) -> u32 {
        match self.resolve(scope, name) {
            Some(Symbol::Message(index)) => return index,
            Some(_) => self.error(file, element, SchemaErrorKind::WrongType(name.to_owned())),
            None => self.error(file, element, SchemaErrorKind::UnknownType(name.to_owned())),
        }
        0
    }
}

fn cardinality(proto: &FieldDescriptorProto, features: Features) -> Cardinality {
    match proto.label {
        Label::Repeated => Cardinality::Repeated,
        Label::Required => Cardinality::Required,
        Label::Optional if features.field_presence == FieldPresence::LegacyRequired => Cardinality::Required,
        Label::Optional => Cardinality::Optional,
    }
}

fn has_presence(subject: &Subject<'_>, kind: Kind, cardinality: Cardinality) -> bool {
    match cardinality {
        Cardinality::Repeated => false,
        Cardinality::Required => true,
        Cardinality::Optional => {
            kind.is_message()
                || subject.extension
                || subject.proto.proto3_optional
                || subject.proto.oneof_index.is_some()
                || subject.features.field_presence != FieldPresence::Implicit
        }
    }
}

fn is_packed(subject: &Subject<'_>, edition: Edition) -> bool {
    let legacy = matches!(edition, Edition::Proto2 | Edition::Proto3);
    let stated = subject.proto.options.packed.filter(|_| legacy);
    stated.unwrap_or(subject.features.repeated_field_encoding == RepeatedFieldEncoding::Packed)
}

fn field_tag(number: u32, kind: Kind, packed: bool) -> u32 {
    let wire_type = if packed { WireType::Len } else { kind.wire_type() };
    tag(number, wire_type)
}

fn is_map_key(field: &FieldTable) -> bool {
    !matches!(
        field.kind,
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Enum | Kind::Message | Kind::Group
    )
}

const fn is_scalar(kind: FieldType) -> bool {
    !matches!(kind, FieldType::Message | FieldType::Group | FieldType::Enum)
}

fn scalar_kind(kind: FieldType) -> Kind {
    match kind {
        FieldType::Double => Kind::Double,
        FieldType::Float => Kind::Float,
        FieldType::Int64 => Kind::Int64,
        FieldType::Uint64 => Kind::Uint64,
        FieldType::Int32 => Kind::Int32,
        FieldType::Fixed64 => Kind::Fixed64,
        FieldType::Fixed32 => Kind::Fixed32,
        FieldType::Bool => Kind::Bool,
        FieldType::String => Kind::String,
        FieldType::Group => Kind::Group,
        FieldType::Message => Kind::Message,
        FieldType::Bytes => Kind::Bytes,
        FieldType::Uint32 => Kind::Uint32,
        FieldType::Enum => Kind::Enum,
        FieldType::Sfixed32 => Kind::Sfixed32,
        FieldType::Sfixed64 => Kind::Sfixed64,
        FieldType::Sint32 => Kind::Sint32,
        FieldType::Sint64 => Kind::Sint64,
    }
}

fn op(kind: Kind, closed: bool) -> Op {
    match kind {
        Kind::Int64 | Kind::Uint64 => Op::Varint64,
        Kind::Int32 => Op::Int32,
        Kind::Uint32 => Op::Uint32,
        Kind::Sint32 => Op::Sint32,
        Kind::Sint64 => Op::Sint64,
        Kind::Bool => Op::Bool,
        Kind::Enum if closed => Op::EnumClosed,
        Kind::Enum => Op::EnumOpen,
        Kind::Fixed32 | Kind::Float => Op::Fixed32,
        Kind::Sfixed32 => Op::Sfixed32,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => Op::Fixed64,
        Kind::String => Op::String,
        Kind::Bytes => Op::Bytes,
        Kind::Message => Op::Message,
        Kind::Group => Op::Group,
    }
}

/// The name in JSON: an extension's is bracketed, others have one in the set or get it from the field's name.
fn json_name(subject: &Subject<'_>) -> String {
    if subject.extension {
        return format!("[{}]", subject.full_name);
    }
    subject
        .proto
        .json_name
        .clone()
        .unwrap_or_else(|| lower_camel_case(&subject.proto.name))
}

/// `foo_bar` as `fooBar`, by the rule of protoc: underscores vanish and what follows one is a capital.
fn lower_camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for byte in name.chars() {
        match byte {
            '_' => raise = true,
            _ => {
                out.push(if raise { byte.to_ascii_uppercase() } else { byte });
                raise = false;
            }
        }
    }
    out
}

/// A key as JSON writes it, with the comma before it and its colon.
fn json_key(name: &str) -> Box<[u8]> {
    let mut key = String::with_capacity(name.len() + 4);
    key.push_str(",\"");
    for char in name.chars() {
        match char {
            '"' | '\\' => {
                key.push('\\');
                key.push(char);
            }
            control if u32::from(control) < 0x20 => key.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => key.push(other),
        }
    }
    key.push_str("\":");
    key.into_bytes().into_boxed_slice()
}
