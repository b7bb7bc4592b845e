//! Any bytes as a message that is printed as JSON, and any text as JSON that is parsed: each direction undoes the other.
#![no_main]

use heddle_dynamic_protobuf::json::{
    ChunkedJsonParser, ChunkedJsonPrinter, EnumForm, FieldNames, JsonError, JsonErrorKind, JsonParser,
    JsonPrinter, ParseOptions, PrintOptions, UnknownFields, ZeroFields,
};
use heddle_dynamic_protobuf::{DecodeErrorKind, Message, MessageDescriptor};
use heddle_fuzz::{LIMITS, deterministic, root, within_limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((options, rest)) = input.split_first() else {
        return;
    };
    let Some((descriptor, bytes)) = root(rest) else {
        return;
    };
    let print = PrintOptions {
        names: if options & 1 == 0 {
            FieldNames::Json
        } else {
            FieldNames::Proto
        },
        enums: if options & 2 == 0 {
            EnumForm::Name
        } else {
            EnumForm::Number
        },
        zeros: if options & 4 == 0 {
            ZeroFields::Omit
        } else {
            ZeroFields::Show
        },
        limits: LIMITS,
    };
    let parse = ParseOptions {
        unknown: if options & 8 == 0 {
            UnknownFields::Refuse
        } else {
            UnknownFields::Ignore
        },
        limits: LIMITS,
    };
    if options & 16 == 0 {
        from_wire(descriptor, bytes, print, parse);
    } else {
        from_text(descriptor, bytes, print, parse);
    }
});

/// What is printed is JSON, and parses to a message that prints the same.
fn from_wire(descriptor: MessageDescriptor<'_>, wire: &[u8], print: PrintOptions, parse: ParseOptions) {
    let mut text = Vec::new();
    let printed = within_limits(wire.len(), || {
        JsonPrinter::new(print).print(descriptor, wire, &mut text)
    });
    let mut chunked = Vec::new();
    match print_in_chunks(descriptor, wire, print, &mut chunked) {
        Ok(()) => {
            assert!(
                printed.is_ok(),
                "what is printed in chunks is printed in one piece"
            );
            // A list of nothing but numbers that a closed enum does not have is begun before that is known.
            assert_eq!(
                parsed(descriptor, &chunked, parse),
                parsed(descriptor, &text, parse)
            );
        }
        Err(error) => assert!(
            // What a later occurrence replaces is not looked into in one piece, and is in chunks: also a key of proto2, which
            // decoding takes whatever it is.
            printed.is_err()
                || Message::with_limits(descriptor, LIMITS).decode(wire).is_err()
                || matches!(
                    error.kind(),
                    JsonErrorKind::NotInOrder | JsonErrorKind::AllocationLimit | JsonErrorKind::InvalidUtf8
                ),
            "{error}, in chunks alone"
        ),
    }
    match printed {
        Err(error) => {
            assert!(text.is_empty());
            assert!(
                error.offset() <= wire.len(),
                "{error} is past the end of the input"
            );
        }
        Ok(()) => {
            // Not all that prints decodes: printing does not look into what a later occurrence or member replaces.
            from_own_text(descriptor, &text, print, parse);
            prints_what_is_decoded(descriptor, wire, &text, print);
        }
    }
}

/// Repeated occurrences and members of one oneof are to JSON what they are to decoding.
fn prints_what_is_decoded(descriptor: MessageDescriptor<'_>, wire: &[u8], text: &[u8], print: PrintOptions) {
    let mut message = Message::with_limits(descriptor, LIMITS);
    if message.decode(wire).is_err() {
        return;
    }
    let (encoded, mut canonical) = (deterministic(&message), Vec::new());
    JsonPrinter::new(print)
        .print(descriptor, &encoded, &mut canonical)
        .expect("what prints as it is prints in its canonical form");
    assert_eq!(tree(text), tree(&canonical), "of {encoded:02x?}");
}

