//! What to do: a pure function of the specification, the observed world and the time.

mod record;
#[cfg(test)]
mod tests;

use super::apply::Applied;
use super::observe::{Observed, Problem};
use super::run::{ObservedRun, Target};
use super::schedule;
use super::validate::ValidatedSpec;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoStatus, LastRun, Retry};
use heddle_crds::metadata;
use heddle_telemetry::TraceParent;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::time::Duration;

/// How many finished Jobs of an IdlRepo are kept for people to look at.
const JOB_HISTORY_LIMIT: usize = 3;

/// How often a run in progress is looked at without being told: what keeps a Job from making its pod shows in
/// events, which are not watched.
const RUN_REFRESH: Duration = Duration::from_secs(10);

/// How long an object is left alone at most.
const RESYNC: Duration = Duration::from_secs(60 * 60);

/// The soonest that an object is looked at again.
const WAKE_MINIMUM: Duration = Duration::from_secs(1);

/// What follows from what was observed. It leaves no choice to its execution.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The status, but for the conditions, which are those of before.
    pub(crate) record: IdlRepoStatus,
    /// What to do about runs.
    pub(crate) step: Step,
    /// Runs whose end is news, oldest first.
    pub(crate) finished: Vec<FinishedRun>,
    /// Names of Jobs that are no longer of interest.
    pub(crate) prune: Vec<String>,
    /// When to look again.
    pub(crate) wake_at: Timestamp,
}

/// A run whose end is news.
#[derive(Clone, Debug)]
pub(crate) struct FinishedRun {
    pub(crate) run: LastRun,
    pub(crate) trace_parent: Option<TraceParent>,
}

/// What to do about runs, or what to wait for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Start a run.
    Start(RunRequest),
    /// Let the active run go on.
    Follow {
        run: LastRun,
        /// What keeps it from working, if anything does.
        waiting: Option<String>,
    },
    /// Take the active run's Job away: it works by a specification that is no longer wanted.
    Cancel { job: String },
    /// A Job is on its way out, and the next must not start before it is gone.
    AwaitRemoval { job: String },
    /// The newest run failed; try again then.
    RetryAt(Timestamp),
    /// The newest run failed for a reason that another try cannot mend.
    Stalled,
    /// A run is needed but cannot start.
    Blocked(Problem),
    /// A run is needed but `spec.suspend` is true.
    Suspended,
    /// The code for the newest source commit is delivered.
    Rest,
    /// Which commit to work on is not known: the source was not asked yet, or did not answer.
    AwaitSource,
}

/// A run to start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunRequest {
    pub(crate) target: Target,
    pub(crate) attempt: i32,
    pub(crate) cause: Cause,
    /// The change that an earlier attempt was started for, which this one continues.
    pub(crate) trace_parent: Option<TraceParent>,
}

/// Why a run is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    NewCommit,
    SpecificationChanged,
    SecretChanged,
    Requested,
    Retry,
}

impl Cause {
    /// For spans and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NewCommit => "new_commit",
            Self::SpecificationChanged => "specification_changed",
            Self::SecretChanged => "secret_changed",
            Self::Requested => "requested",
            Self::Retry => "retry",
        }
    }
}

/// Something that makes Heddle look and try at once, whatever failed before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Prompt {
    SpecificationChanged,
    SecretChanged,
    Requested,
}

/// What has changed since the status was written, if anything.
pub(crate) fn prompt(idl_repo: &IdlRepo, secrets_version: &str) -> Option<Prompt> {
    let status = idl_repo.status.as_ref();
    let handled = status.and_then(|status| status.last_handled_requested_at.as_deref());
    let observed_secrets = status.and_then(|status| status.observed_secrets.as_deref());
    if requested_at(idl_repo).is_some_and(|requested| Some(requested.as_str()) != handled) {
        Some(Prompt::Requested)
    } else if status.and_then(|status| status.observed_generation) != idl_repo.metadata.generation {
        Some(Prompt::SpecificationChanged)
    } else if observed_secrets != Some(secrets_version) {
        Some(Prompt::SecretChanged)
    } else {
        None
    }
}

