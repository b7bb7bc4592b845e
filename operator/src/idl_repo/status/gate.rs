//! The condition `Compatible`: what the gate says of the newest source commit.

use super::{State, short};
use crate::idl_repo::plan::Plan;
use crate::idl_repo::validate::ValidatedSpec;
use heddle_crds::condition::ConditionStatus;
use heddle_crds::idl_repo::{Comparison, Finding, IdlRepoStatus, LastRun, Reason};
use heddle_crds::metadata;

/// How many findings the message names; the others are in `status.lastRun.comparison` and in the Job's log.
const NAMED_LIMIT: usize = 3;

/// The condition, or none where there is no gate.
pub(super) fn compatible(
    spec: &ValidatedSpec,
    plan: &Plan,
    status: &IdlRepoStatus,
    before: Option<State>,
) -> Option<State> {
    if !spec.has_gate {
        return None;
    }
    let ended = status.last_run.as_ref().filter(|run| run.finished_at.is_some());
    let pending = || State::unknown(Reason::Pending, "No run has compared anything yet.");
    let mut state = match ended {
        Some(run) => of_run(run, status, before),
        None => before.unwrap_or_else(pending),
    };
    let is_closed = state.status == ConditionStatus::False
        && [Reason::BreakingChanges, Reason::BaselineUnavailable].contains(&state.reason);
    if let Some(value) = plan.ignored_acceptance.as_ref().filter(|_| is_closed) {
        let note = format!(
            " The annotation {} is {value:?}, which lets nothing through: it takes the full id of the commit.",
            metadata::ACCEPT_BREAKING
        );
        if !state.message.contains(&note) {
            state.message.push_str(&note);
        }
    }
    Some(state)
}

fn of_run(run: &LastRun, status: &IdlRepoStatus, before: Option<State>) -> State {
    match (&run.comparison, &run.error) {
        (Some(comparison), error) => of_comparison(run, comparison, error.as_ref().map(|error| error.reason)),
        (None, Some(error)) if error.reason == Reason::BaselineUnavailable => {
            State::is_false(error.reason, &*error.message)
        }
        (None, Some(_)) if run.files.is_none() => {
            let text = format!(
                "The run for {} failed before it compared.",
                short(&run.source_revision)
            );
            State::unknown(Reason::NotCompared, text)
        }
        // A run that delivers once more what it was asked for has nothing to compare, and what was said of it stays.
        (None, _) if status.generated_revision.as_ref() == Some(&run.source_revision) => before
            .filter(|state| is_of_a_delivery(state, &run.source_revision))
            .unwrap_or_else(|| nothing_to_compare(run)),
        (None, _) => nothing_to_compare(run),
    }
}

fn is_of_a_delivery(state: &State, commit: &str) -> bool {
    state.reason != Reason::NothingToCompare
        && state.status != ConditionStatus::Unknown
        && state.message.starts_with(&format!("{} ", short(commit)))
}

fn nothing_to_compare(run: &LastRun) -> State {
    let text = format!(
        "{} is what the next commit is compared with.",
        short(&run.source_revision)
    );
    State::is_true(Reason::NothingToCompare, text)
}

fn of_comparison(run: &LastRun, comparison: &Comparison, error: Option<Reason>) -> State {
    let commit = short(&run.source_revision);
    if let Some(problem) = &comparison.problem {
        return match comparison.accepted {
            true => State::is_true(
                Reason::BreakingChangesAccepted,
                format!("{commit} was let through without a comparison: {problem}"),
            ),
            false => State::unknown(
                Reason::BaselineUnavailable,
                format!("{commit} is delivered without a comparison: {problem}"),
            ),
        };
    }
    if comparison.breaking_changes == 0 {
        let text = format!("{commit} breaks nothing of {}.", short(&comparison.against));
        return State::is_true(Reason::NoBreakingChanges, text);
    }
    let found = found_in_words(comparison);
    match error {
        Some(Reason::BreakingChanges) => State::is_false(
            Reason::BreakingChanges,
            format!("{commit} is refused for {found}"),
        ),
        _ if comparison.accepted => State::is_true(
            Reason::BreakingChangesAccepted,
            format!("{commit} was let through with {found}"),
        ),
        _ => State::is_false(Reason::BreakingChangesAllowed, format!("{commit} has {found}")),
    }
}

/// Such as `2 breaking changes of 4f0c9ce: a.proto:1:1: RULE: …`.
pub(crate) fn found_in_words(comparison: &Comparison) -> String {
    let plural = if comparison.breaking_changes == 1 { "" } else { "s" };
    format!(
        "{} breaking change{plural} of {}: {}",
        comparison.breaking_changes,
        short(&comparison.against),
        named(comparison)
    )
}

/// The first findings, each `file:line:column: RULE: message`.
fn named(comparison: &Comparison) -> String {
    let findings: Vec<_> = comparison.findings.iter().take(NAMED_LIMIT).map(line).collect();
    let count = usize::try_from(comparison.breaking_changes).unwrap_or(usize::MAX);
    match count.saturating_sub(findings.len()) {
        0 => findings.join("; "),
        more if findings.is_empty() => format!("{more} in the log of the Job"),
        more => format!("{}; and {more} more", findings.join("; ")),
    }
}

fn line(finding: &Finding) -> String {
    let place = match (&finding.file, finding.line, finding.column) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
        (Some(file), _, _) => format!("{file}: "),
        _ => String::new(),
    };
    format!("{place}{}: {}", finding.rule, finding.message)
}
