//! What is refused, with which error and where; and what limits do.

use super::*;
use crate::{DecodeErrorKind, Limits};

#[test]
fn malformed_text_is_refused() {
    use JsonErrorKind::*;
    let schema = schema();
    for (text, kind) in [
        ("", Truncated),
        ("{", Truncated),
        ("{\"i32\"", Truncated),
        ("{\"i32\":", Truncated),
        ("{\"i32\":1", Truncated),
        ("{\"text\":\"a", Truncated),
        ("{\"text\":\"a\\", Truncated),
        ("[]", Expected("an object")),
        ("null", Expected("an object")),
        ("{}x", TrailingData),
        ("{} {}", TrailingData),
        ("{,}", Expected("a string")),
        ("{\"i32\":1,}", Expected("a string")),
        ("{'i32':1}", Expected("a string")),
        ("{i32:1}", Expected("a string")),
        ("{\"i32\" 1}", Expected("a colon")),
        (
            "{\"i32\":1 \"i64\":2}",
            Expected("a comma or the end of the object"),
        ),
        ("{\"manyI32\":[1,]}", Expected("a number")),
        ("{\"manyI32\":[1 2]}", Expected("a comma or the end of the array")),
        ("{\"manyI32\":[,1]}", Expected("a number")),
        ("{\"i32\":01}", InvalidNumber),
        ("{\"i32\":1.}", InvalidNumber),
        ("{\"i32\":-}", InvalidNumber),
        ("{\"i32\":+1}", Expected("a number")),
        ("{\"i32\":0x1}", Expected("a comma or the end of the object")),
        ("{\"i32\":\" 1\"}", InvalidNumber),
        ("{\"i32\":\"1 \"}", InvalidNumber),
        ("{\"i32\":\"\"}", InvalidNumber),
        ("{\"i32\":true}", Expected("a number")),
        ("{\"i32\":2147483648}", NumberRange),
        ("{\"i32\":1.5}", NotAnInteger),
        ("{\"u64\":-1}", NumberRange),
        ("{\"single\":1e39}", NumberRange),
        ("{\"twice\":1e309}", NumberRange),
        ("{\"twice\":NaN}", Expected("a number")),
        ("{\"twice\":\"nan\"}", InvalidNumber),
        ("{\"yes\":\"true\"}", Expected("true or false")),
        ("{\"yes\":1}", Expected("true or false")),
        ("{\"text\":1}", Expected("a string")),
        ("{\"text\":\"\u{1}\"}", ControlCharacter),
        ("{\"text\":\"\\x\"}", InvalidEscape),
        ("{\"text\":\"\\u12\"}", InvalidEscape),
        ("{\"text\":\"\\ud800\"}", LoneSurrogate),
        ("{\"text\":\"\\udc00\\ud800\"}", LoneSurrogate),
        ("{\"text\":\"\\ud800\\u0041\"}", LoneSurrogate),
        ("{\"raw\":\"a\"}", InvalidBase64),
        ("{\"raw\":\"a+_a\"}", InvalidBase64),
        ("{\"raw\":\"====\"}", InvalidBase64),
        ("{\"colour\":\"GREEN\"}", UnknownEnumValue),
        ("{\"colour\":1.5}", NotAnInteger),
        ("{\"nope\":1}", UnknownField),
        ("{\"[t2.note]\":\"\"}", UnknownField),
        ("{\"i32\":1,\"i32\":1}", DuplicateField),
        ("{\"i32\":null,\"i32\":1}", DuplicateField),
        ("{\"manyI32\":[1],\"many_i32\":[2]}", DuplicateField),
        ("{\"a\":\"\",\"c\":1}", OneofSetTwice),
        ("{\"d\":null,\"c\":1}", OneofSetTwice),
        ("{\"textMap\":{\"a\":\"\",\"b\":\"\",\"a\":\"\"}}", DuplicateKey),
        ("{\"childMap\":{\"1\":{},\"1e0\":{}}}", DuplicateKey),
        ("{\"structure\":{\"a\":1,\"\\u0061\":2}}", DuplicateKey),
        ("{\"childMap\":{\"x\":{}}}", InvalidNumber),
        ("{\"colourMap\":{\"True\":0}}", Expected("true or false")),
        ("{\"textMap\":{\"a\":null}}", UnexpectedNull),
        ("{\"manyText\":[null]}", UnexpectedNull),
        ("{\"manyChild\":[null]}", UnexpectedNull),
        ("{\"manyI32\":{}}", Expected("an array")),
        ("{\"textMap\":[]}", Expected("an object")),
        ("{\"child\":[]}", Expected("an object")),
        ("{\"time\":\"2024-02-30T00:00:00Z\"}", InvalidTimestamp),
        ("{\"time\":0}", Expected("a string")),
        ("{\"span\":\"1\"}", InvalidDuration),
        ("{\"mask\":\"a_b\"}", InvalidFieldMask),
        ("{\"value\":1e309}", NumberRange),
        ("{\"any\":{\"i32\":1}}", MissingType),
        ("{\"any\":{\"@type\":\"t.All\"}}", InvalidTypeUrl),
        ("{\"any\":{\"@type\":\"x/t.None\"}}", UnknownType),
        (
            "{\"any\":{\"@type\":\"x/t.All\",\"@type\":\"x/t.All\"}}",
            DuplicateField,
        ),
        (
            "{\"any\":{\"@type\":\"x/t.All\",\"value\":{},\"value\":{}}}",
            DuplicateField,
        ),
        (
            "{\"any\":{\"@type\":\"x/google.protobuf.Duration\"}}",
            Expected("the member \"value\""),
        ),
        (
            "{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\",\"x\":1}}",
            UnknownField,
        ),
        ("{\"empty\":{\"x\":1}}", UnknownField),
    ] {
        assert_eq!(refused(&schema, "t.All", text), kind, "{text}");
    }
    let invalid = parse_with(ParseOptions::default(), &schema, "t.All", b"{\"text\":\"\xff\"}");
    assert_eq!(invalid.unwrap_err().kind(), InvalidUtf8);
}

