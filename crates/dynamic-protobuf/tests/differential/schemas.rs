//! Schemas made by choices: a proto3 file and a proto2 file that imports it, with everything that descriptors can say of fields.

use crate::choices::Choices;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, FileDescriptorSet, MessageOptions, OneofDescriptorProto, descriptor_proto,
};

const SCALARS: [Type; 15] = [
    Type::Int32,
    Type::String,
    Type::Bytes,
    Type::Bool,
    Type::Double,
    Type::Float,
    Type::Int64,
    Type::Uint64,
    Type::Fixed64,
    Type::Fixed32,
    Type::Uint32,
    Type::Sfixed32,
    Type::Sfixed64,
    Type::Sint32,
    Type::Sint64,
];
const KEYS: [Type; 12] = [
    Type::String,
    Type::Int32,
    Type::Bool,
    Type::Int64,
    Type::Uint32,
    Type::Uint64,
    Type::Sint32,
    Type::Sint64,
    Type::Fixed32,
    Type::Fixed64,
    Type::Sfixed32,
    Type::Sfixed64,
];
/// Numbers of the messages' extension range; fields keep out of it.
const EXTENSIONS: std::ops::Range<i32> = 1_000..2_000;
const IMPLEMENTATION_NUMBERS: std::ops::RangeInclusive<i32> = 19_000..=19_999;
const LARGEST_NUMBER: i32 = 536_870_911;

/// What fields of a file may refer to.
struct File {
    proto2: bool,
    /// Full names with a leading dot.
    messages: Vec<String>,
    enums: Vec<Enumeration>,
}

#[derive(Clone)]
struct Enumeration {
    name: String,
    first_value: String,
}

/// A descriptor set, and the full names of the messages that are worth a test.
pub(crate) fn descriptor_set(choices: &mut Choices<'_>) -> (FileDescriptorSet, Vec<String>) {
    let (modern, known) = file(choices, "modern", None);
    let (classic, all) = file(choices, "classic", Some(&known));
    let names = all.messages.iter().map(|name| name[1..].to_owned()).collect();
    let set = FileDescriptorSet {
        file: vec![modern, classic],
    };
    (set, names)
}

fn file(choices: &mut Choices<'_>, package: &str, imported: Option<&File>) -> (FileDescriptorProto, File) {
    let proto2 = imported.is_some();
    let enum_type: Vec<_> = (0..=choices.below(2))
        .map(|index| enumeration(choices, index, proto2))
        .collect();
    let message_count = 1 + choices.below(4);
    let own = (0..message_count).map(|index| format!(".{package}.M{index}"));
    let own_enums = enum_type.iter().map(|proto| Enumeration {
        name: format!(".{package}.{}", proto.name()),
        first_value: proto.value[0].name().to_owned(),
    });
    let known = File {
        proto2,
        // The file's own come first: they are what exhausted choices refer to.
        messages: own
            .chain(imported.iter().flat_map(|file| file.messages.clone()))
            .collect(),
        enums: own_enums
            .chain(imported.iter().flat_map(|file| file.enums.clone()))
            .collect(),
    };
    let mut message_type = Vec::new();
    for index in 0..message_count {
        message_type.push(message(choices, &known, &format!("{package}.M{index}"), index));
    }
    let extension = if proto2 {
        extensions(choices, &known, message_count)
    } else {
        Vec::new()
    };
    let proto = FileDescriptorProto {
        name: Some(format!("{package}.proto")),
        package: Some(package.to_owned()),
        syntax: Some(if proto2 { "proto2" } else { "proto3" }.to_owned()),
        dependency: imported.iter().map(|_| "modern.proto".to_owned()).collect(),
        message_type,
        enum_type,
        extension,
        ..FileDescriptorProto::default()
    };
    (proto, known)
}

