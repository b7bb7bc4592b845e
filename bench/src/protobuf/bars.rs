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
    /// The fastest of these counts.
    peers: &'static [&'static str],
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

/// It has two modes, and which is its fastest depends on the message.
const HYPERPB: [&str; 2] = ["hyperpb", "hyperpb-profiled"];

/// Operations that ask the allocator for nothing once storage is there.
pub(super) const WITHOUT_ALLOCATIONS: [Operation; 5] = [
    Operation::Decode,
    Operation::Get,
    Operation::Trim,
    Operation::ToJson,
    Operation::FromJson,
];

const BARS: [Bar; 14] = [
    bar(Operation::Decode, None, &HYPERPB, Faster(1.3)),
    bar(Operation::Decode, None, &["upb"], Faster(1.3)),
    bar(Operation::Decode, None, &["prost"], Faster(2.0)),
    bar(Operation::Decode, None, &["prost-reflect"], Faster(6.0)),
    bar(Operation::Reencode, None, &["prost"], Faster(2.0)),
    bar(Operation::ReencodeOne, None, &["prost"], Faster(2.0)),
    bar(Operation::Get, None, &[FLOOR], Within(2.0)),
    bar(Operation::Get, Some("medium"), &["dynamicpb"], Faster(200.0)),
    bar(Operation::Get, Some("large"), &["dynamicpb"], Faster(6_000.0)),
    bar(Operation::Set, Some("large"), &[FLOOR], Within(3.0)),
    bar(Operation::ToJson, None, &["prost-reflect"], Faster(5.0)),
    bar(Operation::ToJson, None, &["prost"], Faster(2.0)),
    bar(Operation::FromJson, None, &["prost-reflect"], Faster(6.0)),
    bar(Operation::FromJson, None, &["buffa"], Faster(3.0)),
];

const fn bar(
    operation: Operation,
    message: Option<&'static str>,
    peers: &'static [&'static str],
    promise: Promise,
) -> Bar {
    Bar {
        operation,
        message,
        peers,
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
        let ours = row.sample(OURS).filter(|_| is_meant)?.median();
        let (name, peer) = self.fastest(row)?;
        let (ratio, bar, is_met) = match self.promise {
            Faster(bar) => (peer / ours, format!("≥ {bar} times faster"), peer / ours >= bar),
            Within(bar) => (ours / peer, format!("≤ {bar} times as long"), ours / peer <= bar),
        };
        Some([
            row.operation.name().to_owned(),
            row.message.clone(),
            name.to_owned(),
            bar,
            format!("{ratio:.2}"),
            verdict(is_met).to_owned(),
        ])
    }

    fn fastest(&self, row: &Row) -> Option<(&'static str, f64)> {
        let known = self
            .peers
            .iter()
            .filter_map(|peer| Some((*peer, row.sample(peer)?.median())));
        known.min_by(|left, right| left.1.total_cmp(&right.1))
    }
}

/// As it stands in tables.
pub(super) fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::measure::Figure;
    use crate::rounds::Sample;

    fn row(operation: Operation, message: &str, medians: &[(&'static str, f64)]) -> Row {
        let figure = |(name, median): &(&'static str, f64)| (*name, Figure::Took(Sample::new(vec![*median])));
        Row {
            operation,
            message: message.to_owned(),
            figures: medians.iter().map(figure).collect(),
        }
    }

    #[test]
    fn the_faster_mode_of_a_peer_decides() {
        let figures = [(OURS, 100.0), ("hyperpb", 140.0), ("hyperpb-profiled", 120.0)];
        let table = table(&[row(Operation::Decode, "medium", &figures)]);
        assert!(
            table.contains("| decode | medium | hyperpb-profiled | ≥ 1.3 times faster | 1.20 | **missed** |"),
            "{table}"
        );
    }

    #[test]
    fn a_floor_is_met_by_taking_not_much_longer() {
        let table = table(&[row(Operation::Set, "large", &[(OURS, 250.0), (FLOOR, 100.0)])]);
        assert!(
            table.contains("| set | large | floor | ≤ 3 times as long | 2.50 | met |"),
            "{table}"
        );
    }

    #[test]
    fn what_was_not_measured_has_no_verdict() {
        let rows = [
            row(Operation::Set, "small", &[(OURS, 1.0), (FLOOR, 1.0)]),
            row(Operation::Decode, "small", &[(OURS, 1.0)]),
        ];
        assert_eq!(table(&rows).lines().count(), 2);
    }
}
