//! Messages that somebody made to cost us time, memory or stack, and messages cut at each byte: every way in meets the limits.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use heddle_dynamic_protobuf::edit::{Editor, Mask, Merger, Trimmer};
use heddle_dynamic_protobuf::json::{JsonParser, JsonPrinter, ParseOptions, PrintOptions};
use heddle_dynamic_protobuf::path::Path;
use heddle_dynamic_protobuf::view::View;
use heddle_dynamic_protobuf::{DecodeErrorKind, Limits, Message, MessageDescriptor, Schema, text};
use prost::Message as _;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let set = protox::compile(["everything2.proto"], ["tests/fixtures"]).expect("the fixtures are valid");
    Schema::from_descriptor_set(&set.encode_to_vec()).expect("the fixtures are a valid schema")
});

const LIMITS: Limits = Limits {
    depth: 50,
    bytes: 4 << 20,
    elements: 10_000,
    allocation: 1 << 20,
};
/// Storage that grows is held twice while it moves; beside it there is a copy of the input.
const MOST_BYTES: u64 = 3 << 20;

fn everything2() -> MessageDescriptor<'static> {
    SCHEMA
        .message("heddle.everything2.Everything")
        .expect("a message of the fixtures")
}

fn everything3() -> MessageDescriptor<'static> {
    SCHEMA
        .message("heddle.everything3.Everything")
        .expect("a message of the fixtures")
}

/// A path at which each type is read and edited.
fn path(root: MessageDescriptor<'static>) -> Path {
    let path = if root == everything2() {
        "child.child.number"
    } else {
        "child.child.int32_field"
    };
    Path::compile(root, path)
        .expect("the path is valid")
        .with_limits(LIMITS)
}

/// What each way of taking wire bytes said, by its name.
fn every_way(root: MessageDescriptor<'static>, wire: &[u8]) -> Vec<(&'static str, bool)> {
    let path = path(root);
    let mut out = Vec::new();
    let mut message = Message::with_limits(root, LIMITS);
    let mask = Mask::parse(root, "child.child").expect("the mask is valid");
    let mut editor = Editor::with_limits(LIMITS);
    let print = PrintOptions {
        limits: LIMITS,
        ..PrintOptions::default()
    };
    let walked = View::with_limits(root, wire, &LIMITS).and_then(|view| {
        view.raw_fields().try_for_each(|field| {
            if let Some(known) = field?.field {
                view.get(known)?;
            }
            Ok(())
        })
    });
    vec![
        ("decode", message.decode(wire).is_ok()),
        ("view", walked.is_ok()),
        ("get", path.get(wire).is_ok()),
        ("set", editor.set(wire, &path, 7, &mut out).is_ok()),
        ("remove", editor.remove(wire, &path, &mut out).is_ok()),
        (
            "trim",
            Trimmer::with_limits(LIMITS).trim(wire, &mask, &mut out).is_ok(),
        ),
        (
            "merge",
            Merger::with_limits(root, LIMITS)
                .merge(wire, wire, &mut out)
                .is_ok(),
        ),
        (
            "json",
            JsonPrinter::new(print).print(root, wire, &mut out).is_ok(),
        ),
    ]
}

