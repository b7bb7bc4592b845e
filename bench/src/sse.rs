//! What event streams cost: the parser beside its peers.

mod parser;
mod peers;

use crate::Report;
use crate::chart::{self, Scale};
use anyhow::Result;

/// How long to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each gives every subject one turn.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Processor time of one turn, about.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..))]
    milliseconds: u16,
}

const TITLE: &str = "What event streams cost";

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let findings = parser::measure(arguments)?;
    Ok(Report {
        name: "sse",
        markdown: format!("# {TITLE}\n\n{}", parser::markdown(arguments, &findings)?),
        svg: chart::draw(
            "Parsing event streams, MB of stream per second of processor time",
            &Scale::Logarithmic {
                label: |value| format!("{value:.0} MB/s"),
            },
            &parser::groups(&findings),
        ),
        is_partial: false,
    })
}
