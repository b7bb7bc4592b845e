//! What people and the operator are told at the end.

use heddle_codegen::deliver::Delivered;
use heddle_codegen::diff::{self, Colour};
use heddle_codegen::failure::Failure;
use heddle_codegen::gate::write_findings;
use heddle_codegen::message::files_in_words;
use heddle_codegen::redact::Redactor;
use heddle_codegen::request::Request;
use heddle_codegen::run::{Progress, Rehearsal};
use heddle_crds::codegen::Report;
use heddle_crds::idl_repo::{FileCounts, RunError};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// The target of failures that are explained to a person: they belong into the trace, but not into the log as well.
pub(crate) const EXPLAINED: &str = "heddle_codegen::explained";

/// Where words for people go, and how.
#[derive(Clone, Copy)]
pub(crate) struct Voice {
    /// Whether errors are read by a person rather than a log collector.
    pub(crate) is_human: bool,
}

/// What the operator is told of a run that came this far, and then failed by `error`, if it did.
pub(crate) fn report(progress: &Progress, error: Option<RunError>) -> Report {
    let delivered = progress.delivered.as_ref();
    Report {
        source_revision: progress
            .commit
            .map(|commit| commit.to_string())
            .unwrap_or_default(),
        output_revision: delivered
            .and_then(|delivered| delivered.commit)
            .map(|commit| commit.to_string()),
        committed: delivered.is_some_and(|delivered| delivered.committed),
        files: delivered.map(|delivered| delivered.counts).unwrap_or_default(),
        delivered: delivered.is_some(),
        comparison: progress.comparison.clone(),
        descriptor_chunks: progress.descriptor_chunks,
        error,
    }
}

impl Voice {
    /// Records a failure where telemetry sees it; a person hears of it by [`Self::explain`] alone.
    pub(crate) fn log(self, failure: &Failure, redactor: &Redactor) {
        let error = failure.to_run_error(redactor);
        if self.is_human {
            tracing::error!(target: EXPLAINED, reason = error.reason.as_str(), error = %error.message, "the run failed");
        } else {
            tracing::error!(reason = error.reason.as_str(), error = %error.message, "the run failed");
        }
    }

    /// Explains a failure to a person.
    pub(crate) fn explain(self, failure: &Failure, redactor: &Redactor) {
        if self.is_human {
            let message = failure.to_run_error(redactor).message;
            eprintln!(
                "\n{} {message}\n\n{} {}",
                bold("error:"),
                bold("hint:"),
                failure.hint()
            );
        }
    }

    pub(crate) fn tell_delivered(self, request: &Request, delivered: &Delivered) {
        if !self.is_human {
            return;
        }
        let Delivered {
            commit,
            committed,
            counts,
        } = delivered;
        let verb = if *committed {
            "Delivered"
        } else {
            "Nothing to deliver"
        };
        let commit = commit.map(|commit| format!(" at {commit}")).unwrap_or_default();
        let output = &request.output;
        println!(
            "{verb}: {}, branch {} of {}{commit}",
            in_words(*counts),
            output.branch,
            output.url
        );
    }
}

fn in_words(counts: FileCounts) -> String {
    format!("{}, {} unchanged", files_in_words(counts), counts.unchanged)
}

fn bold(text: &str) -> String {
    if may_colour(io::stderr().is_terminal()) {
        format!("\u{1b}[1m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

fn may_colour(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a rehearsal as a diff on standard output, after what it would break.
pub(crate) fn tell_rehearsal(rehearsal: &Rehearsal) -> io::Result<()> {
    let colour = if may_colour(io::stdout().is_terminal()) {
        Colour::On
    } else {
        Colour::Off
    };
    let mut text = String::new();
    if let Some(compared) = &rehearsal.compared {
        write_findings(&mut text, compared).map_err(io::Error::other)?;
        text.push('\n');
    }
    diff::write(&mut text, &rehearsal.plan, &rehearsal.observed, colour).map_err(io::Error::other)?;
    text.push_str(&format!("Would deliver: {}\n", in_words(rehearsal.plan.counts)));
    print(&text)
}

/// Prints on standard output. A reader that has seen enough is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Leaves the report where the kubelet finds it.
pub(crate) fn write_report(report: &Report, file: Option<&Path>) {
    let Some(file) = file else { return };
    if let Err(error) = std::fs::write(file, report.to_termination_message()) {
        tracing::error!(file = %file.display(), %error, "failed to write the termination message");
    }
}
