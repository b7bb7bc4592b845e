//! Any text as text format, and any message printed as text: each direction undoes the other.
#![no_main]

use heddle_dynamic_protobuf::text::{ParseOptions, PrintOptions, parse, to_text};
use heddle_dynamic_protobuf::{Message, MessageDescriptor};
use heddle_fuzz::{LIMITS, deterministic, root, within_limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    let Some((descriptor, bytes)) = root(rest) else {
        return;
    };
    let mut message = Message::with_limits(descriptor, LIMITS);
    let taken = if mode & 1 == 0 {
        message.decode(bytes).is_ok()
    } else {
        let options = ParseOptions {
            limits: LIMITS,
            ..ParseOptions::default()
        };
        within_limits(bytes.len(), || parse(bytes, &mut message, &options)).is_ok()
    };
    if taken {
        prints_and_parses(descriptor, &mut message);
    }
});

/// A message without unknown fields is the same after it was printed and parsed.
fn prints_and_parses(descriptor: MessageDescriptor<'_>, message: &mut Message) {
    let print = PrintOptions {
        limits: LIMITS,
        ..PrintOptions::default()
    };
    let Ok(text) = to_text(message.as_ref(), &print) else {
        return;
    };
    let mut again = Message::with_limits(descriptor, LIMITS);
    let options = ParseOptions {
        limits: LIMITS,
        ..ParseOptions::default()
    };
    if let Err(error) = parse(&text, &mut again, &options) {
        let kind = error.kind();
        assert!(
            matches!(
                kind,
                heddle_dynamic_protobuf::text::ParseErrorKind::TooLarge
                    | heddle_dynamic_protobuf::text::ParseErrorKind::TooManyElements
                    | heddle_dynamic_protobuf::text::ParseErrorKind::TooDeep
            ),
            "{text} was printed, and is refused: {error}"
        );
        return;
    }
    let printed = to_text(again.as_ref(), &print).expect("what was printed once prints again");
    assert_eq!(printed, text, "of {:02x?}", deterministic(message));
}
