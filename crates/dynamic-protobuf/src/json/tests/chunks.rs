//! Chunked transcoding: what it holds, what limits do, and where errors are.

use super::*;
use crate::Limits;

const CHUNK: usize = 1000;

fn print_chunks(schema: &Schema, options: PrintOptions, wire: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut printer = ChunkedJsonPrinter::new(schema.message("t.All").unwrap(), options);
    let mut out = Vec::new();
    for chunk in wire.chunks(CHUNK) {
        printer.push(chunk, &mut out)?;
    }
    printer.finish(&mut out)?;
    Ok(out)
}

fn parse_chunks(schema: &Schema, options: ParseOptions, text: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut parser = ChunkedJsonParser::new(schema.message("t.All").unwrap(), options);
    let mut out = Vec::new();
    for chunk in text.chunks(CHUNK) {
        parser.push(chunk, &mut out)?;
    }
    parser.finish(&mut out)?;
    Ok(out)
}

fn limits(allocation: usize) -> Limits {
    Limits {
        allocation,
        ..Limits::default()
    }
}

fn printing(limits: Limits) -> PrintOptions {
    PrintOptions {
        limits,
        ..PrintOptions::default()
    }
}

fn parsing(limits: Limits) -> ParseOptions {
    ParseOptions {
        limits,
        ..ParseOptions::default()
    }
}

/// Large in every way that need not be held: lists of messages, strings and numbers, maps, messages in messages.
fn large(schema: &Schema) -> (Vec<u8>, String) {
    let list = |element: &str, times: usize| vec![element; times].join(",");
    let map: Vec<String> = (0..3000)
        .map(|key| format!("\"{key}\":{{\"text\":\"abc\"}}"))
        .collect();
    let text = format!(
        r#"{{"child":{{"child":{{"manyI32":[{}],"manyText":[{}]}},"manyChild":[{}]}},"manyDouble":[{}],"childMap":{{{}}}}}"#,
        list("12345", 50_000),
        list("\"some text\"", 20_000),
        list(r#"{"u32":7,"text":"x"}"#, 20_000),
        list("1.25", 20_000),
        map.join(",")
    );
    (parse(schema, "t.All", &text).unwrap(), text)
}

#[test]
fn messages_larger_than_memory_allows_pass_in_chunks_both_ways() {
    let schema = schema();
    let (wire, text) = large(&schema);
    let held = 128 << 10;
    assert!(wire.len() > 5 * held);
    let printed = print_chunks(&schema, printing(limits(held)), &wire).unwrap();
    assert!(printed == text.as_bytes());
    let parsed = parse_chunks(&schema, parsing(limits(held)), text.as_bytes()).unwrap();
    let back = print(&schema, "t.All", &parsed).unwrap();
    let differ = back
        .bytes()
        .zip(text.bytes())
        .position(|(one, other)| one != other);
    assert_eq!((differ, back.len()), (None, text.len()));
}

#[test]
fn a_single_value_larger_than_may_be_held_is_refused_both_ways() {
    let schema = schema();
    let text = format!(r#"{{"child":{{"text":"{}"}}}}"#, "x".repeat(200_000));
    let wire = parse(&schema, "t.All", &text).unwrap();
    let error = print_chunks(&schema, printing(limits(100_000)), &wire).unwrap_err();
    assert_eq!(
        (error.kind(), error.path().as_str()),
        (JsonErrorKind::ValueTooLarge, "child")
    );
    let error = parse_chunks(&schema, parsing(limits(100_000)), text.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::ValueTooLarge);
    assert!(print_chunks(&schema, printing(limits(300_000)), &wire).unwrap() == text.as_bytes());
    assert!(parse_chunks(&schema, parsing(limits(300_000)), text.as_bytes()).is_ok());
}

#[test]
fn whole_inputs_and_outputs_are_limited() {
    let schema = schema();
    let (wire, text) = large(&schema);
    let bytes = Limits {
        bytes: wire.len() - 1,
        ..Limits::default()
    };
    let error = print_chunks(&schema, printing(bytes), &wire).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::TooLarge);
    let error = parse_chunks(&schema, parsing(bytes), text.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::TooLarge);
    let elements = Limits {
        elements: 1000,
        ..Limits::default()
    };
    let error = print_chunks(&schema, printing(elements), &wire).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::TooManyElements);
    let error = parse_chunks(&schema, parsing(elements), text.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::TooManyElements);
}

