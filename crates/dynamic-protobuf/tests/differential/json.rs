//! JSON and text format both ways against prost-reflect's.

use crate::case::{Schemas, for_all_cases};
use crate::compare;
use heddle_dynamic_protobuf::json::{
    FieldNames, JsonParser, JsonPrinter, ParseOptions, PrintOptions, ZeroFields,
};
use heddle_dynamic_protobuf::{Message, text};
use prost_reflect::{DeserializeOptions, DynamicMessage, SerializeOptions};
use serde_json::Value;

#[test]
fn what_is_printed_as_json_is_what_prost_reflect_prints() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        let theirs = schemas.decode_theirs(&encoded.theirs)?;
        let (proto_names, zeros) = (choices.percent(30), choices.percent(30));
        let options = PrintOptions {
            names: if proto_names {
                FieldNames::Proto
            } else {
                FieldNames::Json
            },
            zeros: if zeros { ZeroFields::Show } else { ZeroFields::Omit },
            ..PrintOptions::default()
        };
        let mut text = Vec::new();
        JsonPrinter::new(options)
            .print(schemas.root(), &encoded.ours, &mut text)
            .map_err(|error| format!("failed to print: {error}"))?;
        let ours: Value = serde_json::from_slice(&text).map_err(|error| format!("not JSON: {error}"))?;
        let expected = their_json(
            &theirs,
            &SerializeOptions::new()
                .use_proto_field_name(proto_names)
                .skip_default_fields(!zeros),
        )?;
        same(&ours, &expected)
    });
}

#[test]
fn json_that_prost_reflect_prints_parses_to_the_same_message() {
    for_all_cases(|schemas, choices| {
        let theirs = schemas.decode_theirs(&schemas.message(choices).theirs)?;
        let options = SerializeOptions::new().skip_default_fields(choices.percent(50));
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut out);
        theirs
            .serialize_with_options(&mut serializer, &options)
            .map_err(|error| format!("prost-reflect failed to print: {error}"))?;
        let mut wire = Vec::new();
        JsonParser::new(ParseOptions::default())
            .parse(schemas.root(), &out, &mut wire)
            .map_err(|error| format!("failed to parse {}: {error}", String::from_utf8_lossy(&out)))?;
        // Both sides read it, so that what the text cannot tell, such as which NaN it is, is the same.
        let expected = parse_theirs(schemas, &theirs, &out)?;
        compare::message(schemas.decode(&wire)?.as_ref(), &expected)
    });
}

fn parse_theirs(schemas: &Schemas, like: &DynamicMessage, json: &[u8]) -> Result<DynamicMessage, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let descriptor = prost_reflect::ReflectMessage::descriptor(like);
    let options = DeserializeOptions::new();
    DynamicMessage::deserialize_with_options(descriptor, &mut deserializer, &options).map_err(|error| {
        format!(
            "prost-reflect failed to parse what is printed of {}: {error}",
            schemas.root
        )
    })
}

fn their_json(message: &DynamicMessage, options: &SerializeOptions) -> Result<Value, String> {
    message
        .serialize_with_options(serde_json::value::Serializer, options)
        .map_err(|error| format!("prost-reflect failed to print: {error}"))
}

/// Equal but for how many digits a number is written with.
fn same(ours: &Value, theirs: &Value) -> Result<(), String> {
    let equal = match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, theirs) in other {
                let ours = one.get(key).ok_or_else(|| format!("there is no {key}"))?;
                same(ours, theirs).map_err(|difference| format!("{key}: {difference}"))?;
            }
            one.len() == other.len()
        }
        (Value::Array(one), Value::Array(other)) => {
            for (index, (ours, theirs)) in one.iter().zip(other).enumerate() {
                same(ours, theirs).map_err(|difference| format!("[{index}]: {difference}"))?;
            }
            one.len() == other.len()
        }
        // A `float` has fewer digits here than there.
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64().map(|one| one as f32) == other.as_f64().map(|other| other as f32)
        }
        _ => ours == theirs,
    };
    if equal {
        Ok(())
    } else {
        Err(format!("{ours}, not {theirs}"))
    }
}

#[test]
fn text_that_prost_reflect_prints_parses_to_the_same_message() {
    for_all_cases(|schemas, choices| {
        let theirs = schemas.decode_theirs(&schemas.message(choices).theirs)?;
        let printed = theirs.to_text_format();
        let mut message = Message::new(schemas.root());
        text::parse(&printed, &mut message, &text::ParseOptions::default())
            .map_err(|error| format!("failed to parse {printed}: {error}"))?;
        let descriptor = prost_reflect::ReflectMessage::descriptor(&theirs);
        let expected = DynamicMessage::parse_text_format(descriptor, &printed)
            .map_err(|error| format!("prost-reflect failed to parse what it has printed: {error}"))?;
        compare::message(message.as_ref(), &expected)
    });
}

#[test]
fn text_that_is_printed_parses_to_the_same_message_in_prost_reflect() {
    for_all_cases(|schemas, choices| {
        let encoded = schemas.message(choices);
        let message = schemas.decode(&encoded.ours)?;
        let printed = text::to_text(message.as_ref(), &text::PrintOptions::default())
            .map_err(|error| format!("failed to print: {error}"))?;
        let mut again = Message::new(schemas.root());
        text::parse(&printed, &mut again, &text::ParseOptions::default())
            .map_err(|error| format!("failed to parse {printed}: {error}"))?;
        let descriptor = schemas
            .theirs
            .get_message_by_name(&schemas.root)
            .ok_or("no root")?;
        let theirs = DynamicMessage::parse_text_format(descriptor, &printed)
            .map_err(|error| format!("prost-reflect failed to parse {printed}: {error}"))?;
        compare::message(again.as_ref(), &theirs)
    });
}
