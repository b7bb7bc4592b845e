//! What the dynamic protobuf engine costs beside its peers: the same operations on the same bytes, in one run.

mod bars;
mod corpus;
mod expected;
mod measure;
mod python;
mod report;
mod subjects;
mod versions;
mod worker;

use crate::Report;
use anyhow::{Context, Result, bail};
use expected::Expected;
use heddle_bench_worker::Operation;
use measure::Effort;
use report::Findings;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// What to measure, and how long. A part alone is printed and not written.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each gives every subject one turn.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Processor time of one turn, about.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..))]
    milliseconds: u16,
    /// These operations alone, such as `decode,get`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// These messages alone, such as `small,medium`.
    #[arg(long, value_delimiter = ',')]
    messages: Vec<String>,
    /// These subjects alone, such as `ours,prost`; others are not built.
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,
    /// Writes the messages and the schema into this folder and stays; for a profiler on a worker of its own.
    #[arg(long)]
    keep_corpus: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let operations = operations(&arguments.only)?;
    let subjects = subjects::named(&arguments.subjects)?;
    let corpus = corpus::build(&messages(&arguments.messages)?)?;
    let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
    let corpus_folder = arguments.keep_corpus.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(corpus_folder).context("failed to create the folder of the messages")?;
    corpus.write(corpus_folder)?;
    let mut workers = subjects::start(&subjects, corpus_folder)?;
    let expected = Expected::new(&corpus)?;
    let effort = Effort {
        rounds: arguments.rounds.into(),
        turn_nanoseconds: f64::from(arguments.milliseconds) * 1e6,
    };
    let (mut rows, mut allocations) = (Vec::new(), Vec::new());
    for operation in operations {
        for case in &corpus.cases {
            eprintln!("Measuring {} of {}.", operation.name(), case.name);
            rows.push(measure::measure(
                &mut workers,
                &expected,
                operation,
                case,
                effort,
                folder.path(),
            )?);
            let count = measure::allocations(&mut workers, operation, case)?;
            allocations.extend(count.map(|count| (operation, case.name.clone(), count)));
        }
    }
    let findings = Findings {
        subjects,
        cases: corpus.cases,
        rows,
        allocations,
    };
    Ok(Report {
        name: "protobuf",
        markdown: report::markdown(arguments, &findings)?,
        svg: report::svg(&findings),
        is_partial: arguments.is_partial(),
    })
}

impl Arguments {
    fn is_partial(&self) -> bool {
        let filters = [&self.only, &self.messages, &self.subjects];
        filters.into_iter().any(|filter| !filter.is_empty())
    }
}

fn operations(names: &[String]) -> Result<Vec<Operation>> {
    let known = Operation::ALL.map(Operation::name).join(", ");
    let named = |name: &String| {
        Operation::named(name)
            .with_context(|| format!("there is no operation {name:?}\n  there are: {known}"))
    };
    match names {
        [] => Ok(Operation::ALL.to_vec()),
        names => names.iter().map(named).collect(),
    }
}

fn messages(names: &[String]) -> Result<Vec<&'static str>> {
    if let Some(unknown) = names.iter().find(|name| !corpus::NAMES.contains(&name.as_str())) {
        bail!(
            "there is no message {unknown:?}\n  there are: {}",
            corpus::NAMES.join(", ")
        );
    }
    let wanted = |name: &&str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(corpus::NAMES.into_iter().filter(wanted).collect())
}

/// Where peers are built.
fn cache() -> Result<PathBuf> {
    let folder = heddle_e2e_cluster::cache_root()?.join("bench-protobuf");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    Ok(folder)
}

fn digest(parts: &[&[u8]]) -> String {
    let digest = Sha256::digest(parts.concat());
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
