//! Any bytes as an event stream: the parser says what the slow reference says, wherever the stream is cut, and with limits the
//! beginning of it.
#![no_main]

#[path = "../../crates/sse-client/tests/parser/reference.rs"]
mod reference;

use heddle_sse_client::{Limits, ParseError, Parser};
use libfuzzer_sys::fuzz_target;
use reference::{Said, interpret, said};

fuzz_target!(|input: &[u8]| {
    let Some(([piece, habits], stream)) = input.split_first_chunk() else {
        return;
    };
    let expected = interpret(stream);
    let (found, result) = parse(Limits::default(), stream, *piece, *habits);
    assert_eq!(result, Ok(()));
    assert_eq!(found, expected);
    let limits = Limits {
        line_bytes: usize::from(*piece),
        event_bytes: usize::from(*habits),
    };
    let (found, result) = parse(limits, stream, *piece, *habits);
    assert!(expected.starts_with(&found));
    assert!(result.is_err() || found == expected);
});

/// Pushes pieces of two lengths in turns, some of them before everything is read, and settles between some.
fn parse(limits: Limits, stream: &[u8], piece: u8, habits: u8) -> (Vec<Said>, Result<(), ParseError>) {
    let mut parser = Parser::new(limits).with_comments(true);
    let mut found = Vec::new();
    let mut rest = stream;
    let mut turn = 0_u32;
    while !rest.is_empty() {
        let length = if turn.is_multiple_of(2) {
            piece & 15
        } else {
            piece >> 4
        };
        let (chunk, after) = rest.split_at(rest.len().min(usize::from(length) + 1));
        rest = after;
        parser.push(chunk.to_vec());
        let is_lazy = habits.rotate_left(turn) & 1 == 1 && !rest.is_empty();
        turn += 1;
        while let Some(item) = match parser.next_item() {
            Ok(item) => item,
            Err(error) => return (found, Err(error)),
        } {
            found.push(said(item));
            if is_lazy {
                break;
            }
        }
        if habits & 2 == 2 {
            parser.settle();
        }
    }
    (found, Ok(()))
}
