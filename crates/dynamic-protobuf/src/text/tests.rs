//! The text format against prost-reflect's, and the rules that it does not know.

mod differing;
mod literals;
mod parsing;
mod peers;
mod printing;

use super::{Layout, ParseError, ParseOptions, PrintOptions, parse, to_text};
use crate::{Message, Schema};
use std::sync::LazyLock;

const PROTO2: &str = "heddle.everything2.Everything";
const PROTO3: &str = "heddle.everything3.Everything";

/// The fixtures of both syntaxes, as encoded descriptor set.
static SET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let set = protox::compile(["everything2.proto"], [folder]).unwrap();
    prost_reflect::prost::Message::encode_to_vec(&set)
});

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::from_descriptor_set(&SET).unwrap());

fn message(name: &str) -> Message {
    Message::new(SCHEMA.message(name).unwrap())
}

fn parsed(name: &str, text: &str) -> Result<Message, ParseError> {
    let mut message = message(name);
    parse(text, &mut message, &ParseOptions::default())?;
    Ok(message)
}

fn in_one_line(message: &Message) -> String {
    let options = PrintOptions {
        layout: Layout::SingleLine,
        ..PrintOptions::default()
    };
    to_text(message.as_ref(), &options).unwrap()
}

/// What a message says when it is read and printed again.
#[track_caller]
fn check(name: &str, text: &str, expected: &str) {
    match parsed(name, text) {
        Ok(message) => assert_eq!(in_one_line(&message), expected, "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[track_caller]
fn check_refused(name: &str, text: &str, expected: &str) {
    match parsed(name, text) {
        Ok(message) => panic!("{text} was read as {}", in_one_line(&message)),
        Err(error) => assert_eq!(error.to_string(), expected, "{text}"),
    }
}
