//! What differs between two messages, by path, with values as text.

use super::error::PrintError;
use super::print::{PrintOptions, value_to_text};
use crate::message::{ListRef, MapRef, MessageRef, Value};
use crate::path::{Key, Name, Segment, Selection, segment_text};
use crate::schema::{FieldDescriptor, WellKnown};
use std::cmp::Ordering;
use std::fmt;

/// One difference. It shows as `~ path: before -> after`, `+ path: after` or `- path: before`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where, as [`Path`](crate::path::Path) has it; elements that are gone by their index before, others by their index after. Unknown
    /// fields are told together, as `?` behind the message that has them. Empty when the messages are of different types.
    pub path: String,
    /// What was there, on one line.
    pub before: Option<String>,
    /// What is there, on one line.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "~ {path}: {before} -> {after}"),
            (None, Some(after)) => write!(f, "+ {path}: {after}"),
            (Some(before), None) => write!(f, "- {path}: {before}"),
            (None, None) => Ok(()),
        }
    }
}

/// What differs between two messages of one type: by field, by index of lists from where they begin to differ to where they end to,
/// by key of maps. `Any` differs as a whole. Equal numbers are those with equal bits: -0 differs from 0, and NaN does not from NaN.
///
/// # Errors
/// When messages nest deeper than the limits allow, or what differs would be longer as text.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use heddle_dynamic_protobuf::{Message, Schema, text};
/// # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
/// # let set = compiler.open_file("google/protobuf/type.proto")?.include_imports(true).encode_file_descriptor_set();
/// let schema = Schema::from_descriptor_set(&set)?;
/// let descriptor = schema.message("google.protobuf.Enum").ok_or("no such message")?;
/// let (mut before, mut after) = (Message::new(descriptor), Message::new(descriptor));
/// text::parse("name: 'Color' enumvalue { name: 'RED' }", &mut before, &text::ParseOptions::default())?;
/// text::parse("name: 'Color' enumvalue { name: 'RED' number: 1 } edition: '2023'", &mut after, &text::ParseOptions::default())?;
/// let changes = text::diff(before.as_ref(), after.as_ref(), &text::PrintOptions::default())?;
/// let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
/// assert_eq!(lines, ["+ enumvalue[0].number: 1", r#"+ edition: "2023""#]);
/// # Ok(())
/// # }
/// ```
pub fn diff(
    before: MessageRef<'_>,
    after: MessageRef<'_>,
    options: &PrintOptions,
) -> Result<Vec<Change>, PrintError> {
    let mut differ = Differ {
        changes: Vec::new(),
        path: String::new(),
        depth: options.limits.depth.min(super::MAX_DEPTH),
        bytes: options.limits.bytes,
        options,
    };
    if before.descriptor().full_name() == after.descriptor().full_name() {
        differ.messages(before, after)?;
    } else {
        differ.change(Some(Value::Message(before)), Some(Value::Message(after)))?;
    }
    Ok(differ.changes)
}

type Step = Result<(), PrintError>;

struct Differ<'o> {
    changes: Vec<Change>,
    path: String,
    /// How many more levels may nest.
    depth: u32,
    /// How many more bytes of text there may be.
    bytes: usize,
    options: &'o PrintOptions,
}

