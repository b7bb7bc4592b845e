//! Parsers of event streams, given the same chunks.

use super::Arguments;
use super::peers::{self, FLOOR, OURS, SSE_STREAM, SUBJECTS};
use crate::chart::{Bar, Group};
use crate::rounds::{Sample, alternate};
use crate::table::Table;
use crate::worker::Worker;
use anyhow::{Context, Result, ensure};

/// A stream that is parsed.
struct Case {
    name: &'static str,
    title: &'static str,
    /// How many times as fast as sse-stream we are to be, if that was promised.
    bar: Option<f64>,
}

const CASES: [Case; 5] = [
    Case {
        name: "small",
        title: "Events of 64 bytes, in chunks of 16 KiB",
        bar: Some(1.5),
    },
    Case {
        name: "medium",
        title: "Events of 200 bytes, in chunks of 16 KiB",
        bar: None,
    },
    Case {
        name: "unicode",
        title: "Events of about 200 bytes that are mostly not ASCII, in chunks of 16 KiB",
        bar: None,
    },
    Case {
        name: "large",
        title: "Events of 32 KiB, each in one chunk",
        bar: Some(1.0),
    },
    Case {
        name: "large-cut",
        title: "Events of 32 KiB, in chunks of just under 16 KiB, so that they have to be joined",
        bar: Some(1.0),
    },
];

/// What was found about one case.
pub(super) struct Finding {
    case: &'static Case,
    stream_bytes: f64,
    rows: Vec<Row>,
}

struct Row {
    subject: &'static str,
    /// Nanoseconds for the whole stream.
    time: Sample,
    allocations_per_event: f64,
}

/// Measures every case.
pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Finding>> {
    let mut workers = peers::start()?;
    let measure = |case| measure_case(&mut workers, case, arguments);
    CASES.iter().map(measure).collect()
}

fn measure_case(workers: &mut [Worker], case: &'static Case, arguments: &Arguments) -> Result<Finding> {
    eprintln!("Measuring {}.", case.name);
    let expected = ask(&mut workers[0], &format!("check {}", case.name))?;
    let events: f64 = expected.split(' ').next().unwrap_or_default().parse()?;
    let mut times = Vec::new();
    for worker in &mut *workers {
        let found = ask(worker, &format!("check {}", case.name))?;
        ensure!(
            worker.name() == FLOOR || found == expected,
            "{} finds {found} events and bytes of data in {}, and ours {expected}",
            worker.name(),
            case.name
        );
        let once: f64 = ask(worker, &format!("run {} 1", case.name))?.parse()?;
        let turn = f64::from(arguments.milliseconds) * 1e6;
        times.push((turn / once).ceil().max(1.0));
    }
    let samples = alternate(workers.len(), arguments.rounds.into(), |index| {
        let answer = ask(
            &mut workers[index],
            &format!("run {} {}", case.name, times[index]),
        )?;
        Ok(answer.parse::<f64>()? / times[index])
    })?;
    let mut rows = Vec::new();
    for (worker, time) in workers.iter_mut().zip(samples) {
        let allocations: f64 = ask(worker, &format!("allocations {}", case.name))?.parse()?;
        rows.push(Row {
            subject: worker.name(),
            time,
            allocations_per_event: allocations / events,
        });
    }
    let stream_bytes = ask(&mut workers[0], &format!("bytes {}", case.name))?.parse()?;
    Ok(Finding {
        case,
        stream_bytes,
        rows,
    })
}

fn ask(worker: &mut Worker, command: &str) -> Result<String> {
    let answer = worker.ask(command)?;
    answer.with_context(|| format!("{} does not answer {command}", worker.name()))
}

impl Finding {
    fn megabytes_per_second(&self, nanoseconds: f64) -> f64 {
        self.stream_bytes / nanoseconds * 1e3
    }

    fn median(&self, subject: &str) -> f64 {
        let row = self.rows.iter().find(|row| row.subject == subject);
        row.map_or(f64::NAN, |row| row.time.median())
    }

    fn table(&self) -> String {
        let ours = self.median(OURS);
        let row = |row: &Row| {
            let speed = |quantile| self.megabytes_per_second(row.time.quantile(quantile));
            [
                row.subject.to_owned(),
                format!("{:.0}", speed(0.5)),
                format!("{:.0} – {:.0}", speed(0.75), speed(0.25)),
                format!("{:.2}", row.time.median() / ours),
                format!("{:.2}", row.allocations_per_event),
            ]
        };
        let table = Table {
            head: [
                "subject",
                "MB/s",
                "range, MB/s",
                "times ours",
                "allocations per event",
            ],
            first_number: 1,
            rows: self.rows.iter().map(row).collect(),
        };
        table.markdown()
    }

    fn group(&self) -> Group {
        let bar = |row: &Row| Bar {
            label: row.subject.to_owned(),
            is_ours: row.subject == OURS,
            value: self.megabytes_per_second(row.time.median()),
            low: self.megabytes_per_second(row.time.quantile(0.75)),
            high: self.megabytes_per_second(row.time.quantile(0.25)),
        };
        Group {
            title: self.case.title.to_owned(),
            bars: self.rows.iter().map(bar).collect(),
        }
    }

    fn verdict(&self) -> Option<[String; 4]> {
        let bar = self.case.bar?;
        let ratio = self.median(SSE_STREAM) / self.median(OURS);
        let verdict = if ratio >= bar { "met" } else { "missed" };
        Some([
            self.case.title.to_owned(),
            format!("≥ {bar} times as fast as sse-stream"),
            format!("{ratio:.2}"),
            verdict.to_owned(),
        ])
    }
}

pub(super) fn groups(findings: &[Finding]) -> Vec<Group> {
    findings.iter().map(Finding::group).collect()
}

pub(super) fn markdown(arguments: &Arguments, findings: &[Finding]) -> Result<String> {
    let sections: String = findings
        .iter()
        .map(|finding| format!("\n### {}\n\n{}", finding.case.title, finding.table()))
        .collect();
    let bars = Table {
        head: ["stream", "bar", "ratio", "verdict"],
        first_number: 2,
        rows: findings.iter().filter_map(Finding::verdict).collect(),
    };
    Ok(format!(
        "\n## The parser\n\n{}\n\n{}\n### Bars\n\n{}{sections}",
        method(arguments),
        subjects()?,
        bars.markdown(),
    ))
}

fn method(arguments: &Arguments) -> String {
    format!(
        "Processor time of parsing a stream of about 2 MiB into events one by one: medians of {} rounds in which the subjects \
         take turns of about {} ms. Each event has an id and one line of data. All subjects are compiled \
         into one program, each is a process of its own, and all find the same events and bytes of data, which is checked \
         first. The range is that of the middle half of the rounds; MB are 10⁶ bytes.\n\n\
         ![](sse.svg)",
        arguments.rounds, arguments.milliseconds,
    )
}

fn subjects() -> Result<String> {
    let row = |subject: &peers::Subject| {
        let version = peers::version(subject.name)?;
        Ok([subject.name.to_owned(), version, subject.description.to_owned()])
    };
    let table = Table {
        head: ["subject", "version", "what is measured"],
        first_number: 3,
        rows: SUBJECTS.iter().map(row).collect::<Result<_>>()?,
    };
    Ok(table.markdown())
}
