//! Tables and charts of what was measured.

use super::measure::{Figure, Row};
use super::subjects::{FLOOR, OURS, Subject};
use super::{Arguments, bars, versions};
use crate::chart::{self, Bar, Group, Scale};
use crate::table::Table;
use anyhow::Result;
use heddle_bench_worker::{Case, Operation};
use std::fmt::Write as _;

const TITLE: &str = "What the dynamic protobuf engine costs";

/// What was measured.
pub(super) struct Findings {
    pub(super) subjects: Vec<&'static Subject>,
    pub(super) cases: Vec<Case>,
    pub(super) rows: Vec<Row>,
    /// Operation, message, and how often our engine asks the allocator.
    pub(super) allocations: Vec<(Operation, String, String)>,
}

pub(super) fn markdown(arguments: &Arguments, findings: &Findings) -> Result<String> {
    let mut text = format!("# {TITLE}\n\n{}\n", method(arguments));
    writeln!(text, "\n## Subjects\n\n{}", subjects(findings)?)?;
    writeln!(text, "## Messages\n\n{}", messages(findings))?;
    writeln!(
        text,
        "## Bars\n\nRatios of medians of processor time.\n\n{}",
        bars::table(&findings.rows)
    )?;
    for operation in Operation::ALL {
        let rows: Vec<&Row> = findings
            .rows
            .iter()
            .filter(|row| row.operation == operation)
            .collect();
        if !rows.is_empty() {
            writeln!(
                text,
                "## {}\n\n{}\n\n{}",
                operation.name(),
                touches(operation),
                table(findings, &rows)
            )?;
        }
    }
    let wrong = wrong(findings);
    if !wrong.is_empty() {
        writeln!(text, "## Results that were not what was asked for\n\n{wrong}")?;
    }
    if !findings.allocations.is_empty() {
        writeln!(text, "## Allocations of our engine\n\n{}", allocations(findings))?;
    }
    Ok(text)
}

fn method(arguments: &Arguments) -> String {
    format!(
        "Processor time (user and system, all threads) of one operation: medians of {} rounds in which the subjects take \
         turns of about {} ms, on {} cores of {}, with {}, everything in its ordinary release profile. Every subject is \
         a process of its own and measures itself; all are given the same bytes. What each results in is compared with \
         what prost-reflect makes of it before anything is measured, but for decode, which has decode-walk for that. \
         Ratios are to ours. `cargo xtask bench protobuf` repeats it; it builds the peers into the cache. \
         `cargo xtask bench protobuf --only decode,get --messages medium --subjects ours,prost` measures a part.\n\n\
         ![](protobuf.svg)",
        arguments.rounds,
        arguments.milliseconds,
        std::thread::available_parallelism().map_or(1, usize::from),
        crate::machine::processor(),
        versions::tools(),
    )
}

fn touches(operation: Operation) -> &'static str {
    match operation {
        Operation::Decode => {
            "Bytes to a message: the whole message is parsed, UTF-8 is checked where the schema demands it, and every field \
             can be read afterwards without another look at the bytes' structure. Storage is reused where the subject can."
        }
        Operation::DecodeWalk => {
            "The same, and then every scalar, element, key and value is read through the subject's API and added up, which \
             proves that decode has made it reachable. upb is left out: its API is Python's, and Python is what would be \
             measured."
        }
        Operation::Reencode => "Bytes to a message to bytes again, with nothing changed.",
        Operation::ReencodeOne => {
            "Bytes to a message, one deep scalar set through the API to a value of another length, and to bytes again."
        }
        Operation::Get => {
            "One deep scalar out of the bytes. Ours reads it on the wire; those without such an operation decode and go \
             there. The floor is a tag scan written by hand for exactly this path, which keeps to protobuf's rule that the \
             last occurrence counts."
        }
        Operation::Set => {
            "The bytes with one deep scalar set to a value of another length, every enclosing length repaired. Ours does it \
             on the wire; the others decode, set and encode. The floor is one copy of the message."
        }
        Operation::ToJson => {
            "Bytes to canonical ProtoJSON. The floor is sonic-rs writing the same JSON from a tree that is there already."
        }
        Operation::FromJson => {
            "Canonical ProtoJSON to bytes. The floor is sonic-rs parsing the same JSON to a tree."
        }
        Operation::Trim => {
            "The bytes with only what a field mask names. Ours does it on the wire; the others decode, clear what is not \
             named through reflection and encode."
        }
    }
}

fn subjects(findings: &Findings) -> Result<String> {
    let rows = findings.subjects.iter().map(|subject| {
        Ok([
            subject.name.to_owned(),
            versions::of(subject.name)?,
            subject.description.to_owned(),
        ])
    });
    let head = ["subject", "version", "what is measured"];
    Ok(Table {
        head,
        first_number: 3,
        rows: rows.collect::<Result<_>>()?,
    }
    .markdown())
}

