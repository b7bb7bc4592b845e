//! The whole path: events from a source through the operator to a sink, with a real API server behind it.

use super::figures::{self, FIGURES};
use super::{Arguments, Part};
use crate::programs;
use crate::rounds::Sample;
use crate::table::Table;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Figures by part and name, one for each round.
type Findings = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

/// Measures what is wanted, and describes it; nothing if none of it is.
pub(super) fn measure(arguments: &Arguments) -> Result<Option<String>> {
    let wanted = Part::WHOLE_PATH.into_iter().filter(|part| arguments.wants(*part));
    let names: Vec<_> = wanted.map(|part| format!("{part:?}").to_lowercase()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let [operator, load] = build()?;
    let mut command = Command::new(load);
    command.arg("--operator").arg(operator);
    command.args(["--only", &names.join(",")]);
    command.args(["--rounds", &arguments.whole_rounds.to_string()]);
    command.args(["--subscriptions", &arguments.subscriptions.to_string()]);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.context("failed to start what measures the operator")?;
    ensure!(
        output.status.success(),
        "measuring the operator ended with {}",
        output.status
    );
    let findings: Findings =
        serde_json::from_slice(&output.stdout).context("failed to read what was found about the operator")?;
    Ok(Some(markdown(arguments, &findings)))
}

/// The operator as it is released, and what measures it.
fn build() -> Result<[PathBuf; 2]> {
    eprintln!("Building the operator and what measures it, some minutes once.");
    let packages = ["heddle-operator", "heddle-bench-sse"];
    let status = programs::build()
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .current_dir(heddle_e2e_cluster::checkout())
        .status()
        .context("failed to build the operator")?;
    ensure!(status.success(), "building the operator ended with {status}");
    let [operator, load] = packages.map(|package| programs::beside(package, package));
    Ok([operator?, load?])
}

fn markdown(arguments: &Arguments, findings: &Findings) -> String {
    let rows = FIGURES.iter().filter_map(|figure| {
        let rounds = findings.get(figure.part)?.get(figure.name)?;
        Some(row(figure, &Sample::new(rounds.clone())))
    });
    let table = Table {
        head: ["part", "figure", "found", "range", "bar", "verdict"],
        first_number: 2,
        rows: rows.collect(),
    };
    format!(
        "\n## The whole path\n\n{}\n\n{}",
        method(arguments),
        table.markdown()
    )
}

fn row(figure: &figures::Figure, sample: &Sample) -> [String; 6] {
    let shown = |fraction| (figure.show)(sample.quantile(fraction));
    let (bar, verdict) = match &figure.bar {
        Some(bar) => (bar.shown(figure.show), bar.verdict(sample.median())),
        None => ("–".to_owned(), "–"),
    };
    [
        figure.part.to_owned(),
        figure.title.to_owned(),
        shown(0.5),
        format!("{} – {}", shown(0.25), shown(0.75)),
        bar,
        verdict.to_owned(),
    ]
}

fn method(arguments: &Arguments) -> String {
    format!(
        "The operator as it is released, with the settings that it has by itself, a real API server with its etcd, and one \
         process in which source and sink have a thread each, all on this machine. Events have 200 bytes, of which the data is \
         JSON; the sink acknowledges batches of CloudEvents at once. Throughput is that of one subscription in order whose source \
         sends whatever is read; latency is measured at 1,000 events a second, from before the source writes an event until the \
         sink has it and answers; writes are those of the API server's own count at 5,000 events a second over 20 s. Idle \
         subscriptions are connected and have no events: what the operator's resident memory has grown by since it had none, and \
         processor time over 20 s after the last of their writes. Medians of {} rounds, where there are any; the range is that of \
         their middle half. Cores are processor seconds per second, and tell who is the bottleneck.",
        arguments.whole_rounds
    )
}