#[test]
fn lenient_forms_are_read() {
    let schema = schema();
    for (text, canonical) in [
        (
            " {\n\t\"i32\" : 1e2 , \"u64\":5 }\r\n",
            r#"{"i32":100,"u64":"5"}"#,
        ),
        (r#"{"many_i32":["1",2.0]}"#, r#"{"manyI32":[1,2]}"#),
        (r#"{"child_map":{"0":{}}}"#, r#"{"childMap":{"0":{}}}"#),
        (
            r#"{"i32":null,"manyText":null,"textMap":null,"child":null,"time":null,"a":null,"c":1}"#,
            r#"{"c":1}"#,
        ),
        (r#"{"\u0069\u0033\u0032":"\u0031"}"#, r#"{"i32":1}"#),
        (r#"{"raw":"_-8"}"#, r#"{"raw":"/+8="}"#),
        (r#"{"raw":"_-8="}"#, r#"{"raw":"/+8="}"#),
        (r#"{"raw":"\/+8"}"#, r#"{"raw":"/+8="}"#),
        (
            r#"{"i32":0,"text":"","raw":"","colour":0,"manyI32":[],"textMap":{}}"#,
            r#"{}"#,
        ),
        (
            r#"{"any":{"i32":1,"@type":"x/t.All"}}"#,
            r#"{"any":{"@type":"x/t.All","i32":1}}"#,
        ),
        (
            r#"{"any":{"value":"1s","@type":"x/google.protobuf.Duration"}}"#,
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s"}}"#,
        ),
        (r#"{"any":{}}"#, r#"{"any":{}}"#),
        (
            r#"{"any":{"@type":"x/google.protobuf.Empty"}}"#,
            r#"{"any":{"@type":"x/google.protobuf.Empty","value":{}}}"#,
        ),
        (r#"{"text":"\ud83d\ude00\u00e9"}"#, r#"{"text":"😀é"}"#),
        (
            r#"{"twice":"1.5e1","single":"-0"}"#,
            r#"{"twice":15,"single":-0}"#,
        ),
        (
            r#"{"colourMap":{"true":1}}"#,
            r#"{"colourMap":{"true":"COLOUR_RED"}}"#,
        ),
        (
            r#"{"time":"2024-01-01T01:00:00.500+01:00"}"#,
            r#"{"time":"2024-01-01T00:00:00.500Z"}"#,
        ),
    ] {
        assert_eq!(round_trip(&schema, "t.All", text), canonical);
    }
}

#[test]
fn unknown_fields_and_enum_values_can_be_ignored() {
    let schema = schema();
    let options = ParseOptions {
        unknown: UnknownFields::Ignore,
        ..ParseOptions::default()
    };
    for (text, kept) in [
        (
            r#"{"nope":[{"a":[1,2,{}],"b":"\u0000"},null,true,-1e5],"i32":1}"#,
            r#"{"i32":1}"#,
        ),
        (
            r#"{"colour":"GREEN","manyColour":["GREEN",1],"colourMap":{"true":"GREEN","false":1}}"#,
            r#"{"manyColour":["COLOUR_RED"],"colourMap":{"false":"COLOUR_RED"}}"#,
        ),
        (
            r#"{"any":{"nope":{},"@type":"x/t.All","i32":1}}"#,
            r#"{"any":{"@type":"x/t.All","i32":1}}"#,
        ),
    ] {
        let wire = parse_with(options, &schema, "t.All", text.as_bytes()).unwrap();
        assert_eq!(print(&schema, "t.All", &wire).unwrap(), kept);
    }
    for text in [
        r#"{"nope":[1,]}"#,
        r#"{"nope":"\ud800"}"#,
        r#"{"nope":01}"#,
        r#"{"nope":{"a" 1}}"#,
    ] {
        assert!(
            parse_with(options, &schema, "t.All", text.as_bytes()).is_err(),
            "{text}"
        );
    }
}

#[test]
fn errors_tell_the_place_and_never_the_value() {
    let schema = schema();
    let text =
        "{\n  \"childMap\": {\n    \"77\": {\"manyChild\": [{}, {\"text\": \"é\", \"i32\": \"s3cret\"}]}}}";
    let error = parse(&schema, "t.All", text).unwrap_err();
    assert_eq!(error.path(), "child_map[0].many_child[1].i32");
    assert_eq!(error.offset(), text.find("s3cret").unwrap());
    assert_eq!(error.line_and_column(), Some((3, 52)));
    let told = format!("{error} {error:?}");
    assert!(!told.contains("s3cret") && !told.contains("77"), "{told}");

    let error = print(&schema, "t.All", b"\xa2\x01\x02\x72\x05").unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Wire(DecodeErrorKind::Truncated));
    assert_eq!((error.path().as_str(), error.offset()), ("many_child[0].text", 4));
    assert_eq!(error.line_and_column(), None);
}

#[test]
fn what_json_cannot_hold_is_refused() {
    use JsonErrorKind::*;
    let schema = schema();
    for (wire, kind) in [
        (&b"\x72\x01\xff"[..], InvalidUtf8),
        (b"\xca\x02\x02\x10\x80", Wire(DecodeErrorKind::Truncated)),
        (
            b"\xca\x02\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            InvalidTimestamp,
        ),
        (
            b"\xd2\x02\x0d\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            InvalidDuration,
        ),
        (b"\xe2\x02\x00", ValueUnset),
        (
            b"\xe2\x02\x09\x11\x00\x00\x00\x00\x00\x00\xf0\x7f",
            ValueNotFinite,
        ),
        (b"\xf2\x02\x04\x0a\x02aB", InvalidFieldMask),
        (b"\xc2\x02\x03\x12\x01a", MissingType),
        (b"\xc2\x02\x03\x0a\x01a", InvalidTypeUrl),
        (b"\xc2\x02\x04\x0a\x02/a", UnknownType),
        (b"\x0c", Wire(DecodeErrorKind::UnexpectedEndGroup)),
        (b"\x00", Wire(DecodeErrorKind::InvalidTag)),
        (b"\x0f", Wire(DecodeErrorKind::InvalidTag)),
    ] {
        let error = print(&schema, "t.All", wire);
        let length = wire.len();
        match error {
            Err(error) => assert_eq!(error.kind(), kind, "{wire:02x?} {length}"),
            Ok(text) => panic!("{wire:02x?}: {text}"),
        }
    }
}

/// A message of some shape, with every kind of field.
fn sample(schema: &Schema) -> (Vec<u8>, String) {
    let text = r#"{"i32":-5,"u64":"18446744073709551615","single":1.5,"twice":-0.1,"text":"é\"\\\n","raw":"AAEC/w==","colour":"COLOUR_BLUE","child":{"child":{"text":"deep, and longer than eight bytes"}},"manyI32":[1,0,-1],"manyText":["","a"],"manyChild":[{},{"i32":1}],"textMap":{"":"","k":"v"},"childMap":{"-1":{},"2":{"i32":1}},"b":{},"any":{"@type":"x/google.protobuf.Any","value":{"@type":"x/google.protobuf.Value","value":[1]}},"time":"2024-02-29T12:34:56.000000001Z","structure":{"a":[1,"x",null,true,{}]},"mask":"fooBar,baz.quxQuux","stringValue":""}"#;
    (parse(schema, "t.All", text).unwrap(), text.to_owned())
}

#[test]
fn truncations_at_each_byte_never_panic() {
    let schema = schema();
    let (wire, text) = sample(&schema);
    for cut in 0..text.len() {
        assert!(
            parse_with(ParseOptions::default(), &schema, "t.All", &text.as_bytes()[..cut]).is_err(),
            "{cut}"
        );
    }
    for cut in 0..wire.len() {
        // Some cuts fall between fields.
        if let Ok(text) = print(&schema, "t.All", &wire[..cut]) {
            assert!(parse(&schema, "t.All", &text).is_ok(), "{cut}");
        }
    }
    let schema = &schema;
    for (name, wire) in [(
        "t2.Old",
        &b"\x2b\x08\x01\x33\x34\x2c\x52\x08\x0b\x10\x04\x1a\x02\x0a\x00\x0c"[..],
    )] {
        for cut in 0..=wire.len() {
            let _ = print(schema, name, &wire[..cut]);
        }
    }
}

#[test]
fn depth_is_limited_both_ways() {
    let schema = schema();
    let limits = Limits {
        depth: 3,
        ..Limits::default()
    };
    let printing = PrintOptions {
        limits,
        ..PrintOptions::default()
    };
    let parsing = ParseOptions {
        limits,
        ..ParseOptions::default()
    };
    let fits = r#"{"child":{"child":{}}}"#;
    let wire = parse_with(parsing, &schema, "t.All", fits.as_bytes()).unwrap();
    assert_eq!(print_with(printing, &schema, "t.All", &wire).unwrap(), fits);
    let deeper = r#"{"child":{"child":{"child":{}}}}"#;
    let error = parse_with(parsing, &schema, "t.All", deeper.as_bytes()).unwrap_err();
    assert_eq!(
        (error.kind(), error.path().as_str()),
        (JsonErrorKind::TooDeep, "child.child.child")
    );
    let wire = parse(&schema, "t.All", deeper).unwrap();
    let error = print_with(printing, &schema, "t.All", &wire).unwrap_err();
    assert_eq!(
        (error.kind(), error.path().as_str()),
        (JsonErrorKind::TooDeep, "child.child.child")
    );
}

#[test]
fn bombs_of_nesting_stop_at_the_limit_whatever_it_is() {
    let schema = schema();
    let limits = Limits {
        depth: u32::MAX,
        ..Limits::TRUSTED
    };
    let parsing = ParseOptions {
        limits,
        unknown: UnknownFields::Ignore,
    };
    for (open, times) in [("{\"child\":", 2000), ("{\"list\":[", 1), ("{\"nope\":[", 1)] {
        let text = open.repeat(times) + &"[".repeat(5000);
        let error = parse_with(parsing, &schema, "t.All", text.as_bytes()).unwrap_err();
        assert!(matches!(error.kind(), JsonErrorKind::TooDeep), "{error}");
    }
    // 2,000 messages, each in the one before.
    let mut wire = Vec::new();
    for _ in 0..2000 {
        let mut outer = vec![0x8a, 0x01];
        crate::wire::put_varint(&mut outer, wire.len() as u64);
        outer.extend_from_slice(&wire);
        wire = outer;
    }
    let printing = PrintOptions {
        limits,
        ..PrintOptions::default()
    };
    let error = print_with(printing, &schema, "t.All", &wire).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::TooDeep);
}

#[test]
fn elements_and_bytes_are_limited_both_ways() {
    let schema = schema();
    let text = r#"{"manyI32":[1,2],"textMap":{"a":"b"},"manyText":["x"]}"#;
    let wire = parse(&schema, "t.All", text).unwrap();
    for (limits, kind) in [
        (
            Limits {
                elements: 4,
                ..Limits::default()
            },
            None,
        ),
        (
            Limits {
                elements: 3,
                ..Limits::default()
            },
            Some(JsonErrorKind::TooManyElements),
        ),
        (
            Limits {
                bytes: text.len(),
                ..Limits::default()
            },
            None,
        ),
        (
            Limits {
                bytes: text.len() - 1,
                ..Limits::default()
            },
            Some(JsonErrorKind::TooLarge),
        ),
    ] {
        let printing = PrintOptions {
            limits,
            ..PrintOptions::default()
        };
        let parsing = ParseOptions {
            limits,
            ..ParseOptions::default()
        };
        let printed = print_with(printing, &schema, "t.All", &wire);
        assert_eq!(printed.err().map(|error| error.kind()), kind);
        let parsed = parse_with(parsing, &schema, "t.All", text.as_bytes());
        assert_eq!(parsed.err().map(|error| error.kind()), kind);
    }
}

#[test]
fn disorder_at_each_level_takes_time_linear_in_depth() {
    let schema = schema();
    let levels = super::super::MAX_DEPTH as usize - 1;
    // Each level says twice what it is, after its child: only its end shows that the quick way does not do.
    let mut wire = Vec::new();
    for _ in 0..levels {
        let mut outer = vec![0x8a, 0x01];
        crate::wire::put_varint(&mut outer, wire.len() as u64);
        outer.extend_from_slice(&wire);
        outer.extend_from_slice(&[0x08, 1, 0x08, 2]);
        wire = outer;
    }
    let options = PrintOptions {
        limits: Limits::TRUSTED,
        ..PrintOptions::default()
    };
    let text = print_with(options, &schema, "t.All", &wire).unwrap();
    assert_eq!(text.matches("\"i32\":2").count(), levels);
}

#[test]
fn a_steady_stream_of_messages_allocates_nothing() {
    let schema = schema();
    let text = r#"{"i32":-5,"text":"é\"\\\n","raw":"AAEC/w==","child":{"text":"longer than eight bytes"},"manyI32":[1,0],"manyChild":[{},{"i32":1}],"textMap":{"a":"","k":"v"},"time":"2024-02-29T12:34:56Z","twice":0.25,"structure":{"a":[1,{}]}}"#;
    let message = schema.message("t.All").unwrap();
    let (mut printer, mut parser) = (JsonPrinter::default(), JsonParser::default());
    let (mut wire, mut printed) = (Vec::new(), Vec::new());
    let mut both = || {
        wire.clear();
        printed.clear();
        parser.parse(message, text.as_bytes(), &mut wire).unwrap();
        printer.print(message, &wire, &mut printed).unwrap();
    };
    both();
    both();
    let counted = allocation_counter::measure(both);
    assert_eq!(counted.count_total, 0);
    assert_eq!(printed, text.as_bytes());
}
