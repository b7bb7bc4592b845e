//! Limits hold wherever chunks end.

use crate::chunks::{every_cut, parse};
use crate::reference::{Said, interpret};
use heddle_sse_client::{Limits, ParseError, Parser};

const LIMITS: Limits = Limits {
    line_bytes: 12,
    event_bytes: 16,
};
const LINE: ParseError = ParseError::LineTooLong { limit: 12 };
const EVENT: ParseError = ParseError::EventTooLarge { limit: 16 };

#[track_caller]
fn check(stream: &str, expected: Result<&str, (&str, ParseError)>) {
    let (good, result) = match expected {
        Ok(good) => (good, Ok(())),
        Err((good, error)) => (good, Err(error)),
    };
    let good: Vec<Said> = interpret(good.as_bytes());
    for chunks in every_cut(stream.as_bytes()) {
        assert_eq!(parse(Parser::new(LIMITS), &chunks), (good.clone(), result));
    }
}

#[test]
fn a_line_at_the_limit_passes_and_one_byte_more_does_not() {
    check("data: 123456\n\n", Ok("data: 123456\n\n"));
    check("data: 1234567\n\n", Err(("", LINE)));
    check("data: 1\n\ndata: 1234567\n\n", Err(("data: 1\n\n", LINE)));
}

#[test]
fn an_endless_line_fails_before_its_end() {
    check("data: 12345678901234567890", Err(("", LINE)));
    check(":2345678901234567890", Err(("", LINE)));
}

#[test]
fn an_event_at_the_limit_passes_and_one_byte_more_does_not() {
    check("data:1234567\ndata:90123456\n\n", Err(("", LINE)));
    check(
        "data:1234567\ndata:9012345\n\n",
        Ok("data:1234567\ndata:9012345\n\n"),
    );
    check("data:1234567\ndata:9012345\ndata:\ndata:\n\n", Err(("", EVENT)));
    check(
        "data:1234567\ndata:90\nevent:123456\n\n",
        Ok("data:1234567\ndata:90\nevent:123456\n\n"),
    );
    check("data:1234567\ndata:901\nevent:123456\n\n", Err(("", EVENT)));
    check("event:123456\ndata:1234567\ndata:901\n\n", Err(("", EVENT)));
}

#[test]
fn the_event_limit_counts_from_blank_line_to_blank_line() {
    let stream = "data:1234567\ndata:9\n\n".repeat(5);
    check(&stream, Ok(&stream));
}

#[test]
fn a_failed_parser_repeats_its_error_and_takes_no_more() {
    let mut parser = Parser::new(LIMITS);
    parser.push("id: 1\n\ndata: 1234567\n\n");
    assert!(parser.next_item().is_ok());
    assert_eq!(parser.next_item(), Err(LINE));
    parser.push("data: 1\n\n");
    assert_eq!(parser.next_item(), Err(LINE));
    assert_eq!(parser.last_event_id(), "1");
}
