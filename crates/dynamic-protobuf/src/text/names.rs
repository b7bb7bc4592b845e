//! By which names text knows fields: groups go by their type, extensions by their full name in brackets.

use crate::schema::{FieldDescriptor, Kind, MessageDescriptor, Schema, WellKnown};

/// A field's name in text, without the brackets of an extension's.
pub(super) fn name(field: FieldDescriptor<'_>) -> &str {
    match field.message() {
        Some(message) if field.is_extension() && is_message_set_item(field, message) => message.full_name(),
        _ if field.is_extension() => field.full_name(),
        Some(message) if is_group_like(field, message) => message.name(),
        _ => field.name(),
    }
}

/// The field that text calls so; extensions are not among them.
pub(super) fn field<'s>(message: MessageDescriptor<'s>, name: &str) -> Option<FieldDescriptor<'s>> {
    if let Some(field) = message.field_named(name) {
        return Some(field);
    }
    let field = message.field_named(&name.to_ascii_lowercase())?;
    let group = field.message()?;
    (is_group_like(field, group) && group.name() == name).then_some(field)
}

/// The extension of a message that text calls so in brackets.
pub(super) fn extension<'s>(message: MessageDescriptor<'s>, name: &str) -> Option<FieldDescriptor<'s>> {
    let schema = message.schema();
    let found = schema
        .extension(name)
        .or_else(|| message_set_item(message, schema.message(name)?));
    found.filter(|field| field.containing_message() == message)
}

/// Whether it is a group of proto2, or what editions make look like one: named like its type, and declared beside it.
fn is_group_like(field: FieldDescriptor<'_>, message: MessageDescriptor<'_>) -> bool {
    field.kind() == Kind::Group
        && message.name().to_ascii_lowercase() == field.name()
        && message.file() == field.file()
        && scope(message.full_name()) == scope(field.full_name())
}

/// Whether it is an item of a MessageSet in the usual form: declared inside of the message that it holds, by whose name it goes.
fn is_message_set_item(field: FieldDescriptor<'_>, message: MessageDescriptor<'_>) -> bool {
    field.containing_message().is_message_set()
        && field.kind() == Kind::Message
        && !field.is_list()
        && scope(field.full_name()) == message.full_name()
}

fn message_set_item<'s>(
    set: MessageDescriptor<'s>,
    item: MessageDescriptor<'s>,
) -> Option<FieldDescriptor<'s>> {
    let holds =
        |field: &FieldDescriptor<'_>| field.message() == Some(item) && is_message_set_item(*field, item);
    set.is_message_set().then(|| set.fields().find(holds)).flatten()
}

/// A full name without its last part.
fn scope(full_name: &str) -> &str {
    full_name.rsplit_once('.').map_or("", |(scope, _)| scope)
}

/// The fields of an `Any`: its type's URL and its bytes.
#[derive(Clone, Copy)]
pub(super) struct AnyFields<'s> {
    pub(super) type_url: FieldDescriptor<'s>,
    pub(super) value: FieldDescriptor<'s>,
}

impl<'s> AnyFields<'s> {
    /// The fields, if the message is an `Any`: schemas may say other things under that name.
    pub(super) fn of(message: MessageDescriptor<'s>) -> Option<Self> {
        if message.well_known() != Some(WellKnown::Any) {
            return None;
        }
        let single = |number, kind| {
            let found = message.field(number);
            found.filter(|field| field.kind() == kind && !field.is_list())
        };
        Some(Self {
            type_url: single(1, Kind::String)?,
            value: single(2, Kind::Bytes)?,
        })
    }
}

/// The type that a URL names: what follows its last slash.
pub(super) fn type_of<'s>(schema: &'s Schema, type_url: &str) -> Option<MessageDescriptor<'s>> {
    let (_, full_name) = type_url.rsplit_once('/')?;
    schema
        .message(full_name)
        .filter(|message| message.full_name() == full_name)
}

/// Whether these are identifiers with dots between.
pub(super) fn is_dotted(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(starts_identifier) && bytes.all(continues_identifier)
    })
}

pub(super) const fn starts_identifier(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

pub(super) const fn continues_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
