//! What prost-reflect decodes in another way than the format's rules: numbers that closed enums do not name, and fields
//! with another wire type. Here the engine's own `Message`, which passes the conformance suite, is the oracle.

use crate::messages::{Choices, message};
use crate::oracle::{Plain, plain};
use crate::properties::{POOL, SCHEMA, config};
use heddle_dynamic_protobuf::edit::{Edit, Editor, Mask, Merger, NewValue, Trimmer};
use heddle_dynamic_protobuf::path::Path;
use heddle_dynamic_protobuf::view::View;
use heddle_dynamic_protobuf::{MapKey, Message, MessageDescriptor, Scalar, Value};
use proptest::collection::vec;
use proptest::prelude::*;

const MOST_CHOICES: usize = 200;

fn root() -> MessageDescriptor<'static> {
    SCHEMA.message("edits.Strict").unwrap()
}

/// Fields in any order, some with another wire type, and the same again inside an extension.
fn wild(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    let descriptor = POOL.get_message_by_name("edits.Strict").unwrap();
    let mut out = Vec::new();
    for _ in 0..choices.below(4) {
        out.extend(message(choices, &descriptor, 1));
        match choices.below(4) {
            0 => out.extend([(choices.byte() % 7 + 1) << 3 | 5, 1, 0, 0, 0]),
            1 => out.extend([(choices.byte() % 7 + 1) << 3, choices.byte() % 4]),
            2 if depth > 0 => {
                let inner = wild(choices, depth - 1);
                out.extend(b"\xa2\x06");
                prost::encoding::encode_varint(inner.len() as u64, &mut out);
                out.extend(inner);
            }
            _ => {}
        }
    }
    out
}

fn decode(bytes: &[u8]) -> Message {
    let mut message = Message::new(root());
    message.decode(bytes).unwrap();
    message
}

fn canonical(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode_deterministic_into(&mut out);
    out
}

fn plain_value(value: &Value<'_>) -> Plain {
    match value {
        Value::Enum(_, number) => Plain::Int(i128::from(*number)),
        Value::I32(number) => Plain::Int(i128::from(*number)),
        Value::String(text) => Plain::Bytes(text.as_bytes().to_vec()),
        Value::Message(message) => {
            let fields = message
                .fields()
                .map(|(field, value)| (field.number(), plain_value(&value)));
            Plain::Message(fields.collect())
        }
        Value::List(list) => Plain::List(list.iter().map(|value| plain_value(&value)).collect()),
        Value::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| (format!("{:?}", plain_value(&key)), plain_value(&value)));
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            Plain::Map(entries)
        }
        other => panic!("{other:?} is not in the schema"),
    }
}

fn path(text: &str) -> Path {
    Path::compile(root(), text).unwrap()
}

fn apply(bytes: &[u8], edit: Edit<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Editor::new().apply(bytes, &[edit], &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn views_say_what_decoded_messages_say(input in vec(any::<u8>(), 0..MOST_CHOICES)) {
        let bytes = wild(&mut Choices::new(&input), 2);
        let message = decode(&bytes);
        let view = View::new(root(), &bytes).unwrap();
        for field in root().fields() {
            let expected = message.as_ref().value(field).map(|value| plain_value(&value));
            let found = view.get(field).unwrap().map(|value| plain(&value));
            prop_assert_eq!(found, expected, "{} in {:02x?}", field.name(), &bytes);
        }
    }

    #[test]
    fn what_is_removed_is_removed_and_unknown_fields_stay(input in vec(any::<u8>(), 0..MOST_CHOICES)) {
        let bytes = wild(&mut Choices::new(&input), 2);
        for field in root().fields() {
            let mut expected = decode(&bytes);
            expected.as_mut().clear(field).unwrap();
            let out = apply(&bytes, Edit::remove(&path(&field.number().to_string())));
            prop_assert_eq!(canonical(&decode(&out)), canonical(&expected), "{} of {:02x?}", field.name(), &bytes);
        }
    }

    #[test]
    fn what_is_set_is_set_and_unknown_fields_stay(input in vec(any::<u8>(), 0..MOST_CHOICES)) {
        let bytes = wild(&mut Choices::new(&input), 2);
        let text = Scalar::String("set");
        let values = [("level", Scalar::Enum(2)), ("picked", Scalar::Enum(1)), ("named", text), ("text", text)];
        for (name, value) in values {
            let mut expected = decode(&bytes);
            expected.as_mut().set(root().field_named(name).unwrap(), value).unwrap();
            let out = apply(&bytes, Edit::set(&path(name), NewValue::Scalar(value)));
            prop_assert_eq!(canonical(&decode(&out)), canonical(&expected), "{} of {:02x?}", name, &bytes);
        }
        let mut expected = decode(&bytes);
        let by_name = root().field_named("by_name").unwrap();
        expected.as_mut().map(by_name).unwrap().insert(MapKey::String("a"), Scalar::Enum(2)).unwrap();
        let out = apply(&bytes, Edit::set(&path("by_name[\"a\"]"), NewValue::Scalar(Scalar::Enum(2))));
        prop_assert_eq!(canonical(&decode(&out)), canonical(&expected), "{:02x?}", &bytes);
    }

    #[test]
    fn elements_are_counted_without_unknown_numbers(
        input in vec(any::<u8>(), 0..MOST_CHOICES),
        index in 0..3_usize,
    ) {
        let bytes = wild(&mut Choices::new(&input), 1);
        for name in ["levels", "packed"] {
            let field = root().field_named(name).unwrap();
            let mut expected = decode(&bytes);
            let mut message = expected.as_mut();
            let mut list = message.list(field).unwrap();
            let exists = index < list.len();
            if exists {
                list.remove(index).unwrap();
            }
            let out = apply(&bytes, Edit::remove(&path(&format!("{name}[{index}]"))));
            prop_assert_eq!(canonical(&decode(&out)), canonical(&expected), "{}[{}] of {:02x?}", name, index, &bytes);
        }
    }

    #[test]
    fn merged_messages_are_what_both_decode_to(
        input in vec(any::<u8>(), 0..MOST_CHOICES),
        more in vec(any::<u8>(), 0..MOST_CHOICES),
    ) {
        let (one, other) = (wild(&mut Choices::new(&input), 2), wild(&mut Choices::new(&more), 2));
        let mut out = Vec::new();
        Merger::new(root()).merge(&one, &other, &mut out).unwrap();
        let both = [one, other].concat();
        prop_assert_eq!(canonical(&decode(&out)), canonical(&decode(&both)), "{:02x?}", &both);
    }

    #[test]
    fn masks_keep_one_field_and_nothing_unknown(input in vec(any::<u8>(), 0..MOST_CHOICES)) {
        let bytes = wild(&mut Choices::new(&input), 0);
        for kept in root().fields().filter(|field| !field.is_extension()) {
            let mut expected = decode(&bytes);
            for field in root().fields().filter(|field| *field != kept) {
                expected.as_mut().clear(field).unwrap();
            }
            expected.as_mut().clear_unknown_fields();
            let mut out = Vec::new();
            Trimmer::new().trim(&bytes, &Mask::parse(root(), kept.name()).unwrap(), &mut out).unwrap();
            let mut found = decode(&out);
            // Of a packed list that is kept whole, unknown numbers are kept too.
            if kept.is_list() {
                found.as_mut().clear_unknown_fields();
            }
            prop_assert_eq!(canonical(&found), canonical(&expected), "{} of {:02x?}", kept.name(), &bytes);
        }
    }
}
