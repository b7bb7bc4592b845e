//! Resolves segments against a schema.

use super::error::{PathError, PathErrorKind};
use super::parse::{Name, Segment, Selection, segment_text};
use super::{Key, MAX_PATH_SEGMENTS, Selector, Step};
use crate::view::target::Target;
use crate::{FieldDescriptor, Kind, MessageDescriptor};

/// How many names an error proposes at most.
const MAX_NEAR: usize = 3;
/// How alike a name has to be to be proposed: Jaro and Winkler's measure, from 0 to 1.
const MIN_LIKENESS: f64 = 0.75;

/// The steps of a path from `root`.
pub(crate) fn compile(root: MessageDescriptor<'_>, segments: &[Segment]) -> Result<Box<[Step]>, PathError> {
    if segments.is_empty() || segments.len() > MAX_PATH_SEGMENTS {
        let kind = match segments {
            [] => PathErrorKind::Syntax("a path needs at least one segment"),
            _ => PathErrorKind::TooLong,
        };
        return Err(PathError {
            segment: String::new(),
            index: segments.len(),
            kind,
        });
    }
    let mut message = Some(root);
    let mut steps = Vec::with_capacity(segments.len());
    for (index, segment) in segments.iter().enumerate() {
        let failed = |kind| PathError {
            segment: segment_text(segment),
            index,
            kind,
        };
        let owner = message.ok_or_else(|| no_message(&steps, segments, index, root))?;
        let field = field(owner, &segment.name).map_err(failed)?;
        let target = field_target(field);
        let selector = selector(field, &target, segment.selection.as_ref()).map_err(failed)?;
        let last = index + 1 == segments.len();
        if !last && selector == Selector::Whole && target.is_list() {
            return Err(failed(PathErrorKind::NeedsIndex(field.name().to_owned())));
        }
        if !last && selector == Selector::Whole && target.is_map() {
            return Err(failed(PathErrorKind::NeedsKey(field.name().to_owned())));
        }
        message = field
            .map_value()
            .map_or(field.message(), FieldDescriptor::message);
        steps.push(Step {
            target,
            message: owner.index(),
            selector,
        });
    }
    Ok(steps.into_boxed_slice())
}

/// The error that the segment before `index` is not a message.
fn no_message(steps: &[Step], segments: &[Segment], index: usize, root: MessageDescriptor<'_>) -> PathError {
    let before = index.saturating_sub(1);
    let kind = steps.last().map_or(String::new(), |step| {
        let field = FieldDescriptor::new(root.schema(), step.target.field);
        kind_name(field.map_value().unwrap_or(field).kind()).to_owned()
    });
    PathError {
        segment: segments.get(before).map(segment_text).unwrap_or_default(),
        index: before,
        kind: PathErrorKind::NoMessage(kind),
    }
}

pub(crate) fn field_target(field: FieldDescriptor<'_>) -> Target {
    Target::of(field.schema().tables(), field.index())
}

/// The field of `message` that is called so.
pub(crate) fn field<'s>(
    message: MessageDescriptor<'s>,
    name: &Name,
) -> Result<FieldDescriptor<'s>, PathErrorKind> {
    let found = match name {
        Name::Field(name) => message.field_named(name).or_else(|| message.field_spelled(name)),
        Name::Number(number) => message.field(*number),
        Name::Extension(name) => message.field_spelled(&format!("[{name}]")),
    };
    found.ok_or_else(|| PathErrorKind::UnknownField {
        message: message.full_name().to_owned(),
        near: near(message, name),
    })
}

fn near(message: MessageDescriptor<'_>, name: &Name) -> Vec<String> {
    let (Name::Field(wanted) | Name::Extension(wanted)) = name else {
        return Vec::new();
    };
    let mut names: Vec<(f64, String)> = message
        .fields()
        .map(|field| {
            let spelled = if field.is_extension() {
                field.full_name()
            } else {
                field.name()
            };
            let likeness = strsim::jaro_winkler(spelled, wanted);
            let text = if field.is_extension() {
                field.json_name()
            } else {
                spelled
            };
            (likeness, text.to_owned())
        })
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .collect();
    names.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    names.into_iter().take(MAX_NEAR).map(|(_, name)| name).collect()
}

fn selector(
    field: FieldDescriptor<'_>,
    target: &Target,
    selection: Option<&Selection>,
) -> Result<Selector, PathErrorKind> {
    let key = match selection {
        None => return Ok(Selector::Whole),
        Some(Selection::Key(key)) => key,
        Some(_) => return Err(PathErrorKind::SelectsSeveral),
    };
    if target.is_map() {
        return map_key(field, target, key);
    }
    if !target.is_list() {
        return Err(PathErrorKind::TakesNoSelector);
    }
    match key {
        Key::Int(index) => Ok(Selector::Index(*index)),
        _ => Err(PathErrorKind::WrongIndex),
    }
}

/// A key of a map in the type its schema gives it.
pub(crate) fn map_key(
    field: FieldDescriptor<'_>,
    target: &Target,
    key: &Key,
) -> Result<Selector, PathErrorKind> {
    let kind = field.map_key().map_or(Kind::String, FieldDescriptor::kind);
    let key = normalized(kind, key).ok_or(PathErrorKind::WrongKey(kind_name(kind)))?;
    let (key_target, value) = target.of_entry(field.schema().tables());
    Ok(Selector::Key {
        key,
        key_target,
        value,
    })
}

fn normalized(kind: Kind, key: &Key) -> Option<Key> {
    let number = match key {
        Key::Int(number) => Some(i128::from(*number)),
        Key::Uint(number) => Some(i128::from(*number)),
        Key::Bool(_) | Key::String(_) => None,
    };
    match (kind, key) {
        (Kind::String, Key::String(_)) | (Kind::Bool, Key::Bool(_)) => Some(key.clone()),
        (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32, _) => i32::try_from(number?)
            .ok()
            .map(|number| Key::Int(i64::from(number))),
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, _) => i64::try_from(number?).ok().map(Key::Int),
        (Kind::Uint32 | Kind::Fixed32, _) => u32::try_from(number?)
            .ok()
            .map(|number| Key::Uint(u64::from(number))),
        (Kind::Uint64 | Kind::Fixed64, _) => u64::try_from(number?).ok().map(Key::Uint),
        _ => None,
    }
}

/// The type as the protobuf language calls it.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int64 => "int64",
        Kind::Uint64 => "uint64",
        Kind::Int32 => "int32",
        Kind::Fixed64 => "fixed64",
        Kind::Fixed32 => "fixed32",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Message => "a message",
        Kind::Group => "a group",
        Kind::Bytes => "bytes",
        Kind::Uint32 => "uint32",
        Kind::Enum => "an enum",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
    }
}
