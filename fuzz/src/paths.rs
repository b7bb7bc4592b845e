//! Paths that always fit the schema, made from a few small numbers.

use arbitrary::Arbitrary;
use heddle_dynamic_protobuf::path::{Key, Path};
use heddle_dynamic_protobuf::{FieldDescriptor, Kind, MessageDescriptor};

/// Which field at each level, and which of its values.
#[derive(Arbitrary, Clone, Debug)]
pub struct Steps {
    steps: Vec<(u8, Selection)>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Selection {
    Whole,
    Number(i8),
    Text(String),
}

/// Deeper paths find nothing new.
const MAX_STEPS: usize = 6;

/// The path that the steps make in messages of this type; `None` for no steps.
pub fn path(root: MessageDescriptor<'static>, steps: &Steps) -> Option<Path> {
    let (mut message, mut builder) = (root, Path::builder(root));
    for (choice, selection) in steps.steps.iter().take(MAX_STEPS) {
        let field = message
            .fields()
            .nth(usize::from(*choice) % message.fields().len())?;
        builder = builder.number(field.number());
        let key = key(field, selection);
        let selected = key.is_some();
        if let Some(key) = key {
            builder = builder.key(key);
        }
        let inner = if field.is_map() { field.map_value()? } else { field };
        match inner.message() {
            Some(next) if selected || !(field.is_map() || field.is_list()) => message = next,
            _ => break,
        }
    }
    builder.build().ok()
}

/// What chooses among a field's values, where it has several.
fn key(field: FieldDescriptor<'_>, selection: &Selection) -> Option<Key> {
    let (number, text) = match selection {
        Selection::Whole => return None,
        Selection::Number(number) => (*number, ""),
        Selection::Text(text) => (0, text.as_str()),
    };
    if field.is_list() {
        return Some(Key::Int(number.into()));
    }
    Some(match field.map_key()?.kind() {
        Kind::String => Key::String(text.into()),
        Kind::Bool => Key::Bool(number > 0),
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => {
            Key::Uint(number.unsigned_abs().into())
        }
        _ => Key::Int(number.into()),
    })
}
