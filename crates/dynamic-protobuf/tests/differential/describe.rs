//! Descriptors as text that fits into a test's failure.

use prost_types::field_descriptor_proto::Label;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::fmt::Write as _;

pub(crate) fn files(set: &FileDescriptorSet) -> String {
    let mut out = String::new();
    for file in &set.file {
        let _ = writeln!(out, "// {} {}", file.name(), file.syntax());
        for enumeration in &file.enum_type {
            let values: Vec<i32> = enumeration.value.iter().map(|value| value.number()).collect();
            let _ = writeln!(out, "enum {} {values:?}", enumeration.name());
        }
        for proto in &file.message_type {
            message(&mut out, proto, 0);
        }
        for extension in &file.extension {
            let _ = write!(out, "extend {} ", extension.extendee());
            field(&mut out, extension, 0);
        }
    }
    out
}

fn message(out: &mut String, proto: &DescriptorProto, indent: usize) {
    let _ = writeln!(out, "{:indent$}message {} {{", "", proto.name());
    for nested in &proto.nested_type {
        message(out, nested, indent + 2);
    }
    for proto in &proto.field {
        field(out, proto, indent + 2);
    }
    let _ = writeln!(out, "{:indent$}}}", "");
}

fn field(out: &mut String, proto: &FieldDescriptorProto, indent: usize) {
    let label = match proto.label() {
        Label::Optional => "",
        Label::Required => "required ",
        Label::Repeated => "repeated ",
    };
    let kind = proto.r#type().as_str_name();
    let _ = write!(
        out,
        "{:indent$}{label}{kind} {} {} = {}",
        "",
        proto.type_name(),
        proto.name(),
        proto.number()
    );
    let oneof = proto.oneof_index.map(|index| format!(" oneof {index}"));
    let packed = proto
        .options
        .as_ref()
        .and_then(|options| options.packed)
        .map(|packed| format!(" packed {packed}"));
    let optional = proto.proto3_optional().then_some(" proto3_optional");
    let _ = writeln!(
        out,
        "{}{}{}",
        oneof.unwrap_or_default(),
        packed.unwrap_or_default(),
        optional.unwrap_or_default()
    );
}