fn enumeration(choices: &mut Choices<'_>, index: usize, proto2: bool) -> EnumDescriptorProto {
    let first = if proto2 { choices.one_of(&[0, 1, -1, 5]) } else { 0 };
    let mut numbers = vec![first];
    for _ in 0..choices.below(4) {
        let next = choices.one_of(&[1, 2, 3, -1, 100, i32::MAX, i32::MIN]);
        if !numbers.contains(&next) {
            numbers.push(next);
        }
    }
    let value = numbers
        .iter()
        .enumerate()
        .map(|(at, number)| EnumValueDescriptorProto {
            name: Some(format!("E{index}_V{at}")),
            number: Some(*number),
            options: None,
        })
        .collect();
    EnumDescriptorProto {
        name: Some(format!("E{index}")),
        value,
        ..EnumDescriptorProto::default()
    }
}

fn message(choices: &mut Choices<'_>, known: &File, full_name: &str, index: usize) -> DescriptorProto {
    let mut proto = DescriptorProto {
        name: Some(format!("M{index}")),
        ..DescriptorProto::default()
    };
    let oneofs = choices.below(3) as i32;
    let mut number = 0;
    for _ in 0..choices.below(10) {
        number = next_number(choices, number);
        if number == LARGEST_NUMBER {
            break;
        }
        field(choices, known, full_name, &mut proto, number, oneofs);
    }
    keep_oneofs_with_members(&mut proto, oneofs);
    add_synthetic_oneofs(&mut proto);
    if known.proto2 {
        proto.extension_range = vec![descriptor_proto::ExtensionRange {
            start: Some(EXTENSIONS.start),
            end: Some(EXTENSIONS.end),
            options: None,
        }];
    }
    proto
}

fn next_number(choices: &mut Choices<'_>, last: i32) -> i32 {
    let step = match choices.below(16) {
        0..=10 => 1,
        11 => 2,
        12 => 14,
        13 => 50,
        14 => 2_000,
        _ => 100_000_000,
    };
    let next = (last + step).min(LARGEST_NUMBER);
    if EXTENSIONS.contains(&next) {
        EXTENSIONS.end
    } else if IMPLEMENTATION_NUMBERS.contains(&next) {
        20_000
    } else {
        next
    }
}

/// A field's type, with the name for messages and enums.
fn field_type(choices: &mut Choices<'_>, known: &File) -> (Type, Option<String>, Option<String>) {
    match choices.below(24) {
        kind @ 0..15 => (SCALARS[kind], None, None),
        15..18 => {
            let at = choices.below(known.enums.len());
            let chosen = known.enums[at].clone();
            (Type::Enum, Some(chosen.name), Some(chosen.first_value))
        }
        _ => {
            let at = choices.below(known.messages.len());
            (Type::Message, Some(known.messages[at].clone()), None)
        }
    }
}

fn field(
    choices: &mut Choices<'_>,
    known: &File,
    scope: &str,
    message: &mut DescriptorProto,
    number: i32,
    oneofs: i32,
) {
    if choices.percent(15) {
        message.nested_type.push(map_entry(choices, known, number));
        message.field.push(FieldDescriptorProto {
            type_name: Some(format!(".{scope}.F{number}Entry")),
            ..labelled(number, Type::Message, Label::Repeated)
        });
        return;
    }
    let label = label(choices, known.proto2);
    let mut proto = if known.proto2 && choices.percent(12) {
        message.nested_type.push(group(choices, known, number));
        FieldDescriptorProto {
            name: Some(format!("g{number}")),
            type_name: Some(format!(".{scope}.G{number}")),
            ..labelled(number, Type::Group, label)
        }
    } else {
        let (kind, type_name, first_value) = field_type(choices, known);
        FieldDescriptorProto {
            type_name,
            options: (label == Label::Repeated)
                .then(|| packed_option(choices, kind))
                .flatten(),
            default_value: (known.proto2 && label != Label::Repeated && choices.percent(25))
                .then(|| default_value(kind, first_value))
                .flatten(),
            ..labelled(number, kind, label)
        }
    };
    if label == Label::Optional && oneofs > 0 && choices.percent(40) {
        proto.oneof_index = Some(choices.below(oneofs as usize) as i32);
    } else if label == Label::Optional && !known.proto2 && choices.percent(30) {
        proto.proto3_optional = Some(true);
    }
    message.field.push(proto);
}

fn labelled(number: i32, kind: Type, label: Label) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(format!("f{number}")),
        number: Some(number),
        label: Some(label as i32),
        r#type: Some(kind as i32),
        ..FieldDescriptorProto::default()
    }
}

