//! The rules of the standard, one by one.

use crate::chunks::{every_cut, parse, with_comments};
use crate::reference::{Said, interpret};

fn event(kind: &str, data: &str, id: &str) -> Said {
    Said::Event {
        kind: kind.to_owned(),
        data: data.to_owned(),
        id: id.to_owned(),
    }
}

fn message(data: &str) -> Said {
    event("message", data, "")
}

fn id(id: &str) -> Said {
    Said::LastEventId(id.to_owned())
}

fn comment(text: &str) -> Said {
    Said::Comment(text.to_owned())
}

/// Holds for every way to cut the stream, and for the reference as well.
#[track_caller]
fn check(stream: impl AsRef<[u8]>, expected: &[Said]) {
    let stream = stream.as_ref();
    assert_eq!(interpret(stream), expected, "the reference itself");
    for chunks in every_cut(stream) {
        let (found, result) = parse(with_comments(), &chunks);
        assert_eq!(result, Ok(()));
        assert_eq!(
            found,
            expected,
            "cut as {:?}",
            chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_standards_stock_example_is_one_event_of_three_lines() {
    check("data: YHOO\ndata: +2\ndata: 10\n\n", &[message("YHOO\n+2\n10")]);
}

#[test]
fn the_standards_example_of_four_blocks_sets_and_resets_the_id() {
    let stream =
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    let expected = [
        comment(" test stream"),
        event("message", "first event", "1"),
        message("second event"),
        message(" third event"),
    ];
    check(stream, &expected);
}

#[test]
fn the_standards_example_of_empty_data_drops_the_unfinished_block() {
    check("data\n\ndata\ndata\n\ndata:", &[message(""), message("\n")]);
}

#[test]
fn the_standards_example_of_one_space_gives_two_identical_events() {
    check("data:test\n\ndata: test\n\n", &[message("test"), message("test")]);
}

#[test]
fn only_the_first_space_behind_the_colon_goes() {
    check(
        "data:  two\n\ndata:\ttab\n\n",
        &[message(" two"), message("\ttab")],
    );
}

#[test]
fn lines_end_in_lf_cr_or_crlf_in_any_mixture() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("data: a{end}data: b{end}{end}data: c{end}{end}");
        check(&stream, &[message("a\nb"), message("c")]);
    }
    check("data: a\r\ndata: b\rdata: c\n\r\n", &[message("a\nb\nc")]);
    check("data: a\n\rdata: b\r\r", &[message("a"), message("b")]);
    check("data: a\r\n\r\r\n\ndata: b\r\n\n", &[message("a"), message("b")]);
}

#[test]
fn an_id_behind_a_byte_order_mark_is_found_in_its_place() {
    check(
        "\u{FEFF}id: 7\ndata: a\n\ndata: b\n\n",
        &[event("message", "a", "7"), event("message", "b", "7")],
    );
}

#[test]
fn a_byte_order_mark_goes_once_and_only_at_the_beginning() {
    check("\u{FEFF}data: a\n\n", &[message("a")]);
    check("\u{FEFF}\u{FEFF}data: a\n\ndata: b\n\n", &[message("b")]);
    check("data: \u{FEFF}a\n\n\u{FEFF}data: b\n\n", &[message("\u{FEFF}a")]);
    check("\u{FEFF}", &[]);
    check(b"\xEF\xBBdata: a\n\ndata: b\n\n", &[message("b")]);
}

#[test]
fn invalid_utf_8_is_replaced_and_nothing_else_is_lost() {
    check(b"data: a\xFFb\n\n", &[message("a\u{FFFD}b")]);
    check(b"data: \xE2\x82\n\n", &[message("\u{FFFD}")]);
    check(b"data: \xE2\x82\xACx\xF0\x9F\x98\n\n", &[message("€x\u{FFFD}")]);
    check(b"data: \xF0\x9F\xE2\x82\xAC\n\n", &[message("\u{FFFD}€")]);
    check(
        b"data: \xC0\x80\xED\xA0\x80\xF4\x90\x80\x80\n\n",
        &[message(&"\u{FFFD}".repeat(9))],
    );
    check(b"\xFFdata: a\n\xFF\n\ndata: b\xF0\n\n", &[message("b\u{FFFD}")]);
}

#[test]
fn characters_of_any_length_survive_cuts() {
    check(
        "data: é€😀豆腐\nid: é\nevent: 😀\n\n",
        &[event("😀", "é€😀豆腐", "é")],
    );
}

#[test]
fn the_event_field_names_the_type_of_one_event() {
    check(
        "event: a\ndata: 1\n\ndata: 2\n\n",
        &[event("a", "1", ""), message("2")],
    );
    check("event: a\nevent: b\ndata: 1\n\n", &[event("b", "1", "")]);
    check("event: a\nevent\ndata: 1\n\n", &[message("1")]);
    check("event: a\n\ndata: 1\n\n", &[message("1")]);
}

#[test]
fn an_id_stays_until_another_and_an_empty_one_resets_it() {
    let stream = "id: 1\ndata: a\n\ndata: b\n\nid: 2\nid: 3\ndata: c\n\nid:\ndata: d\n\n";
    let expected = [
        event("message", "a", "1"),
        event("message", "b", "1"),
        event("message", "c", "3"),
        message("d"),
    ];
    check(stream, &expected);
}

#[test]
fn an_event_of_empty_data_keeps_its_id() {
    let stream = "id: 1\ndata\n\ndata:\n\ndata: \nevent: a\n\n";
    check(
        stream,
        &[
            event("message", "", "1"),
            event("message", "", "1"),
            event("a", "", "1"),
        ],
    );
}

#[test]
fn an_id_with_a_null_is_ignored() {
    check(
        "id: a\0b\ndata: 1\n\nid: c\nid: \0\ndata: 2\n\n",
        &[message("1"), event("message", "2", "c")],
    );
}

#[test]
fn a_blank_line_commits_the_id_even_without_data() {
    check("id: 1\n\n", &[id("1")]);
    check("id: 1\nevent: a\n\nid: 1\n\nid\n\n", &[id("1"), id("")]);
    check("id: 1\n", &[]);
}

#[test]
fn retry_takes_digits_only() {
    check("retry: 1500\n", &[Said::Retry(1500)]);
    check("retry: 0\nretry:007\n", &[Said::Retry(0), Said::Retry(7)]);
    check(
        "retry: 99999999999999999999999\n",
        &[Said::Retry(u64::MAX.into())],
    );
    check(
        "retry\nretry:\nretry: 1.5\nretry: -1\nretry: +1\nretry: 1s\nretry:  1\nretry: 1 \nretry: ١\n",
        &[],
    );
}

#[test]
fn comments_are_lines_that_begin_with_a_colon() {
    check(
        ":\n: a\n:b:c\ndata: 1\n:: d\n\n",
        &[
            comment(""),
            comment(" a"),
            comment("b:c"),
            comment(": d"),
            message("1"),
        ],
    );
}

#[test]
fn unknown_fields_are_ignored_and_names_are_compared_exactly() {
    check(
        "dat: x\ndata1: x\nDATA: x\n data: x\ndata : x\nids: 1\neven: x\nevents: x\nid : 1\nfoo\n\n",
        &[],
    );
    check("foo: x\ndata: 1\nfoo\n\n", &[message("1")]);
}

#[test]
fn a_block_without_data_is_no_event() {
    check("\n\n\nevent: a\n\n:x\n\n", &[comment("x")]);
}

#[test]
fn an_unfinished_block_at_the_end_is_dropped() {
    check("data: 1\n\ndata: 2\n", &[message("1")]);
    check("data: 1\n\ndata: 2\n\r", &[message("1"), message("2")]);
    check("", &[]);
}

#[test]
fn colons_and_nulls_in_values_stay() {
    check("data: a:b: c\ndata::\ndata: \0\n\n", &[message("a:b: c\n:\n\0")]);
}

#[test]
fn long_lines_survive_cuts() {
    let long = "0123456789é".repeat(200);
    check(
        format!("data: {long}\ndata: x\n\ndata:{long}\n\n"),
        &[message(&format!("{long}\nx")), message(&long)],
    );
}

#[test]
fn comments_are_skipped_unless_asked_for() {
    let (found, _) = parse(heddle_sse_client::Parser::default(), &[b":a\ndata: 1\n\n"]);
    assert_eq!(found, [message("1")]);
}

#[test]
fn the_last_id_of_an_earlier_response_goes_on() {
    let parser = with_comments().with_last_event_id("7".into());
    let (found, _) = parse(parser, &[b"data: 1\n\nid\n\n"]);
    assert_eq!(found, [event("message", "1", "7"), id("")]);
}

#[test]
fn an_unfinished_id_is_not_the_last_one() {
    let mut parser = with_comments();
    parser.push("id: 1\n\nid: 2\n");
    while let Ok(Some(_)) = parser.next_item() {}
    assert_eq!(parser.last_event_id(), "1");
    parser.push("\n");
    while let Ok(Some(_)) = parser.next_item() {}
    assert_eq!(parser.last_event_id(), "2");
}
