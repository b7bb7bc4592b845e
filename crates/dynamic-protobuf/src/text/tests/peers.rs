//! Against prost-reflect, which reads and writes the same format; and whatever is read, printed and read again.

use super::super::UnknownFields;
use super::*;
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(SET.as_slice()).unwrap());

const SAMPLES: [(&str, &str); 4] = [
    (
        PROTO3,
        "int32_field: -5 uint64_field: 0xff float_field: 1.5f bool_field: t string_field: \"a\\n\\u00e9\" 'x' bytes_field: '\\377' color: COLOR_RED",
    ),
    (
        PROTO3,
        "leaf < number: 1; numbers: [1, -2] >, children { child {} } leaves: [{}, {text: 'x'}] choice_null: NULL_VALUE far_away: 7",
    ),
    (
        PROTO3,
        "string_to_child { key: 'k' value { int32_to_leaf { key: -1 value { text: 'é' } } } } sint32_to_double { key: 3 value: nan } struct { fields { key: 'x' value { number_value: 1 } } }",
    ),
    (
        PROTO2,
        "Group { number: 1 Inner { texts: ['a', 'b'] } } Items {} Items { closed: CLOSED_ONE } [heddle.everything2.extended_texts]: ['q'] large: 18446744073709551615",
    ),
];

#[test]
fn the_peer_reads_what_is_printed_and_reads_the_same_from_text() {
    for (name, text) in SAMPLES {
        let own = parsed(name, text).unwrap();
        let descriptor = POOL.get_message_by_name(name).unwrap();
        let peer = DynamicMessage::parse_text_format(descriptor.clone(), text).unwrap();
        for options in [
            PrintOptions::default(),
            PrintOptions {
                layout: Layout::SingleLine,
                ..PrintOptions::default()
            },
        ] {
            let printed = to_text(own.as_ref(), &options).unwrap();
            let read = DynamicMessage::parse_text_format(descriptor.clone(), &printed).unwrap();
            assert_eq!(in_one_line(&decoded(name, &read)), in_one_line(&own));
        }
        assert_eq!(in_one_line(&decoded(name, &peer)), in_one_line(&own));
        assert_eq!(
            in_one_line(&parsed(name, &peer.to_text_format()).unwrap()),
            in_one_line(&own)
        );
    }
}

fn decoded(name: &str, peer: &DynamicMessage) -> Message {
    let mut own = message(name);
    own.decode(&peer.encode_to_vec()).unwrap();
    own
}

#[test]
fn a_cut_at_each_byte_is_an_error_or_a_shorter_message() {
    for (name, text) in SAMPLES {
        for cut in 0..text.len() {
            let mut message = message(name);
            // Bytes, not characters: cuts stand inside of characters too.
            let _ = parse(&text.as_bytes()[..cut], &mut message, &ParseOptions::default());
        }
    }
}

/// Pieces of text that are often valid one after the other.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "int32_field: ",
        "string_field: ",
        "leaf ",
        "leaf { number: 1 }",
        "child {",
        "child {",
        "}",
        "}",
        "<",
        ">",
        "[",
        "]",
        ",",
        ";",
        ":",
        "packed_int32: [1, 2]",
        "packed_int32: ",
        "strings: ",
        "any { [a/heddle.everything3.Everything] {",
        "any {",
        "[a/b]",
        "[x.y]: 1",
        "1",
        "-1",
        "0x1f",
        "1.5",
        "inf",
        "true",
        "'a\\n'",
        "\"\\377\"",
        "'\\u00e9'",
        "choice_string: 'x'",
        "choice_int64: 5",
        "string_to_child { key: 'k' value {",
        "} }",
        "int32_to_leaf { key: 7 }",
        "double_field: -1e5",
        "color: 77",
        "# x\n",
        "\0",
        "é",
        "\\",
        "'",
    ])
}

proptest! {
    #[test]
    fn whatever_is_read_can_be_printed_and_read_again(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.join(" ");
        if let Ok(message) = parsed(PROTO3, &text) {
            for layout in [Layout::Lines, Layout::SingleLine] {
                let printed = to_text(message.as_ref(), &PrintOptions { layout, ..PrintOptions::default() }).unwrap();
                let again = parsed(PROTO3, &printed).unwrap();
                prop_assert_eq!(message.as_ref(), again.as_ref());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_at_a_place_within(text in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut message = message(PROTO2);
        if let Err(error) = parse(&text, &mut message, &ParseOptions::default()) {
            prop_assert!(error.offset() <= text.len());
            prop_assert!(error.line() >= 1 && error.column() >= 1);
        }
    }

    #[test]
    fn any_message_can_be_printed_and_what_is_known_of_it_is_read_again(wire in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut message = message(PROTO2);
        if message.decode(&wire).is_ok() {
            let again = parsed(PROTO2, &in_one_line(&message)).unwrap();
            prop_assert_eq!(in_one_line(&again), in_one_line(&message));
            let all = PrintOptions { unknown_fields: UnknownFields::Show, ..PrintOptions::default() };
            prop_assert!(to_text(message.as_ref(), &all).is_ok());
        }
    }
}