#[test]
fn disorder_in_a_large_message_is_refused_with_its_place() {
    let schema = schema();
    let (mut wire, _) = large(&schema);
    wire.extend_from_slice(&[0x8a, 0x01, 0x00]);
    let error = print_chunks(&schema, printing(Limits::default()), &wire).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::NotInOrder);
    assert_eq!((error.path().as_str(), error.offset()), ("child", wire.len() - 3));
    assert!(print(&schema, "t.All", &wire).is_ok());
}

#[test]
fn errors_in_chunks_have_the_places_of_the_whole() {
    let schema = schema();
    let (wire, text) = large(&schema);
    let text = text
        .replace("[1.25,", "[\n1.25,")
        .replace("\"2999\":{\"text\":\"abc\"}", "\n \"2999\":{\"text\":5}");
    let whole = parse(&schema, "t.All", &text).unwrap_err();
    let chunked = parse_chunks(&schema, ParseOptions::default(), text.as_bytes()).unwrap_err();
    assert_eq!(chunked, whole);
    assert_eq!(whole.path(), "child_map[2999].text");
    assert_eq!(whole.line_and_column().map(|(line, _)| line), Some(3));
    let cut = &wire[..wire.len() - 1];
    let whole = print(&schema, "t.All", cut).unwrap_err();
    let chunked = print_chunks(&schema, PrintOptions::default(), cut).unwrap_err();
    assert_eq!(chunked.kind(), whole.kind());
}

#[test]
fn nothing_is_taken_after_the_end_or_an_error() {
    let schema = schema();
    let message = schema.message("t.All").unwrap();
    let mut out = Vec::new();
    let mut printer = ChunkedJsonPrinter::new(message, PrintOptions::default());
    printer.push(b"\x08\x01", &mut out).unwrap();
    printer.finish(&mut out).unwrap();
    assert_eq!(out, br#"{"i32":1}"#);
    let error = printer.push(b"\x08\x01", &mut out).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Finished);
    let mut parser = ChunkedJsonParser::new(message, ParseOptions::default());
    parser.push(b"{\"i32\":x", &mut out).unwrap();
    assert!(parser.push(b"}", &mut out).is_err());
    let error = parser.finish(&mut out).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Finished);
}

#[test]
fn roots_with_text_of_their_own_are_held_whole() {
    let schema = schema();
    for (name, text) in [
        ("google.protobuf.Duration", "\"1.500s\""),
        ("google.protobuf.Value", "[1,{\"a\":null}]"),
        ("google.protobuf.Int32Value", "-12"),
        ("google.protobuf.Any", "{\"@type\":\"x/t.All\",\"i32\":1}"),
    ] {
        let message = schema.message(name).unwrap();
        let (mut wire, mut printed) = (Vec::new(), Vec::new());
        let mut parser = ChunkedJsonParser::new(message, ParseOptions::default());
        for byte in text.as_bytes().chunks(1) {
            parser.push(byte, &mut wire).unwrap();
        }
        parser.finish(&mut wire).unwrap();
        let mut printer = ChunkedJsonPrinter::new(message, PrintOptions::default());
        for byte in wire.chunks(1) {
            printer.push(byte, &mut printed).unwrap();
        }
        printer.finish(&mut printed).unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), text);
    }
}

#[test]
fn lists_of_numbers_that_no_closed_enum_has_are_empty_in_chunks_too() {
    let schema = schema();
    for wire in [
        &b"\x10\x09"[..],
        b"\x1a\x02\x09\x08",
        b"\x22\x05\x0a\x01a\x10\x09",
        b"\xb0\x06\x09",
        b"\xb2\x06\x02\x09\x08",
        b"\x10\x09\x10\x01\xb0\x06\x09\xb0\x06\x02",
    ] {
        for zeros in [ZeroFields::Omit, ZeroFields::Show] {
            let options = PrintOptions {
                zeros,
                ..PrintOptions::default()
            };
            let whole = print_with(options, &schema, "t2.Old", wire).unwrap();
            let mut printer = ChunkedJsonPrinter::new(schema.message("t2.Old").unwrap(), options);
            let mut out = Vec::new();
            for byte in wire {
                printer.push(&[*byte], &mut out).unwrap();
            }
            printer.finish(&mut out).unwrap();
            let read = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            assert_eq!(read(&out), read(whole.as_bytes()), "{wire:?}");
        }
    }
}