/// Whether the source is to be asked now.
pub(crate) fn check_is_due(
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    secrets_version: &str,
    now: Timestamp,
) -> bool {
    if spec.suspended {
        return false;
    }
    let status = idl_repo.status.as_ref();
    // Without a time and with a commit nothing is due: a failure that only a change can mend takes the time away.
    let time_has_come = match status.and_then(|status| status.next_check_at.as_ref()) {
        Some(next) => next.0 <= now,
        None => status.is_none_or(|status| status.failed_checks.is_none()),
    };
    time_has_come || prompt(idl_repo, secrets_version).is_some()
}

/// The value of `heddle.dev/requestedAt`, as long as the status can hold.
pub(crate) fn requested_at(idl_repo: &IdlRepo) -> Option<String> {
    const LIMIT: usize = 256;
    let value = idl_repo.annotations().get(metadata::REQUESTED_AT)?;
    Some(value.chars().take(LIMIT).collect())
}

/// Decides.
pub(crate) fn plan(idl_repo: &IdlRepo, spec: &ValidatedSpec, observed: &Observed, now: Timestamp) -> Plan {
    let prompt = prompt(idl_repo, &observed.secrets.version);
    let mut record = record::with_check(idl_repo, spec, observed, now);
    let finished = record::add_runs(&mut record, spec, &observed.runs, now);
    let step = step(idl_repo, spec, observed, &record, prompt, now);
    Plan {
        prune: no_longer_of_interest(&observed.runs),
        wake_at: wake_at(&record, &step, now),
        record,
        step,
        finished,
    }
}

fn step(
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    observed: &Observed,
    record: &IdlRepoStatus,
    prompt: Option<Prompt>,
    now: Timestamp,
) -> Step {
    if let Some(step) = step_of_active_run(spec, &observed.runs) {
        return step;
    }
    let Some(commit) = record.observed_revision.clone() else {
        return Step::AwaitSource;
    };
    let target = Target {
        commit,
        digest: spec.digest.clone(),
    };
    if is_delivered(record, &target) {
        return Step::Rest;
    }
    if spec.suspended {
        return Step::Suspended;
    }
    // The commit is of no use while the source is silent: it may be one of a branch that is no longer asked for.
    if record.failed_checks.is_some() {
        return Step::AwaitSource;
    }
    if let Some(problem) = &observed.secrets.output_problem {
        return Step::Blocked(problem.clone());
    }
    let failure = record
        .last_run
        .as_ref()
        .filter(|run| is_for(run, &target))
        .and_then(failure);
    match (failure, prompt) {
        (Some((Retry::OnChange, _)), None) => Step::Stalled,
        (Some((_, failed)), None) => {
            let at = retry_at(idl_repo, spec, failed);
            if now < at {
                return Step::RetryAt(at);
            }
            start(record, observed, target, Some(failed), Cause::Retry)
        }
        (failure, prompt) => {
            let cause = cause(record, &target, prompt, failure.is_some());
            start(record, observed, target, None, cause)
        }
    }
}

fn step_of_active_run(spec: &ValidatedSpec, runs: &[ObservedRun]) -> Option<Step> {
    if let Some(leaving) = runs.iter().rev().find(|run| run.deleting && run.is_active()) {
        return Some(Step::AwaitRemoval {
            job: leaving.job.clone(),
        });
    }
    let active = runs.iter().rev().find(|run| run.is_active())?;
    let super::run::RunState::Active { waiting } = &active.state else {
        return None;
    };
    if active.target.digest != spec.digest && !spec.suspended {
        return Some(Step::Cancel {
            job: active.job.clone(),
        });
    }
    Some(Step::Follow {
        run: active.to_last_run(),
        waiting: waiting.clone(),
    })
}

fn is_delivered(record: &IdlRepoStatus, target: &Target) -> bool {
    record.generated_revision.as_ref() == Some(&target.commit)
        && record.generated_spec_digest.as_ref() == Some(&target.digest)
}

