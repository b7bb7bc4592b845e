//! What event streams cost: the parser beside its peers, and the operator's whole path from a source to a sink.

mod figures;
mod parser;
mod peers;
mod whole;

use crate::Report;
use crate::chart::{self, Scale};
use anyhow::Result;
use clap::ValueEnum;

/// What to measure, and how long. A part alone is printed and not written.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds of the parser; each gives every subject one turn.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Processor time of one turn, about.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..))]
    milliseconds: u16,
    /// Rounds of what varies on the whole path.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    whole_rounds: u16,
    /// Subscriptions without events that one operator is to hold.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    subscriptions: u32,
    /// These parts alone, such as `parser,idle`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// The parser beside its peers.
    Parser,
    /// As many events as the operator takes.
    Throughput,
    /// How long an event takes at a moderate rate.
    Latency,
    /// Writes to the API at a high rate.
    Writes,
    /// Subscriptions without events.
    Idle,
}

impl Part {
    const WHOLE_PATH: [Self; 4] = [Self::Throughput, Self::Latency, Self::Writes, Self::Idle];
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

const TITLE: &str = "What event streams cost";

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let findings = match arguments.wants(Part::Parser) {
        true => parser::measure(arguments)?,
        false => Vec::new(),
    };
    let mut markdown = format!(
        "# {TITLE}\n\n`cargo xtask bench sse` repeats it, on {}.\n",
        machine()
    );
    if !findings.is_empty() {
        markdown.push_str(&parser::markdown(arguments, &findings)?);
    }
    if let Some(whole) = whole::measure(arguments)? {
        markdown.push_str(&whole);
    }
    Ok(Report {
        name: "sse",
        markdown,
        svg: chart::draw(
            "Parsing event streams, MB of stream per second of processor time",
            &Scale::Logarithmic {
                label: |value| format!("{value:.0} MB/s"),
            },
            &parser::groups(&findings),
        ),
        is_partial: !arguments.only.is_empty(),
    })
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {}", crate::machine::processor())
}
