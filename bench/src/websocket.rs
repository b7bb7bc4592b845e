//! What a WebSocket proxy costs beside its peers: the same load through each, to the same echo server, in one run.

mod bars;
mod instance;
mod limit;
mod load;
mod measure;
mod packages;
mod report;
mod subjects;

use crate::Report;
use anyhow::{Result, bail};
use measure::{Effort, Measure};
use report::Findings;

/// What to measure, and how long. A part alone is printed and not written.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each gives every subject one turn.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long one turn is measured.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(100..))]
    milliseconds: u16,
    /// These measurements alone, such as `echo-128,idle-5000`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// These subjects alone, such as `heddle,haproxy`; others are not fetched.
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    limit::raise()?;
    let measures = measures(&arguments.only)?;
    let subjects = subjects::named(&arguments.subjects)?;
    let versions = subjects
        .iter()
        .map(|subject| subject.prepare())
        .collect::<Result<_>>()?;
    let effort = Effort {
        rounds: arguments.rounds.into(),
        milliseconds: arguments.milliseconds.into(),
    };
    let mut rows = Vec::new();
    for measure in measures {
        eprintln!("Measuring {}.", measure.name());
        rows.push(measure::measure(measure, &subjects, effort)?);
    }
    let findings = Findings {
        subjects,
        versions,
        rows,
    };
    Ok(Report {
        name: "websocket",
        markdown: report::markdown(arguments, &findings)?,
        svg: report::svg(&findings),
        is_partial: !arguments.only.is_empty() || !arguments.subjects.is_empty(),
    })
}

fn measures(names: &[String]) -> Result<Vec<Measure>> {
    let known: Vec<&str> = Measure::ALL.iter().map(|measure| measure.name()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "there is no measurement {unknown:?}\n  there are: {}",
            known.join(", ")
        );
    }
    let wanted = |measure: &Measure| names.is_empty() || names.iter().any(|name| name == measure.name());
    Ok(Measure::ALL.into_iter().filter(wanted).collect())
}
