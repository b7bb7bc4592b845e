//! Tables and a chart of what was measured.

use super::measure::{Measure, Quantity, Row};
use super::subjects::{OURS, Subject};
use super::{Arguments, bars, limit};
use crate::chart::{self, Bar, Group, Scale};
use crate::table::Table;
use anyhow::Result;
use std::fmt::Write as _;

const TITLE: &str = "What a WebSocket proxy costs";
const CHART_TITLE: &str = "Processor time of WebSocket proxies for a million messages there and back";

/// What was measured.
pub(super) struct Findings {
    pub(super) subjects: Vec<&'static Subject>,
    /// In the order of the subjects.
    pub(super) versions: Vec<String>,
    pub(super) rows: Vec<Row>,
}

pub(super) fn markdown(arguments: &Arguments, findings: &Findings) -> Result<String> {
    let mut text = format!("# {TITLE}\n\n{}\n", method(arguments)?);
    writeln!(text, "\n## Subjects\n\n{}", subjects(findings))?;
    writeln!(
        text,
        "## Bars\n\nRatios of medians, ours to theirs; of several peers the best one counts.\n\n{}",
        bars::table(&findings.subjects, &findings.rows)
    )?;
    for row in &findings.rows {
        writeln!(
            text,
            "## {}\n\n{}\n\n{}",
            row.measure.name(),
            explanation(row.measure)?,
            table(findings, row)
        )?;
    }
    Ok(text)
}

fn method(arguments: &Arguments) -> Result<String> {
    Ok(format!(
        "Medians of {} rounds in which the subjects take turns of {} ms each, on {} cores of {}, which load, proxy and \
         echo server share. Each turn starts all three anew. The load is one thread that sends frames made before; the \
         echo server is another; a subject has two threads or workers. Everything goes over loopback, without TLS. \
         Processor time is the proxy's own, in user and system mode by all of its processes; the kernel's work for \
         loopback counts to whoever sends. A process may open {} files here. Ratios are to ours. \
         `cargo xtask bench websocket` repeats it; it fetches the peers into the cache. \
         `cargo xtask bench websocket --only echo-128 --subjects heddle,haproxy` measures a part.\n\n![](websocket.svg)",
        arguments.rounds,
        arguments.milliseconds,
        std::thread::available_parallelism().map_or(1, usize::from),
        crate::machine::processor(),
        limit::files()?,
    ))
}

fn explanation(measure: Measure) -> Result<String> {
    Ok(match measure {
        Measure::Echo { bytes } => format!(
            "64 sessions; each sends a message of {bytes} bytes as soon as the last has come back. Processor time is for a \
             million messages there and back."
        ),
        Measure::Transcode => "The same with a message of text, some 1,000 bytes of JSON. On the route that transcodes the \
                               backend gets protobuf, and what it answers is JSON again at the client: a message is turned \
                               on its way there and on its way back."
            .to_owned(),
        Measure::Latency => {
            "64 sessions take turns to send 3,000 messages of 128 bytes a second. Time counts from when a \
                             message was due."
                .to_owned()
        }
        Measure::Setups => {
            "16 sessions at the same time are opened, closed with a Close frame, and opened anew. Processor \
                            time is for a million sessions."
                .to_owned()
        }
        Measure::Idle { sessions } => format!(
            "Memory that {sessions} open sessions add to the proxy's processes (their proportional set size, without what \
             the kernel keeps for sockets), by the session, in {} of each subject.",
            match sessions.div_ceil(limit::sessions()?) {
                1 => "one instance".to_owned(),
                several => format!(
                    "{several} instances of {} sessions, each with a load and an echo server of its own as a process may \
                     not open enough files for all,",
                    sessions / several
                ),
            }
        ),
    })
}

fn subjects(findings: &Findings) -> String {
    let rows = findings.subjects.iter().zip(&findings.versions);
    let rows = rows.map(|(subject, version)| {
        [
            subject.name.to_owned(),
            version.clone(),
            subject.description.to_owned(),
        ]
    });
    let head = ["subject", "version", "how it is set up"];
    Table {
        head,
        first_number: 3,
        rows: rows.collect(),
    }
    .markdown()
}

/// One row a subject, three columns a figure, as Markdown; how many columns there are is known only here.
fn table(findings: &Findings, row: &Row) -> String {
    let (mut text, mut rule) = (String::from("| subject |"), String::from("| --- |"));
    for quantity in row.measure.quantities() {
        text.push_str(&format!(" {} | range | ratio |", quantity.title()));
        rule.push_str(" ---: | ---: | ---: |");
    }
    text = format!("{text}\n{rule}\n");
    let ours = findings.subjects.iter().position(|subject| subject.name == OURS);
    for (index, subject) in findings.subjects.iter().enumerate() {
        if row.samples[index].is_empty() {
            continue;
        }
        let quantities = row.measure.quantities().iter();
        let cells: Vec<String> = quantities
            .map(|quantity| cells(row, index, ours, *quantity))
            .collect();
        text.push_str(&format!("| {} | {} |\n", subject.name, cells.join(" | ")));
    }
    text
}

fn cells(row: &Row, subject: usize, ours: Option<usize>, quantity: Quantity) -> String {
    let Some(sample) = row.sample(subject, quantity) else {
        return "– | – | –".to_owned();
    };
    let ours = ours.and_then(|ours| row.sample(ours, quantity));
    let ratio = ours.map(|ours| format!("{:.2}", sample.median() / ours.median()));
    format!(
        "{} | {} – {} | {}",
        shown(quantity, sample.median()),
        shown(quantity, sample.quantile(0.25)),
        shown(quantity, sample.quantile(0.75)),
        ratio.unwrap_or_else(|| "–".to_owned())
    )
}

impl Quantity {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Rate => "round trips/s",
            Self::ProcessorTime | Self::SetupProcessorTime => "processor time",
            Self::Median => "median",
            Self::Percentile99 => "99th percentile",
            Self::SetupRate => "sessions/s",
            Self::Memory => "memory",
        }
    }
}

/// A figure with its unit.
pub(super) fn shown(quantity: Quantity, figure: f64) -> String {
    match quantity {
        Quantity::Rate | Quantity::SetupRate => format!("{figure:.0}"),
        Quantity::ProcessorTime | Quantity::SetupProcessorTime => format!("{figure:.1} s"),
        Quantity::Median | Quantity::Percentile99 => format!("{:.2} ms", figure * 1e3),
        Quantity::Memory => format!("{:.1} KiB", figure / 1024.0),
    }
}

/// Processor time of messages, which is what a proxy is paid for.
pub(super) fn svg(findings: &Findings) -> String {
    let rows = findings
        .rows
        .iter()
        .filter(|row| matches!(row.measure, Measure::Echo { .. } | Measure::Transcode));
    let groups: Vec<Group> = rows.map(|row| group(findings, row)).collect();
    chart::draw(CHART_TITLE, &Scale::Linear { unit: "s" }, &groups)
}

fn group(findings: &Findings, row: &Row) -> Group {
    let bars = findings.subjects.iter().enumerate();
    let bars = bars.filter_map(|(index, subject)| {
        let sample = row.sample(index, Quantity::ProcessorTime)?;
        Some(Bar {
            label: subject.name.to_owned(),
            is_ours: subject.name.starts_with(OURS),
            value: sample.median(),
            low: sample.quantile(0.25),
            high: sample.quantile(0.75),
        })
    });
    Group {
        title: row.measure.name().to_owned(),
        bars: bars.collect(),
    }
}