/// Takes the bytes every way within bounds of memory, and returns which ways refused them.
#[track_caller]
fn refused_within_bounds(root: MessageDescriptor<'static>, wire: &[u8]) -> Vec<&'static str> {
    let mut said = Vec::new();
    let used = allocation_counter::measure(|| said = every_way(root, wire));
    let allowed = MOST_BYTES + 10 * wire.len() as u64;
    assert!(
        used.bytes_max <= allowed,
        "{} bytes took {} of memory",
        wire.len(),
        used.bytes_max
    );
    said.into_iter()
        .filter(|(_, taken)| !taken)
        .map(|(way, _)| way)
        .collect()
}

fn decode_error(root: MessageDescriptor<'static>, wire: &[u8]) -> DecodeErrorKind {
    let mut message = Message::with_limits(root, LIMITS);
    message
        .decode(wire)
        .expect_err("the message goes past a limit")
        .kind()
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of this number with `content` behind its length.
fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, u64::from(number) << 3 | 2);
    put_varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

#[test]
fn a_length_bomb_is_refused_without_memory_for_what_it_promises() {
    for length in [
        1u64 << 20,
        i32::MAX as u64,
        u64::from(u32::MAX),
        1 << 62,
        u64::MAX,
    ] {
        // child, strings, packed numbers and a map's entry.
        for (root, tag) in [
            (everything2(), 0xc2u64),
            (everything3(), 0x92),
            (everything3(), 0xa2),
            (everything3(), 0xf2),
        ] {
            let mut wire = vec![tag as u8, 2];
            put_varint(&mut wire, length);
            wire.extend_from_slice(b"abc");
            assert_eq!(decode_error(root, &wire), DecodeErrorKind::Truncated);
            let refused = refused_within_bounds(root, &wire);
            assert_eq!(refused.len(), 8, "only {refused:?} refused a length of {length}");
        }
    }
}

#[test]
fn a_depth_bomb_of_messages_is_refused_by_whoever_follows_it() {
    let mut wire = Vec::new();
    for _ in 0..60 {
        wire = delimited(40, &wire);
    }
    assert_eq!(decode_error(everything2(), &wire), DecodeErrorKind::TooDeep);
    assert!(refused_within_bounds(everything2(), &wire).contains(&"json"));
    // Deep enough to overflow the stack, were it followed.
    for _ in 0..20_000 {
        wire = delimited(40, &wire);
    }
    assert_eq!(decode_error(everything2(), &wire), DecodeErrorKind::TooDeep);
    assert!(refused_within_bounds(everything2(), &wire).contains(&"json"));
}

#[test]
fn a_depth_bomb_of_groups_is_refused_whether_the_schema_knows_them_or_not() {
    for number in [20u64, 77] {
        let mut wire = Vec::new();
        for _ in 0..200_000 {
            put_varint(&mut wire, number << 3 | 3);
        }
        assert_eq!(decode_error(everything2(), &wire), DecodeErrorKind::TooDeep);
        let refused = refused_within_bounds(everything2(), &wire);
        assert_eq!(
            refused.len(),
            8,
            "only {refused:?} refused groups with number {number}"
        );
    }
}

#[test]
fn a_packed_bomb_is_refused_by_the_number_of_its_elements() {
    let wire = delimited(30, &vec![0; 1 << 20]);
    assert_eq!(
        decode_error(everything3(), &wire),
        DecodeErrorKind::TooManyElements
    );
    assert!(refused_within_bounds(everything3(), &wire).contains(&"json"));
    let many_lists: Vec<u8> = (0..30).flat_map(|_| delimited(34, &[1; 1_000])).collect();
    assert_eq!(
        decode_error(everything3(), &many_lists),
        DecodeErrorKind::TooManyElements
    );
}

#[test]
fn a_bomb_of_empty_messages_is_refused_by_the_memory_that_they_would_take() {
    let wire: Vec<u8> = (0..9_000).flat_map(|_| delimited(39, b"")).collect();
    assert_eq!(
        decode_error(everything3(), &wire),
        DecodeErrorKind::AllocationLimit
    );
    refused_within_bounds(everything3(), &wire);
    let entries: Vec<u8> = (0..20_000u32)
        .flat_map(|key| delimited(51, &[8, key as u8 & 0x7f]))
        .collect();
    assert_eq!(
        decode_error(everything3(), &entries),
        DecodeErrorKind::TooManyElements
    );
    refused_within_bounds(everything3(), &entries);
}

#[test]
fn unknown_fields_without_end_stay_within_the_limits() {
    let wire: Vec<u8> = (0..500_000).flat_map(|_| [0xc8, 0x05, 0x00]).collect();
    refused_within_bounds(everything2(), &wire);
}

#[test]
fn bombs_of_text_are_refused_too() {
    let parse = ParseOptions {
        limits: LIMITS,
        ..ParseOptions::default()
    };
    let deep = [
        r#"{"child":"#.repeat(100_000),
        format!(r#"{{"value":{}"#, "[".repeat(100_000)),
        format!(r#"{{"unknown":{}"#, r#"{"a":"#.repeat(100_000)),
        format!(r#"{{"packedInt32":[{}0]}}"#, "0,".repeat(200_000)),
    ];
    for bomb in &deep {
        let mut wire = Vec::new();
        let used = allocation_counter::measure(|| {
            assert!(
                JsonParser::new(parse)
                    .parse(everything3(), bomb.as_bytes(), &mut wire)
                    .is_err()
            );
        });
        assert!(
            used.bytes_max <= MOST_BYTES,
            "{} bytes for {:.20}…",
            used.bytes_max,
            bomb
        );
    }
    let options = text::ParseOptions {
        limits: LIMITS,
        ..text::ParseOptions::default()
    };
    for bomb in [
        "child {".repeat(100_000),
        "child <".repeat(100_000),
        format!("packed: [{}", "1,".repeat(200_000)),
    ] {
        let mut message = Message::with_limits(everything2(), LIMITS);
        let used =
            allocation_counter::measure(|| assert!(text::parse(&bomb, &mut message, &options).is_err()));
        assert!(
            used.bytes_max <= MOST_BYTES,
            "{} bytes for {:.20}…",
            used.bytes_max,
            bomb
        );
    }
}

const SAMPLE3: &str = r#"{"int32Field":-1,"stringField":"é€😀","bytesField":"AAEC","color":"COLOR_RED","doubleField":1.5,
    "child":{"child":{"int32Field":7,"optionalString":""},"leaf":{"numbers":["-1","2"]}},"packedInt32":[1,-1,300],
    "unpackedInt32":[1,2],"strings":["a","","b"],"leaves":[{"number":1},{},{"text":"x"}],"choiceLeaf":{"number":3},
    "stringToString":{"a":"b","":""},"int32ToLeaf":{"1":{"number":1},"-1":{}},"boolToColor":{"true":"COLOR_BLUE"},
    "any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.5s"},"timestamp":"2026-11-22T10:00:00.5Z",
    "duration":"-3s","mask":"a.b,cD","struct":{"a":[1,null,{"b":true}]},"value":"v","list":[1],"boolWrapper":false,
    "stringWrapper":"w","values":[null,1],"another-name":"renamed","farAway":1}"#;

const SAMPLE2: &str = r#"number: 5 text: "t" blob: "\001\377" closed: CLOSED_NEGATIVE unpacked: [1, -1] packed: [-1, 1]
    closeds: [CLOSED_ONE] int32_to_closed { key: 1 value: CLOSED_ZERO } Group { number: 1 Inner { texts: ["a", "b"] } }
    Items { name: "i" } Items {} ChoiceGroup { blob: "b" } child { child { number: 7 } } children { text: "c" } children {}
    needy { id: 1 by_name { key: "k" value { id: 2 } } } set { [heddle.everything2.SetItem.item] { text: "s" } }
    modern { leaf { text: "m" } } [heddle.everything2.extended_number]: 9 [heddle.everything2.extended_texts]: ["x", "y"]"#;

/// The samples on the wire.
fn samples() -> [(MessageDescriptor<'static>, Vec<u8>); 2] {
    let mut modern = Vec::new();
    JsonParser::default()
        .parse(everything3(), SAMPLE3.as_bytes(), &mut modern)
        .expect("the sample is valid");
    let mut classic = Message::new(everything2());
    text::parse(SAMPLE2, &mut classic, &text::ParseOptions::default()).expect("the sample is valid");
    [(everything3(), modern), (everything2(), classic.encode_to_vec())]
}

#[test]
fn samples_cut_at_each_byte_never_panic_or_take_memory() {
    for (root, wire) in samples() {
        assert!(refused_within_bounds(root, &wire).is_empty());
        for cut in 0..wire.len() {
            refused_within_bounds(root, &wire[..cut]);
        }
    }
}

#[test]
fn samples_with_each_byte_changed_never_panic_or_take_memory() {
    for (root, wire) in samples() {
        for at in 0..wire.len() {
            for change in [0x01, 0x80, 0xff, 0x07] {
                let mut wire = wire.clone();
                wire[at] ^= change;
                refused_within_bounds(root, &wire);
            }
        }
    }
}

#[test]
fn text_cut_at_each_byte_is_refused() {
    for cut in (0..SAMPLE3.len()).filter(|cut| SAMPLE3.is_char_boundary(*cut)) {
        let mut wire = Vec::new();
        assert!(
            JsonParser::default()
                .parse(everything3(), &SAMPLE3.as_bytes()[..cut], &mut wire)
                .is_err()
        );
    }
    let mut message = Message::new(everything2());
    for cut in 0..SAMPLE2.len() {
        // Text format has no end, so that a cut between fields leaves a message.
        let _ = text::parse(&SAMPLE2[..cut], &mut message, &text::ParseOptions::default());
    }
}