fn messages(findings: &Findings) -> String {
    let rows = findings.cases.iter().map(|case| {
        [
            case.name.clone(),
            format!("`{}`", case.message_type),
            format!("`{}`", case.path_by_name),
            format!("`{}`", case.mask.join(",")),
            case.wire.len().to_string(),
            case.json.len().to_string(),
        ]
    });
    let head = [
        "message",
        "type",
        "the deep scalar",
        "the mask",
        "bytes",
        "bytes of JSON",
    ];
    Table {
        head,
        first_number: 4,
        rows: rows.collect(),
    }
    .markdown()
}

/// One row a subject, one column a message, as Markdown; how many columns there are is known only here.
fn table(findings: &Findings, rows: &[&Row]) -> String {
    let mut text = String::from("| subject |");
    let mut rule = String::from("| --- |");
    for row in rows {
        text.push_str(&format!(" {} | ratio |", row.message));
        rule.push_str(" ---: | ---: |");
    }
    text = format!("{text}\n{rule}\n");
    for subject in &findings.subjects {
        let cells: Vec<String> = rows.iter().map(|row| cells(row, subject.name)).collect();
        text.push_str(&format!("| {} | {} |\n", subject.name, cells.join(" | ")));
    }
    text
}

fn cells(row: &Row, subject: &str) -> String {
    let figure = row.figures.iter().find(|(name, _)| *name == subject);
    match figure.map(|(_, figure)| figure) {
        Some(Figure::Took(sample)) => {
            let ratio = row
                .sample(OURS)
                .map(|ours| format!("{:.2}", sample.median() / ours.median()));
            format!(
                "{} | {}",
                time(sample.median()),
                ratio.unwrap_or_else(|| "–".to_owned())
            )
        }
        Some(Figure::Wrong(_)) => "wrong | –".to_owned(),
        Some(Figure::Cannot) | None => "– | –".to_owned(),
    }
}

fn wrong(findings: &Findings) -> String {
    let mut text = String::new();
    for row in &findings.rows {
        for (subject, figure) in &row.figures {
            if let Figure::Wrong(why) = figure {
                text.push_str(&format!(
                    "- {subject}, {} of {}: {why}\n",
                    row.operation.name(),
                    row.message
                ));
            }
        }
    }
    text
}

fn allocations(findings: &Findings) -> String {
    let rows = findings.allocations.iter().map(|(operation, message, count)| {
        let is_promised = bars::WITHOUT_ALLOCATIONS.contains(operation);
        let (bar, verdict) = match is_promised {
            true => ("0", bars::verdict(count == "0")),
            false => ("–", "–"),
        };
        [operation.name(), message, count, bar, verdict].map(str::to_owned)
    });
    let head = ["operation", "message", "allocations", "bar", "verdict"];
    let table = Table {
        head,
        first_number: 2,
        rows: rows.collect(),
    };
    format!(
        "How often one operation asks the allocator once all storage is there, counted by a counting allocator.\n\n{}",
        table.markdown()
    )
}

/// Three digits and a unit.
pub(crate) fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        small if small < 1e3 => (small, "ns"),
        medium if medium < 1e6 => (medium / 1e3, "µs"),
        large => (large / 1e6, "ms"),
    };
    let digits = match value {
        small if small < 10.0 => 2,
        medium if medium < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// The operations and messages that bars are promised for.
pub(super) fn svg(findings: &Findings) -> String {
    let shown = [
        (Operation::Decode, "medium"),
        (Operation::Decode, "large"),
        (Operation::Reencode, "medium"),
        (Operation::Get, "large"),
        (Operation::Set, "large"),
        (Operation::ToJson, "medium"),
        (Operation::FromJson, "medium"),
    ];
    let groups: Vec<Group> = shown
        .iter()
        .filter_map(|(operation, message)| {
            let row = findings
                .rows
                .iter()
                .find(|row| row.operation == *operation && row.message == *message)?;
            Some(group(findings, row))
        })
        .collect();
    chart::draw(TITLE, &Scale::Logarithmic { label: time }, &groups)
}

fn group(findings: &Findings, row: &Row) -> Group {
    let size = findings
        .cases
        .iter()
        .find(|case| case.name == row.message)
        .map_or(0, |case| case.wire.len());
    let bars = findings.subjects.iter().filter_map(|subject| {
        let sample = row.sample(subject.name)?;
        Some(Bar {
            label: if subject.name == FLOOR {
                "floor (no engine)".to_owned()
            } else {
                subject.name.to_owned()
            },
            is_ours: subject.name == OURS,
            value: sample.median(),
            low: sample.quantile(0.25),
            high: sample.quantile(0.75),
        })
    });
    Group {
        title: format!("{}, {} ({size} bytes)", row.operation.name(), row.message),
        bars: bars.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let times = [1.234, 12.34, 123.4, 1_234.0, 12_340_000.0].map(time);
        assert_eq!(times, ["1.23 ns", "12.3 ns", "123 ns", "1.23 µs", "12.3 ms"]);
    }
}