fn is_for(run: &LastRun, target: &Target) -> bool {
    run.source_revision == target.commit && run.spec_digest == target.digest
}

fn failure(run: &LastRun) -> Option<(Retry, &LastRun)> {
    run.error.as_ref().map(|error| (error.reason.retry(), run))
}

fn retry_at(idl_repo: &IdlRepo, spec: &ValidatedSpec, failed: &LastRun) -> Timestamp {
    let finished_at = failed.finished_at.as_ref().unwrap_or(&failed.started_at).0;
    schedule::retry_at(
        &idl_repo.uid().unwrap_or_default(),
        failed.attempt,
        spec.interval,
        finished_at,
    )
}

fn cause(record: &IdlRepoStatus, target: &Target, prompt: Option<Prompt>, failed_before: bool) -> Cause {
    match prompt {
        Some(Prompt::Requested) => Cause::Requested,
        Some(Prompt::SecretChanged) if failed_before => Cause::SecretChanged,
        _ if record.generated_revision.as_ref() != Some(&target.commit) => Cause::NewCommit,
        _ => Cause::SpecificationChanged,
    }
}

fn start(
    record: &IdlRepoStatus,
    observed: &Observed,
    target: Target,
    continued: Option<&LastRun>,
    cause: Cause,
) -> Step {
    let earlier_jobs = observed
        .runs
        .iter()
        .filter(|run| run.target == target)
        .map(|run| run.attempt);
    let earlier_record = record
        .last_run
        .as_ref()
        .filter(|run| is_for(run, &target))
        .map(|run| run.attempt);
    let trace_parent = continued
        .and_then(|failed| observed.runs.iter().find(|run| run.job == failed.job))
        .and_then(|run| run.trace_parent.clone());
    Step::Start(RunRequest {
        attempt: earlier_jobs
            .chain(earlier_record)
            .max()
            .unwrap_or(0)
            .saturating_add(1),
        target,
        cause,
        trace_parent,
    })
}

fn no_longer_of_interest(runs: &[ObservedRun]) -> Vec<String> {
    let finished: Vec<_> = runs
        .iter()
        .filter(|run| !run.is_active() && !run.deleting)
        .collect();
    let excess = finished.len().saturating_sub(JOB_HISTORY_LIMIT);
    finished[..excess].iter().map(|run| run.job.clone()).collect()
}

fn wake_at(record: &IdlRepoStatus, step: &Step, now: Timestamp) -> Timestamp {
    let after = |delay| now + SignedDuration::try_from(delay).unwrap_or_default();
    let next_check = record.next_check_at.as_ref().map(|time| time.0);
    let next_step = match step {
        Step::RetryAt(at) => Some(*at),
        Step::Start(_) | Step::Follow { .. } | Step::Cancel { .. } | Step::AwaitRemoval { .. } => {
            Some(after(RUN_REFRESH))
        }
        Step::Stalled | Step::Blocked(_) | Step::Suspended | Step::Rest | Step::AwaitSource => None,
    };
    let earliest = [next_check, next_step]
        .into_iter()
        .flatten()
        .fold(after(RESYNC), Timestamp::min);
    earliest.max(after(WAKE_MINIMUM))
}

impl Plan {
    /// Takes in what came of carrying it out.
    pub(crate) fn absorb(&mut self, applied: &Applied) {
        match applied {
            Applied::Started(run) => self.record.last_run = Some(run.clone()),
            Applied::Refused(problem) => self.step = Step::Blocked(problem.clone()),
            Applied::Nothing | Applied::StartedBefore => {}
        }
    }
}

impl Step {
    /// The reason to report when the step is a failure of the newest run or of an attempt to start one.
    pub(crate) fn problem(&self, record: &IdlRepoStatus) -> Option<Problem> {
        match self {
            Self::Blocked(problem) => Some(problem.clone()),
            Self::Stalled | Self::RetryAt(_) => {
                let error = record.last_run.as_ref()?.error.as_ref()?;
                Some(Problem {
                    reason: error.reason,
                    message: error.message.clone(),
                })
            }
            _ => None,
        }
    }
}
