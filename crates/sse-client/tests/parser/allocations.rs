//! What events cost the allocator.

use allocation_counter::measure;
use bytes::Bytes;
use heddle_sse_client::{Parsed, Parser};

/// How many events and allocations there are in the second of two equal chunks with so many of these events.
fn steady_state(event: &str, count: usize) -> (u64, u64) {
    let chunk = Bytes::from(event.repeat(count));
    let mut parser = Parser::default();
    let mut events = 0;
    let mut drain = |parser: &mut Parser| {
        parser.push(chunk.clone());
        while let Ok(Some(item)) = parser.next_item() {
            events += u64::from(matches!(item, Parsed::Event(_)));
        }
    };
    // The first clone of a chunk makes it shared.
    drain(&mut parser);
    let information = measure(|| drain(&mut parser));
    (events / 2, information.count_total)
}

#[test]
fn events_of_one_data_line_inside_a_chunk_allocate_nothing() {
    let long = "x".repeat(200);
    let small = "data: x\n\n".to_owned();
    let full = format!("event: {long}\nid: {long}\ndata: {long}\n\n");
    let windows = format!("id: 1\r\ndata: {long}\r\n\r\n");
    let other_alphabet =
        "event: ὄνομα\ndata: ἐν ἀρχῇ ἦν ὁ λόγος, καὶ ὁ λόγος ἦν πρὸς τὸν θεόν\n\n".to_owned();
    for event in [small, full, windows, other_alphabet] {
        // A chunk costs two allocations, those of its reference counts, however many events it has.
        assert_eq!(steady_state(&event, 10), (10, 2), "{event:?}");
        assert_eq!(steady_state(&event, 1000), (1000, 2), "{event:?}");
    }
}

#[test]
fn an_event_of_several_data_lines_allocates_to_join_them() {
    let (events, allocations) = steady_state("data: the first line\ndata: the second line\n\n", 100);
    assert_eq!(events, 100);
    assert!((1..=300).contains(&allocations), "{allocations} allocations");
}
