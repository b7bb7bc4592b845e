//! What was promised of the proxy, and whether the figures keep it.

use super::measure::{Measure, Quantity, Row};
use super::report::shown;
use super::subjects::{HAPROXY, NGINX, OURS, PEERS, Subject, TRANSCODING};
use crate::table::Table;

/// A promise: a ratio of medians.
struct Bar {
    measure: Measure,
    quantity: Quantity,
    /// The subject that it is about.
    ours: &'static str,
    /// The best of these counts.
    peers: &'static [&'static str],
    promise: Promise,
}

#[derive(Clone, Copy)]
enum Promise {
    /// So many times the peer's figure at most.
    AtMost(f64),
    /// So many times the peer's figure at least.
    AtLeast(f64),
}

use Promise::{AtLeast, AtMost};

const BARS: [Bar; 10] = [
    bar(Measure::SMALL, Quantity::ProcessorTime, &[HAPROXY], AtMost(1.0)),
    bar(Measure::SMALL, Quantity::ProcessorTime, &[NGINX], AtMost(1.0)),
    bar(Measure::LARGE, Quantity::ProcessorTime, &PEERS, AtMost(0.8)),
    bar(Measure::SMALL, Quantity::Rate, &PEERS, AtLeast(1.0)),
    bar(Measure::LARGE, Quantity::Rate, &PEERS, AtLeast(1.0)),
    bar(Measure::Latency, Quantity::Percentile99, &[NGINX], AtMost(1.0)),
    bar(Measure::Setups, Quantity::SetupRate, &[HAPROXY], AtLeast(1.0)),
    bar(Measure::FEW, Quantity::Memory, &[HAPROXY], AtMost(1.0)),
    bar(Measure::MANY, Quantity::Memory, &[HAPROXY], AtMost(1.0)),
    Bar {
        ours: TRANSCODING,
        ..bar(Measure::Transcode, Quantity::ProcessorTime, &[OURS], AtMost(2.0))
    },
];

const fn bar(measure: Measure, quantity: Quantity, peers: &'static [&'static str], promise: Promise) -> Bar {
    Bar {
        measure,
        quantity,
        ours: OURS,
        peers,
        promise,
    }
}

/// The promises that the rows decide, in a table.
pub(super) fn table(subjects: &[&'static Subject], rows: &[Row]) -> String {
    let cells = BARS
        .iter()
        .flat_map(|bar| rows.iter().filter_map(|row| bar.verdict(subjects, row)));
    let head = [
        "measurement",
        "figure",
        "ours",
        "against",
        "theirs",
        "bar",
        "ratio",
        "verdict",
    ];
    Table {
        head,
        first_number: 2,
        rows: cells.collect(),
    }
    .markdown()
}

impl Bar {
    fn verdict(&self, subjects: &[&'static Subject], row: &Row) -> Option<[String; 8]> {
        if row.measure != self.measure {
            return None;
        }
        let median = |name: &str| {
            let index = subjects.iter().position(|subject| subject.name == name)?;
            Some(row.sample(index, self.quantity)?.median())
        };
        let ours = median(self.ours)?;
        let known = self.peers.iter().filter_map(|peer| Some((*peer, median(peer)?)));
        let (name, peer) = match self.promise {
            AtMost(_) => known.min_by(|left, right| left.1.total_cmp(&right.1))?,
            AtLeast(_) => known.max_by(|left, right| left.1.total_cmp(&right.1))?,
        };
        let ratio = ours / peer;
        let (bar, is_met) = match self.promise {
            AtMost(bar) => (format!("≤ {bar}"), ratio <= bar),
            AtLeast(bar) => (format!("≥ {bar}"), ratio >= bar),
        };
        let verdict = if is_met { "met" } else { "**missed**" };
        Some([
            self.measure.name().to_owned(),
            self.quantity.title().to_owned(),
            shown(self.quantity, ours),
            name.to_owned(),
            shown(self.quantity, peer),
            bar,
            format!("{ratio:.2}"),
            verdict.to_owned(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Sample;
    use crate::websocket::subjects;

    fn verdicts(measure: Measure, figures: &[(&str, [f64; 2])]) -> String {
        let names: Vec<String> = figures.iter().map(|(name, _)| (*name).to_owned()).collect();
        let subjects = subjects::named(&names).unwrap();
        let of = |subject: &&Subject| {
            let (_, figures) = figures.iter().find(|(name, _)| *name == subject.name).unwrap();
            figures
                .iter()
                .map(|figure| Some(Sample::new(vec![*figure])))
                .collect()
        };
        let samples = subjects.iter().map(of).collect();
        table(&subjects, &[Row { measure, samples }])
    }

    #[test]
    fn the_best_peer_decides_whatever_is_best() {
        let table = verdicts(
            Measure::LARGE,
            &[
                (OURS, [9_000.0, 50.0]),
                (NGINX, [6_000.0, 118.0]),
                ("caddy", [15_000.0, 53.0]),
            ],
        );
        assert!(
            table.contains("| caddy | 53.0 s | ≤ 0.8 | 0.94 | **missed** |"),
            "{table}"
        );
        assert!(
            table.contains("| caddy | 15000 | ≥ 1 | 0.60 | **missed** |"),
            "{table}"
        );
    }

    #[test]
    fn what_was_not_measured_has_no_verdict() {
        assert_eq!(verdicts(Measure::SMALL, &[(OURS, [1.0, 1.0])]).lines().count(), 2);
    }
}