impl Differ<'_> {
    fn messages(&mut self, before: MessageRef<'_>, after: MessageRef<'_>) -> Step {
        self.depth = self.depth.checked_sub(1).ok_or(PrintError::TooDeep)?;
        let key = |(field, _): &(FieldDescriptor<'_>, Value<'_>)| field.number();
        for (one, other) in aligned(before.fields(), after.fields(), |one, other| {
            key(one).cmp(&key(other))
        }) {
            let (field, before) = one.unzip();
            let (same_field, after) = other.unzip();
            let Some(field) = field.or(same_field) else {
                continue;
            };
            let dot = if self.path.is_empty() { "" } else { "." };
            self.below(&format!("{dot}{}", segment(field)), |differ| {
                differ.values(before, after)
            })?;
        }
        self.unknown_fields(before, after)?;
        self.depth += 1;
        Ok(())
    }

    fn unknown_fields(&mut self, before: MessageRef<'_>, after: MessageRef<'_>) -> Step {
        if before
            .unknown_fields()
            .flatten()
            .eq(after.unknown_fields().flatten())
        {
            return Ok(());
        }
        let bytes =
            |message: MessageRef<'_>| message.unknown_fields().flatten().copied().collect::<Vec<u8>>();
        let (before, after) = (bytes(before), bytes(after));
        let value = |bytes| Some(Value::Bytes(bytes)).filter(|_| !bytes.is_empty());
        let dot = if self.path.is_empty() { "" } else { "." };
        self.below(&format!("{dot}?"), |differ| {
            differ.change(value(&before), value(&after))
        })
    }

    /// Goes on with a longer path.
    fn below(&mut self, segment: &str, work: impl FnOnce(&mut Self) -> Step) -> Step {
        let len = self.path.len();
        self.path.push_str(segment);
        work(self)?;
        self.path.truncate(len);
        Ok(())
    }

    fn values(&mut self, before: Option<Value<'_>>, after: Option<Value<'_>>) -> Step {
        match (before, after) {
            (Some(Value::Message(before)), Some(Value::Message(after)))
                if before.descriptor().well_known() != Some(WellKnown::Any) =>
            {
                self.messages(before, after)
            }
            (Some(Value::List(before)), Some(Value::List(after))) => self.lists(before, after),
            (Some(Value::Map(before)), Some(Value::Map(after))) => self.maps(before, after),
            (Some(before), Some(after)) if same(before, after) => Ok(()),
            (before, after) => self.change(before, after),
        }
    }

    /// Elements between those that are the same at the start and at the end are compared in pairs.
    fn lists(&mut self, before: ListRef<'_>, after: ListRef<'_>) -> Step {
        let shorter = before.len().min(after.len());
        let start = (0..shorter)
            .take_while(|index| same_element(before.get(*index), after.get(*index)))
            .count();
        let end = (0..shorter - start)
            .take_while(|index| {
                let from_end = |len: usize| len - 1 - index;
                same_element(
                    before.get(from_end(before.len())),
                    after.get(from_end(after.len())),
                )
            })
            .count();
        for index in start..before.len().max(after.len()) - end {
            let before = before.get(index).filter(|_| index < before.len() - end);
            let after = after.get(index).filter(|_| index < after.len() - end);
            self.below(&format!("[{index}]"), |differ| differ.values(before, after))?;
        }
        Ok(())
    }

    fn maps(&mut self, before: MapRef<'_>, after: MapRef<'_>) -> Step {
        for (one, other) in aligned(before.iter(), after.iter(), |(one, _), (other, _)| {
            order(*one, *other)
        }) {
            let (key, before) = one.unzip();
            let (same_key, after) = other.unzip();
            let Some(key) = key.or(same_key) else { continue };
            self.below(&selector(key), |differ| differ.values(before, after))?;
        }
        Ok(())
    }

    fn change(&mut self, before: Option<Value<'_>>, after: Option<Value<'_>>) -> Step {
        let print = |value: Option<Value<'_>>| match value {
            Some(value) => value_to_text(value, self.options).map(Some),
            None => Ok(None),
        };
        let change = Change {
            before: print(before)?,
            after: print(after)?,
            path: self.path.clone(),
        };
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let taken = change.path.len() + len(&change.before) + len(&change.after);
        self.bytes = self.bytes.checked_sub(taken).ok_or(PrintError::TooLarge)?;
        self.changes.push(change);
        Ok(())
    }
}

/// Pairs what is equal in two ascending sequences; the rest stands alone.
fn aligned<T>(
    one: impl Iterator<Item = T>,
    other: impl Iterator<Item = T>,
    order: impl Fn(&T, &T) -> Ordering,
) -> impl Iterator<Item = (Option<T>, Option<T>)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || {
        let ordering = match (one.peek(), other.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(this), Some(that)) => order(this, that),
        };
        Some(match ordering {
            Ordering::Less => (one.next(), None),
            Ordering::Greater => (None, other.next()),
            Ordering::Equal => (one.next(), other.next()),
        })
    })
}

/// The order in which [`MapRef`] has its keys.
fn order(one: Value<'_>, other: Value<'_>) -> Ordering {
    match (one, other) {
        (Value::U64(one), Value::U64(other)) => (one as i64).cmp(&(other as i64)),
        (Value::String(one), Value::String(other)) => one.cmp(&other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(&other),
        (one, other) => one.as_i64().cmp(&other.as_i64()),
    }
}

fn same_element(one: Option<Value<'_>>, other: Option<Value<'_>>) -> bool {
    one.zip(other).is_some_and(|(one, other)| same(one, other))
}

/// Whether both say the same, down to the bits of floats.
fn same(one: Value<'_>, other: Value<'_>) -> bool {
    match (one, other) {
        (Value::F32(one), Value::F32(other)) => {
            one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan())
        }
        (Value::F64(one), Value::F64(other)) => {
            one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan())
        }
        (one, other) => one == other,
    }
}

fn segment(field: FieldDescriptor<'_>) -> String {
    match field.is_extension() {
        true => format!("[{}]", field.full_name()),
        false => field.name().to_owned(),
    }
}

/// How paths choose the value of a key.
fn selector(key: Value<'_>) -> String {
    let key = match key {
        Value::String(key) => Key::String(key.to_string().into()),
        Value::Bool(key) => Key::Bool(key),
        Value::U64(key) => Key::Uint(key),
        key => Key::Int(key.as_i64().unwrap_or_default()),
    };
    segment_text(&Segment {
        name: Name::Field(String::new()),
        selection: Some(Selection::Key(key)),
    })
}
