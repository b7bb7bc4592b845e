//! What one log event costs, with and without the ids of its trace.

mod subjects;

use crate::Report;
use crate::chart::{self, Bar, Group, Scale};
use crate::rounds::{Sample, alternate};
use crate::table::Table;
use anyhow::{Result, ensure};
use std::hint::black_box;
use std::time::Instant;
use subjects::Subject;
use tracing::{info, info_span};

/// Events in one span: below the 128 that OpenTelemetry's SDK keeps, so that none is left out.
const EVENTS_IN_A_SPAN: u32 = 100;

/// How long to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each measures every subject once.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Events a subject writes in one round.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
}

/// What is done over and over.
struct Scenario {
    title: &'static str,
    perform: fn(u32),
}

const SCENARIOS: [Scenario; 2] = [
    Scenario {
        title: "One event, in a span inside a span",
        perform: events_in_a_span,
    },
    Scenario {
        title: "One span with one event, in a span",
        perform: spans_with_an_event,
    },
];

fn events_in_a_span(count: u32) {
    let _reconcile = info_span!("reconcile", namespace = "demo", name = "petstore").entered();
    let mut left = count;
    while left > 0 {
        let _step = info_span!("generate", plugin = "prost").entered();
        for number in 0..left.min(EVENTS_IN_A_SPAN) {
            event(number);
        }
        left = left.saturating_sub(EVENTS_IN_A_SPAN);
    }
}

fn spans_with_an_event(count: u32) {
    let _reconcile = info_span!("reconcile", namespace = "demo", name = "petstore").entered();
    for number in 0..count {
        info_span!("generate", plugin = "prost").in_scope(|| event(number));
    }
}

fn event(files: u32) {
    let (files, path) = (black_box(files), black_box("petstore/v1/petstore.proto"));
    info!(files, path, elapsed_seconds = 0.25, "generated code");
}

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let subjects = subjects::all()?;
    let mut report = format!("# {TITLE}\n\n{}\n", method(arguments));
    let mut groups = Vec::new();
    for scenario in &SCENARIOS {
        let samples = alternate(subjects.len(), arguments.rounds.into(), |index| {
            let (dispatch, count) = (&subjects[index].dispatch, arguments.events);
            let started = Instant::now();
            tracing::dispatcher::with_default(dispatch, || (scenario.perform)(count));
            Ok(started.elapsed().as_nanos() as f64 / f64::from(count))
        })?;
        report.push_str(&section(scenario, &subjects, &samples)?);
        groups.push(group(scenario, &subjects, &samples));
    }
    let svg = chart::draw(TITLE, &Scale::Linear { unit: "ns" }, &groups);
    Ok(Report {
        name: "logs",
        markdown: report,
        svg,
        is_partial: false,
    })
}

const TITLE: &str = "What one log event costs";

fn method(arguments: &Arguments) -> String {
    let processor = crate::machine::processor();
    format!(
        "Medians of {} alternating rounds of {} events each, one thread, lines written to nowhere, on {processor}. \
         An event has three fields; its spans have three more. The range is that of the middle half of the rounds. \
         Where ids stand is read from a line of each subject. Peers have their defaults: they print the fields of the \
         nearest span twice, and their OpenTelemetry layer notes threads and idle times, which ours does not. \
         `cargo xtask bench logs` repeats it.\n\n![](logs.svg)",
        arguments.rounds, arguments.events
    )
}

fn section(scenario: &Scenario, subjects: &[Subject], samples: &[Sample]) -> Result<String> {
    ensure!(!samples.is_empty(), "nothing was measured");
    let base = samples[0].median();
    let rows = subjects.iter().zip(samples).map(|(subject, sample)| {
        [
            subject.name.to_owned(),
            subject.ids.to_string(),
            format!("{:.0}", sample.median()),
            format!("{:.0} – {:.0}", sample.quantile(0.25), sample.quantile(0.75)),
            format!("{:.2}", sample.median() / base),
        ]
    });
    let head = ["subject", "ids in the line", "median, ns", "range, ns", "ratio"];
    let table = Table {
        head,
        first_number: 2,
        rows: rows.collect(),
    };
    Ok(format!("\n## {}\n\n{}", scenario.title, table.markdown()))
}

fn group(scenario: &Scenario, subjects: &[Subject], samples: &[Sample]) -> Group {
    let bars = subjects.iter().zip(samples).map(|(subject, sample)| Bar {
        label: subject.name.to_owned(),
        is_ours: subject.is_ours,
        value: sample.median(),
        low: sample.quantile(0.25),
        high: sample.quantile(0.75),
    });
    Group {
        title: scenario.title.to_owned(),
        bars: bars.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_reports_every_subject_in_both_scenarios() {
        let report = run(&Arguments {
            rounds: 1,
            events: 150,
        })
        .unwrap();
        for subject in subjects::all().unwrap() {
            assert_eq!(
                report.markdown.matches(&format!("| {} |", subject.name)).count(),
                SCENARIOS.len()
            );
            assert_eq!(
                report.svg.matches(&format!(">{}<", subject.name)).count(),
                SCENARIOS.len()
            );
        }
    }
}
