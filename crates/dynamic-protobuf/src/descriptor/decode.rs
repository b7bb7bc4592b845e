//! Reads `descriptor.proto`'s messages from the wire, by hand: it is what everything else is bootstrapped from.

use super::options::{
    EnumOptions, EnumType, FeatureSet, FieldOptions, FieldPresence, FileOptions, IdempotencyLevel,
    JsonFormat, MessageEncoding, MessageOptions, MethodOptions, OneofOptions, RepeatedFieldEncoding,
    Utf8Validation,
};
use super::{
    DescriptorProto, Edition, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FieldType,
    FileDescriptorProto, FileDescriptorSet, Label, Location, MethodDescriptorProto, NumberRange,
    OneofDescriptorProto, ServiceDescriptorProto,
};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::wire::{self, WireType};

type Result<T> = std::result::Result<T, DecodeError>;

pub(super) fn file_descriptor_set(bytes: &[u8]) -> Result<FileDescriptorSet> {
    let mut set = FileDescriptorSet::default();
    if bytes.len() > wire::MAX_MESSAGE_BYTES {
        return Err(DecodeError::new(DecodeErrorKind::TooLarge, 0));
    }
    let input = Input {
        bytes,
        start: 0,
        depth: Limits::DEFAULT_DEPTH,
    };
    input.fields(|number, value| {
        if number == 1 {
            set.file.push(value.message("file", file)?);
        }
        Ok(())
    })?;
    Ok(set)
}

/// The bytes of one message and where they stand in the whole.
#[derive(Clone, Copy)]
struct Input<'a> {
    bytes: &'a [u8],
    start: usize,
    depth: u32,
}

/// One field's value and where it stands.
struct Value<'a> {
    content: Content<'a>,
    offset: usize,
    depth: u32,
}

enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Input<'a> {
    /// Calls `each` with every field of the message in order.
    fn fields(self, mut each: impl FnMut(u32, Value<'a>) -> Result<()>) -> Result<()> {
        let mut pos = 0;
        while pos < self.bytes.len() {
            let at = pos;
            let (number, value) = self
                .field(&mut pos)
                .map_err(|kind| DecodeError::new(kind, self.start + at))?;
            each(number, value)?;
        }
        Ok(())
    }

    fn field(&self, pos: &mut usize) -> std::result::Result<(u32, Value<'a>), DecodeErrorKind> {
        let tag = wire::read_tag(self.bytes, pos)?;
        let content = match WireType::of_tag(tag) {
            Some(WireType::Varint) => Content::Number(wire::varint(self.bytes, pos)?),
            Some(WireType::Len) => Content::Bytes(wire::read_bytes(self.bytes, pos)?),
            _ => {
                wire::skip_value(self.bytes, pos, tag, self.depth)?;
                Content::Other
            }
        };
        let length = match content {
            Content::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        let value = Value {
            content,
            offset: self.start + *pos - length,
            depth: self.depth,
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Value<'a> {
    fn message<T>(&self, name: &str, read: impl FnOnce(Input<'a>) -> Result<T>) -> Result<T> {
        let depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::TooDeep, self.offset))?;
        let input = Input {
            bytes: self.raw(),
            start: self.offset,
            depth,
        };
        read(input).map_err(|error| error.in_field(name))
    }

    fn raw(&self) -> &'a [u8] {
        match self.content {
            Content::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    fn string(&self, name: &str) -> Result<String> {
        std::str::from_utf8(self.raw())
            .map(str::to_owned)
            .map_err(|_| DecodeError::new(DecodeErrorKind::InvalidUtf8, self.offset).in_field(name))
    }

    fn int(&self) -> i32 {
        match self.content {
            Content::Number(number) => number as i32,
            _ => 0,
        }
    }

    fn bool(&self) -> bool {
        matches!(self.content, Content::Number(number) if number != 0)
    }

    /// Appends one number, or all of a packed list.
    fn ints(&self, out: &mut Vec<i32>) -> Result<()> {
        match self.content {
            Content::Number(number) => out.push(number as i32),
            Content::Bytes(bytes) => {
                let mut pos = 0;
                while pos < bytes.len() {
                    let number = wire::varint(bytes, &mut pos)
                        .map_err(|kind| DecodeError::new(kind, self.offset + pos))?;
                    out.push(number as i32);
                }
            }
            Content::Other => {}
        }
        Ok(())
    }
}

fn file(input: Input<'_>) -> Result<FileDescriptorProto> {
    let mut file = FileDescriptorProto::default();
    let mut syntax = String::new();
    let mut edition = None;
    input.fields(|number, value| {
        match number {
            1 => file.name = value.string("name")?,
            2 => file.package = value.string("package")?,
            3 => file.dependency.push(value.string("dependency")?),
            4 => file.message_type.push(value.message("message_type", message)?),
            5 => file.enum_type.push(value.message("enum_type", enumeration)?),
            6 => file.service.push(value.message("service", service)?),
            7 => file.extension.push(value.message("extension", field)?),
            8 => value.message("options", |input| file_options(input, &mut file.options))?,
            9 => value.message("source_code_info", |input| {
                source_code_info(input, &mut file.source_code_info)
            })?,
            10 => value.ints(&mut file.public_dependency)?,
            11 => value.ints(&mut file.weak_dependency)?,
            12 => syntax = value.string("syntax")?,
            14 => edition = Some(value.int()),
            _ => {}
        }
        Ok(())
    })?;
    file.edition = match (syntax.as_str(), edition) {
        ("proto3", _) | (_, Some(999)) => Edition::Proto3,
        (_, Some(1000)) => Edition::Edition2023,
        (_, Some(1001)) => Edition::Edition2024,
        ("" | "proto2", None) | (_, Some(998)) => Edition::Proto2,
        (_, other) => Edition::Unknown(other.unwrap_or_default()),
    };
    Ok(file)
}

fn source_code_info(input: Input<'_>, out: &mut Vec<Location>) -> Result<()> {
    input.fields(|number, value| {
        if number == 1 {
            out.push(value.message("location", location)?);
        }
        Ok(())
    })
}

fn location(input: Input<'_>) -> Result<Location> {
    let mut location = Location::default();
    input.fields(|number, value| {
        match number {
            1 => value.ints(&mut location.path)?,
            2 => value.ints(&mut location.span)?,
            // Comments are for people: one that is not UTF-8 spoils nothing.
            3 => location.leading_comments = Some(String::from_utf8_lossy(value.raw()).into_owned()),
            4 => location.trailing_comments = Some(String::from_utf8_lossy(value.raw()).into_owned()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(location)
}

fn message(input: Input<'_>) -> Result<DescriptorProto> {
    let mut message = DescriptorProto::default();
    input.fields(|number, value| {
        match number {
            1 => message.name = value.string("name")?,
            2 => message.field.push(value.message("field", field)?),
            3 => message
                .nested_type
                .push(value.message("nested_type", self::message)?),
            4 => message.enum_type.push(value.message("enum_type", enumeration)?),
            5 => message
                .extension_range
                .push(value.message("extension_range", range)?),
            6 => message.extension.push(value.message("extension", field)?),
            7 => value.message("options", |input| message_options(input, &mut message.options))?,
            8 => message.oneof_decl.push(value.message("oneof_decl", oneof)?),
            9 => message
                .reserved_range
                .push(value.message("reserved_range", range)?),
            10 => message.reserved_name.push(value.string("reserved_name")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(message)
}

fn range(input: Input<'_>) -> Result<NumberRange> {
    let mut range = NumberRange::default();
    input.fields(|number, value| {
        match number {
            1 => range.start = value.int(),
            2 => range.end = value.int(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(range)
}

fn field(input: Input<'_>) -> Result<FieldDescriptorProto> {
    let mut field = FieldDescriptorProto::default();
    input.fields(|number, value| {
        match number {
            1 => field.name = value.string("name")?,
            2 => field.extendee = Some(value.string("extendee")?),
            3 => field.number = value.int(),
            4 => field.label = label(value.int()),
            5 => field.r#type = field_type(value.int()),
            6 => field.type_name = Some(value.string("type_name")?),
            7 => field.default_value = Some(value.string("default_value")?),
            8 => value.message("options", |input| field_options(input, &mut field.options))?,
            9 => field.oneof_index = Some(value.int()),
            10 => field.json_name = Some(value.string("json_name")?),
            17 => field.proto3_optional = value.bool(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(field)
}

fn label(number: i32) -> Label {
    match number {
        2 => Label::Required,
        3 => Label::Repeated,
        _ => Label::Optional,
    }
}

fn field_type(number: i32) -> Option<FieldType> {
    const TYPES: [FieldType; 18] = [
        FieldType::Double,
        FieldType::Float,
        FieldType::Int64,
        FieldType::Uint64,
        FieldType::Int32,
        FieldType::Fixed64,
        FieldType::Fixed32,
        FieldType::Bool,
        FieldType::String,
        FieldType::Group,
        FieldType::Message,
        FieldType::Bytes,
        FieldType::Uint32,
        FieldType::Enum,
        FieldType::Sfixed32,
        FieldType::Sfixed64,
        FieldType::Sint32,
        FieldType::Sint64,
    ];
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    TYPES.get(index).copied()
}

fn oneof(input: Input<'_>) -> Result<OneofDescriptorProto> {
    let mut oneof = OneofDescriptorProto::default();
    input.fields(|number, value| {
        match number {
            1 => oneof.name = value.string("name")?,
            2 => value.message("options", |input| oneof_options(input, &mut oneof.options))?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(oneof)
}

fn enumeration(input: Input<'_>) -> Result<EnumDescriptorProto> {
    let mut enumeration = EnumDescriptorProto::default();
    input.fields(|number, value| {
        match number {
            1 => enumeration.name = value.string("name")?,
            2 => enumeration.value.push(value.message("value", enum_value)?),
            3 => value.message("options", |input| enum_options(input, &mut enumeration.options))?,
            4 => enumeration
                .reserved_range
                .push(value.message("reserved_range", range)?),
            5 => enumeration.reserved_name.push(value.string("reserved_name")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(enumeration)
}

fn enum_value(input: Input<'_>) -> Result<EnumValueDescriptorProto> {
    let mut enum_value = EnumValueDescriptorProto::default();
    input.fields(|number, value| {
        match number {
            1 => enum_value.name = value.string("name")?,
            2 => enum_value.number = value.int(),
            3 => append(&mut enum_value.options.encoded, value.raw()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(enum_value)
}

fn service(input: Input<'_>) -> Result<ServiceDescriptorProto> {
    let mut service = ServiceDescriptorProto::default();
    input.fields(|number, value| {
        match number {
            1 => service.name = value.string("name")?,
            2 => service.method.push(value.message("method", method)?),
            3 => append(&mut service.options.encoded, value.raw()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(service)
}

fn method(input: Input<'_>) -> Result<MethodDescriptorProto> {
    let mut method = MethodDescriptorProto::default();
    input.fields(|number, value| {
        match number {
            1 => method.name = value.string("name")?,
            2 => method.input_type = value.string("input_type")?,
            3 => method.output_type = value.string("output_type")?,
            4 => value.message("options", |input| method_options(input, &mut method.options))?,
            5 => method.client_streaming = value.bool(),
            6 => method.server_streaming = value.bool(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(method)
}

/// Occurrences of one message field merge, and encoded messages merge by standing one after the other.
fn append(encoded: &mut Vec<u8>, more: &[u8]) {
    encoded.extend_from_slice(more);
}

fn file_options(input: Input<'_>, options: &mut FileOptions) -> Result<()> {
    append(&mut options.encoded, input.bytes);
    input.fields(|number, value| match number {
        50 => features(&value, &mut options.features),
        _ => Ok(()),
    })
}

fn message_options(input: Input<'_>, options: &mut MessageOptions) -> Result<()> {
    append(&mut options.encoded, input.bytes);
    input.fields(|number, value| {
        match number {
            1 => options.message_set_wire_format = value.bool(),
            7 => options.map_entry = value.bool(),
            12 => features(&value, &mut options.features)?,
            _ => {}
        }
        Ok(())
    })
}

fn field_options(input: Input<'_>, options: &mut FieldOptions) -> Result<()> {
    append(&mut options.encoded, input.bytes);
    input.fields(|number, value| {
        match number {
            2 => options.packed = Some(value.bool()),
            21 => features(&value, &mut options.features)?,
            _ => {}
        }
        Ok(())
    })
}

fn oneof_options(input: Input<'_>, options: &mut OneofOptions) -> Result<()> {
    append(&mut options.encoded, input.bytes);
    input.fields(|number, value| match number {
        1 => features(&value, &mut options.features),
        _ => Ok(()),
    })
}

fn enum_options(input: Input<'_>, options: &mut EnumOptions) -> Result<()> {
    append(&mut options.encoded, input.bytes);
    input.fields(|number, value| {
        match number {
            2 => options.allow_alias = value.bool(),
            7 => features(&value, &mut options.features)?,
            _ => {}
        }
        Ok(())
    })
}

fn method_options(input: Input<'_>, options: &mut MethodOptions) -> Result<()> {
    append(&mut options.encoded, input.bytes);
    input.fields(|number, value| {
        if number == 34 {
            options.idempotency_level = IdempotencyLevel::from_number(value.int());
        }
        Ok(())
    })
}

fn features(value: &Value<'_>, out: &mut FeatureSet) -> Result<()> {
    value.message("features", |input| {
        input.fields(|number, value| {
            match number {
                1 => out.field_presence = FieldPresence::from_number(value.int()),
                2 => out.enum_type = EnumType::from_number(value.int()),
                3 => out.repeated_field_encoding = RepeatedFieldEncoding::from_number(value.int()),
                4 => out.utf8_validation = Utf8Validation::from_number(value.int()),
                5 => out.message_encoding = MessageEncoding::from_number(value.int()),
                6 => out.json_format = JsonFormat::from_number(value.int()),
                _ => {}
            }
            Ok(())
        })
    })
}
