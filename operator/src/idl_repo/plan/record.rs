//! Folds what was observed into the record that the status keeps.

use super::prompt::{accept_breaking, requested_at, who_accepted};
use super::{FinishedRun, RunNews, ValidatedSpec};
use crate::idl_repo::observe::{Check, Observed};
use crate::idl_repo::run::{Delivery, Ending, ObservedRun, RunState};
use crate::idl_repo::schedule;
use heddle_crds::idl_repo::{AcceptedBreaking, IdlRepo, IdlRepoStatus, Reason, Retry, RunError};
use heddle_crds::publication;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// The record of before with the answer of the source, if it was asked.
pub(super) fn with_check(
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    observed: &Observed,
    now: Timestamp,
) -> IdlRepoStatus {
    let mut record = idl_repo.status.clone().unwrap_or_default();
    record.observed_generation = idl_repo.metadata.generation;
    record.published = observed.publication.published.clone().filter(|_| spec.publish);
    // Who sets the annotation again after taking it away means it again.
    if accept_breaking(idl_repo) != record.last_handled_accept_breaking.as_deref() {
        record.last_handled_accept_breaking = None;
    }
    if spec.suspended {
        record.next_check_at = None;
    }
    let Some(check) = &observed.check else {
        let is_due = |at: &Time| at.0 <= now;
        // What prompted the question is not answered; that it is due is what remains of it.
        if observed.awaits_source && !record.next_check_at.as_ref().is_some_and(is_due) {
            record.next_check_at = Some(Time(now));
        }
        return record;
    };
    let uid = idl_repo.uid().unwrap_or_default();
    record.last_handled_requested_at = requested_at(idl_repo);
    record.observed_secrets = Some(observed.secrets.version.clone());
    record.observed_settings = Some(observed.settings_version.clone());
    record.next_check_at = match check {
        Check::Found { commit, .. } => {
            record.observed_revision = Some(commit.clone());
            record.failed_checks = None;
            Some(schedule::next_check(&uid, spec.interval, now))
        }
        Check::Failed(problem) => {
            let failures = record.failed_checks.unwrap_or(0).saturating_add(1);
            record.failed_checks = Some(failures);
            (problem.reason.retry() != Retry::OnChange).then(|| {
                schedule::next_check_after_failure(&uid, failures, problem.reason, spec.interval, now)
            })
        }
    }
    .map(Time);
    record
}

/// Adds what became of runs since the record was written, and returns what of it is news.
pub(crate) fn add_runs(
    record: &mut IdlRepoStatus,
    spec_digest: &str,
    runs: &[ObservedRun],
    now: Timestamp,
) -> RunNews {
    let job_before = record.last_run.as_ref().map(|run| run.job.clone());
    let mut finished = Vec::new();
    finished.extend(end_of_lost_run(record, spec_digest, runs, now));
    let since = record.last_run.as_ref().map(|run| run.started_at.0);
    let on_record = |record: &IdlRepoStatus, run: &ObservedRun| {
        record
            .last_run
            .as_ref()
            .is_some_and(|last| last.job == run.job && last.finished_at.is_some())
    };
    for run in runs
        .iter()
        .filter(|run| since.is_none_or(|since| run.created_at >= since))
    {
        if on_record(record, run) {
            continue;
        }
        let last_run = run.to_last_run();
        if let RunState::Finished { at, ending } = &run.state {
            add_ending(record, run, ending, *at);
            finished.push(FinishedRun {
                run: last_run.clone(),
                trace_parent: run.trace_parent.clone(),
            });
        }
        record.last_run = Some(last_run);
        // The answer that started it was never written down, because the object changed meanwhile.
        if run.target.digest == spec_digest {
            record
                .observed_revision
                .get_or_insert_with(|| run.target.commit.clone());
        }
    }
    let job = record.last_run.as_ref().map(|run| &run.job);
    let taken_over = runs
        .iter()
        .find(|run| job != job_before.as_ref() && Some(&run.job) == job);
    RunNews {
        finished,
        taken_over: taken_over.cloned(),
    }
}

fn add_ending(record: &mut IdlRepoStatus, run: &ObservedRun, ending: &Ending, at: Timestamp) {
    if let Some(chunks) = ending.descriptor_chunks {
        let slots = publication::slots_for(usize::try_from(chunks).unwrap_or(usize::MAX));
        record.descriptor_slots = i32::try_from(slots.min(publication::SLOTS_LIMIT))
            .ok()
            .filter(|slots| *slots > 0);
    }
    let Some(Delivery { output_revision, .. }) = &ending.delivery else {
        return;
    };
    record.generated_revision = Some(run.target.commit.clone());
    record.generated_spec_digest = Some(run.target.digest.clone());
    record.output_revision = output_revision.clone();
    if !run.accepts_breaking {
        return;
    }
    record.last_handled_accept_breaking = Some(run.target.commit.clone());
    if let Some(comparison) = ending.comparison.as_ref().filter(|found| found.accepted) {
        record.accepted_breaking = Some(AcceptedBreaking {
            commit: run.target.commit.clone(),
            against: comparison.against.clone(),
            breaking_changes: comparison.breaking_changes,
            accepted_at: Time(at),
            accepted_by: None,
        });
    }
}

/// Adds who has let breaking changes through, as long as the annotation that did is still there to tell.
pub(super) fn add_who_accepted(record: &mut IdlRepoStatus, idl_repo: &IdlRepo) {
    let annotated = accept_breaking(idl_repo);
    if let Some(accepted) = &mut record.accepted_breaking
        && accepted.accepted_by.is_none()
        && annotated == Some(accepted.commit.as_str())
    {
        accepted.accepted_by = who_accepted(idl_repo);
    }
}

/// The end of a run that is on record as going on, but whose Job is gone. It is news if somebody deleted the Job, and
/// none if this operator did because the Job worked by an old specification.
fn end_of_lost_run(
    record: &mut IdlRepoStatus,
    spec_digest: &str,
    runs: &[ObservedRun],
    now: Timestamp,
) -> Option<FinishedRun> {
    let last_run = record.last_run.as_mut().filter(|run| run.finished_at.is_none())?;
    if runs.iter().any(|run| run.job == last_run.job) {
        return None;
    }
    let is_outdated = last_run.spec_digest != spec_digest;
    let why = if is_outdated {
        "because the specification changed"
    } else {
        "before it ended"
    };
    last_run.finished_at = Some(Time(now));
    last_run.error = Some(RunError {
        reason: Reason::JobFailed,
        message: format!("Job {} was deleted {why}.", last_run.job),
    });
    (!is_outdated).then(|| FinishedRun {
        run: last_run.clone(),
        trace_parent: None,
    })
}