fn label(choices: &mut Choices<'_>, proto2: bool) -> Label {
    match choices.below(20) {
        0..10 => Label::Optional,
        19 if proto2 => Label::Required,
        _ => Label::Repeated,
    }
}

fn packed_option(choices: &mut Choices<'_>, kind: Type) -> Option<FieldOptions> {
    let packable = !matches!(kind, Type::String | Type::Bytes | Type::Message | Type::Group);
    (packable && choices.percent(50)).then(|| FieldOptions {
        packed: Some(choices.percent(50)),
        ..FieldOptions::default()
    })
}

fn default_value(kind: Type, first_value: Option<String>) -> Option<String> {
    Some(match kind {
        Type::Bool => "true".to_owned(),
        Type::String => "a string".to_owned(),
        Type::Bytes => "\\001x".to_owned(),
        Type::Enum => first_value?,
        Type::Message | Type::Group => return None,
        Type::Float | Type::Double => "-1.5".to_owned(),
        _ => "7".to_owned(),
    })
}

fn map_entry(choices: &mut Choices<'_>, known: &File, number: i32) -> DescriptorProto {
    let key = FieldDescriptorProto {
        name: Some("key".to_owned()),
        ..labelled(1, choices.one_of(&KEYS), Label::Optional)
    };
    let (kind, type_name, _) = field_type(choices, known);
    let value = FieldDescriptorProto {
        name: Some("value".to_owned()),
        type_name,
        ..labelled(2, kind, Label::Optional)
    };
    DescriptorProto {
        name: Some(format!("F{number}Entry")),
        field: vec![key, value],
        options: Some(MessageOptions {
            map_entry: Some(true),
            ..MessageOptions::default()
        }),
        ..DescriptorProto::default()
    }
}

fn group(choices: &mut Choices<'_>, known: &File, number: i32) -> DescriptorProto {
    let mut field = Vec::new();
    for number in 1..=choices.below(4) as i32 {
        let (kind, type_name, _) = field_type(choices, known);
        let label = choices.one_of(&[Label::Optional, Label::Repeated]);
        field.push(FieldDescriptorProto {
            type_name,
            ..labelled(number, kind, label)
        });
    }
    DescriptorProto {
        name: Some(format!("G{number}")),
        field,
        ..DescriptorProto::default()
    }
}

/// A oneof without members is no valid descriptor; the indexes of the others close up.
fn keep_oneofs_with_members(message: &mut DescriptorProto, count: i32) {
    for index in 0..count {
        let used = message.field.iter().any(|field| field.oneof_index == Some(index));
        if !used {
            continue;
        }
        let closed_up = message.oneof_decl.len() as i32;
        message.oneof_decl.push(OneofDescriptorProto {
            name: Some(format!("choice{closed_up}")),
            options: None,
        });
        for field in &mut message.field {
            if field.oneof_index == Some(index) {
                field.oneof_index = Some(closed_up);
            }
        }
    }
}

fn add_synthetic_oneofs(message: &mut DescriptorProto) {
    for field in message.field.iter_mut().filter(|field| field.proto3_optional()) {
        field.oneof_index = Some(message.oneof_decl.len() as i32);
        message.oneof_decl.push(OneofDescriptorProto {
            name: Some(format!("_{}", field.name.clone().unwrap_or_default())),
            options: None,
        });
    }
}

fn extensions(choices: &mut Choices<'_>, known: &File, messages: usize) -> Vec<FieldDescriptorProto> {
    let mut extensions = Vec::new();
    for index in 0..choices.below(4) as i32 {
        let (kind, type_name, _) = field_type(choices, known);
        let label = choices.one_of(&[Label::Optional, Label::Repeated]);
        extensions.push(FieldDescriptorProto {
            name: Some(format!("x{index}")),
            extendee: Some(known.messages[choices.below(messages)].clone()),
            type_name,
            options: (label == Label::Repeated)
                .then(|| packed_option(choices, kind))
                .flatten(),
            ..labelled(EXTENSIONS.start + index, kind, label)
        });
    }
    extensions
}
