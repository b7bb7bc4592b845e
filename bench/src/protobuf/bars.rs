//! What was promised of the engine, and whether the figures keep it.

use super::measure::Row;
use super::subjects::{FLOOR, OURS};
use crate::table::Table;
use heddle_bench_worker::Operation;

/// A promise: a ratio of medians of processor time.
struct Bar {
    operation: Operation,
    /// All messages when there is none.
    message: Option<&'static str>,
    peer: &'static str,
    promise: Promise,
}

#[derive(Clone, Copy)]
enum Promise {
    /// The peer takes at least so many times as long.
    Faster(f64),
    /// We take at most so many times as long.
    Within(f64),
}

use Promise::{Faster, Within};

const BARS: [Bar; 18] = [
    bar(Operation::Decode, None, "hyperpb", Faster(1.3)),
    bar(Operation::Decode, None, "upb", Faster(1.3)),
    bar(Operation::Decode, None, "prost", Faster(2.0)),
    bar(Operation::Decode, None, "prost-reflect", Faster(6.0)),
    bar(Operation::Reencode, None, "prost", Faster(2.0)),
    bar(Operation::ReencodeOne, None, "prost", Faster(2.0)),
    bar(Operation::Get, Some("medium"), FLOOR, Within(2.0)),
    bar(Operation::Get, Some("large"), FLOOR, Within(2.0)),
    bar(Operation::Get, Some("descriptors"), FLOOR, Within(2.0)),
    bar(Operation::Get, Some("traces"), FLOOR, Within(2.0)),
    bar(Operation::Get, Some("medium"), "dynamicpb", Faster(200.0)),
    bar(Operation::Get, Some("large"), "dynamicpb", Faster(6_000.0)),
    bar(Operation::Set, Some("large"), FLOOR, Within(3.0)),
    bar(Operation::ToJson, None, "prost-reflect", Faster(5.0)),
    bar(Operation::ToJson, None, "prost", Faster(2.0)),
    bar(Operation::FromJson, None, "prost-reflect", Faster(6.0)),
    bar(Operation::FromJson, None, "buffa", Faster(3.0)),
    bar(Operation::Get, Some("small"), FLOOR, Within(2.0)),
];

const fn bar(
    operation: Operation,
    message: Option<&'static str>,
    peer: &'static str,
    promise: Promise,
) -> Bar {
    Bar {
        operation,
        message,
        peer,
        promise,
    }
}

/// The promises that the rows decide, in a table.
pub(super) fn table(rows: &[Row]) -> String {
    let cells = BARS
        .iter()
        .flat_map(|bar| rows.iter().filter_map(|row| bar.verdict(row)));
    let head = ["operation", "message", "against", "bar", "ratio", "verdict"];
    Table {
        head,
        first_number: 3,
        rows: cells.collect(),
    }
    .markdown()
}

impl Bar {
    fn verdict(&self, row: &Row) -> Option<[String; 6]> {
        let is_meant =
            row.operation == self.operation && self.message.is_none_or(|message| row.message == message);
        let (ours, peer) = (row.sample(OURS)?.median(), row.sample(self.peer)?.median());
        if !is_meant {
            return None;
        }
        let (ratio, bar, is_met) = match self.promise {
            Faster(bar) => (peer / ours, format!("≥ {bar} times faster"), peer / ours >= bar),
            Within(bar) => (ours / peer, format!("≤ {bar} times as long"), ours / peer <= bar),
        };
        let verdict = if is_met { "met" } else { "**missed**" };
        Some([
            row.operation.name().to_owned(),
            row.message.clone(),
            self.peer.to_owned(),
            bar,
            format!("{ratio:.2}"),
            verdict.to_owned(),
        ])
    }
}