/// Text that was printed is JSON and parses, and prints again as it was but for the order of fields, which is that of the wire.
fn from_own_text(descriptor: MessageDescriptor<'_>, text: &[u8], print: PrintOptions, parse: ParseOptions) {
    let mut wire = Vec::new();
    if let Err(error) = JsonParser::new(parse).parse(descriptor, text, &mut wire) {
        panic!(
            "{} was printed, and is refused: {error}",
            String::from_utf8_lossy(text)
        );
    }
    let mut again = Vec::new();
    JsonPrinter::new(print)
        .print(descriptor, &wire, &mut again)
        .expect("what was printed once prints again");
    assert_eq!(tree(&again), tree(text), "of {wire:02x?}");
}

/// The message that the text is.
fn parsed(descriptor: MessageDescriptor<'_>, text: &[u8], options: ParseOptions) -> Vec<u8> {
    let (mut wire, mut message) = (Vec::new(), Message::new(descriptor));
    JsonParser::new(options)
        .parse(descriptor, text, &mut wire)
        .expect("what is printed parses");
    message.decode(&wire).expect("what parses decodes");
    deterministic(&message)
}

/// Pieces so small that every token is cut somewhere.
const PIECE_BYTES: usize = 3;

fn print_in_chunks(
    descriptor: MessageDescriptor<'_>,
    wire: &[u8],
    options: PrintOptions,
    text: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let mut printer = ChunkedJsonPrinter::new(descriptor, options);
    for chunk in wire.chunks(PIECE_BYTES) {
        printer.push(chunk, text)?;
    }
    printer.finish(text)
}

fn parse_in_chunks(
    descriptor: MessageDescriptor<'_>,
    text: &[u8],
    options: ParseOptions,
    wire: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let mut parser = ChunkedJsonParser::new(descriptor, options);
    for chunk in text.chunks(PIECE_BYTES) {
        parser.push(chunk, wire)?;
    }
    parser.finish(wire)
}

/// Any reader of JSON takes what is printed.
fn tree(text: &[u8]) -> serde_json::Value {
    serde_json::from_slice(text).expect("what is printed is JSON")
}

/// What parses decodes, and parses to the same message after it was printed.
fn from_text(descriptor: MessageDescriptor<'_>, text: &[u8], print: PrintOptions, parse: ParseOptions) {
    let mut wire = Vec::new();
    let parsed = within_limits(text.len(), || {
        JsonParser::new(parse).parse(descriptor, text, &mut wire)
    });
    let mut chunked = Vec::new();
    let in_chunks = parse_in_chunks(descriptor, text, parse, &mut chunked);
    assert_eq!(
        parsed.is_ok(),
        in_chunks.is_ok(),
        "{parsed:?} and in chunks {in_chunks:?}"
    );
    if let Err(error) = parsed {
        assert!(wire.is_empty());
        assert!(
            error.offset() <= text.len(),
            "{error} is past the end of the input"
        );
        return;
    }
    let mut message = Message::with_limits(descriptor, LIMITS);
    if message
        .decode(&wire)
        .is_err_and(|error| error.kind() != DecodeErrorKind::AllocationLimit)
    {
        panic!("{wire:02x?} was parsed, and does not decode");
    }
    let mut printed = Vec::new();
    if JsonPrinter::new(print)
        .print(descriptor, &wire, &mut printed)
        .is_err()
    {
        return;
    }
    let mut again = Vec::new();
    JsonParser::new(parse)
        .parse(descriptor, &printed, &mut again)
        .expect("what is printed parses");
    let before = deterministic(&message);
    if message.decode(&chunked).is_ok() {
        assert_eq!(deterministic(&message), before, "in chunks {chunked:02x?}");
    }
    if message.decode(&again).is_ok() {
        assert_eq!(
            deterministic(&message),
            before,
            "of {}",
            String::from_utf8_lossy(&printed)
        );
    }
}
