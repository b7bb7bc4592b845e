//! What to do: a pure function of the specification, the observed world and the time.

mod prompt;
mod record;
#[cfg(test)]
mod tests;

use super::apply::Applied;
use super::observe::{Observed, Problem};
use super::run::{Circumstances, ObservedRun, Target};
use super::schedule;
use super::validate::ValidatedSpec;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoStatus, LastRun, Retry};
use heddle_telemetry::TraceParent;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::time::Duration;

pub(crate) use prompt::{Prompt, check_is_due};
pub(crate) use record::add_runs;

/// How many finished Jobs of an IdlRepo are kept for people to look at.
const JOB_HISTORY_LIMIT: usize = 3;

/// How often a run in progress is looked at without being told: what keeps a Job from making its pod shows in
/// events, which are not watched.
pub(crate) const RUN_REFRESH: Duration = Duration::from_secs(10);

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
    /// What has become of runs since the status was written.
    pub(crate) news: RunNews,
    /// Names of Jobs that are no longer of interest.
    pub(crate) prune: Vec<String>,
    /// When to look again.
    pub(crate) wake_at: Timestamp,
}

/// What has become of runs since the status was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunNews {
    /// Runs that have ended, oldest first.
    pub(crate) finished: Vec<FinishedRun>,
    /// The newest run, if the process that started it did not live to tell.
    pub(crate) taken_over: Option<ObservedRun>,
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
    pub(crate) circumstances: Circumstances,
    /// The change that an earlier attempt was started for, which this one continues.
    pub(crate) trace_parent: Option<TraceParent>,
}

/// Why a run is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    NewCommit,
    SpecificationChanged,
    SecretChanged,
    SettingsChanged,
    Requested,
    /// Something changed while the failed run went on.
    CircumstancesChanged,
    Retry,
}

impl Cause {
    const ALL: [Self; 7] = [
        Self::NewCommit,
        Self::SpecificationChanged,
        Self::SecretChanged,
        Self::SettingsChanged,
        Self::Requested,
        Self::CircumstancesChanged,
        Self::Retry,
    ];

    /// The cause that [`Self::as_str`] calls by this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// For spans and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NewCommit => "new_commit",
            Self::SpecificationChanged => "specification_changed",
            Self::SecretChanged => "secret_changed",
            Self::SettingsChanged => "settings_changed",
            Self::Requested => "requested",
            Self::CircumstancesChanged => "circumstances_changed",
            Self::Retry => "retry",
        }
    }
}

/// Decides.
pub(crate) fn plan(idl_repo: &IdlRepo, spec: &ValidatedSpec, observed: &Observed, now: Timestamp) -> Plan {
    let prompt = prompt::prompt(idl_repo, &observed.secrets.version, &observed.settings_version);
    let mut record = record::with_check(idl_repo, spec, observed, now);
    let news = record::add_runs(&mut record, &spec.digest, &observed.runs, now);
    let step = match step(idl_repo, spec, observed, &record, prompt, now) {
        // The commit may be an old one, or one of a source that is no longer wanted.
        Step::Start(_) if observed.awaits_source => Step::AwaitSource,
        step => step,
    };
    Plan {
        prune: no_longer_of_interest(&observed.runs),
        wake_at: wake_at(&record, &step, now),
        record,
        step,
        news,
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
    let failed = record
        .last_run
        .as_ref()
        .filter(|run| is_for(run, &target) && run.error.is_some());
    let circumstances = prompt::circumstances(idl_repo, observed);
    let is_delivered = is_delivered(record, &target);
    // What was delivered is delivered again on request, and then that counts which became of it.
    let is_enough = is_delivered && failed.is_none() && !is_requested_again(record, &circumstances);
    if is_enough || (is_delivered && spec.suspended) {
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
    let final_failure = failed.filter(|run| run.circumstances == circumstances.digest);
    let (continued, cause) = match final_failure {
        Some(run) if retry(run) == Retry::OnChange => return Step::Stalled,
        Some(run) => {
            let at = retry_at(idl_repo, spec, run);
            if now < at {
                return Step::RetryAt(at);
            }
            (Some(run), Cause::Retry)
        }
        None => (None, cause(record, &target, prompt, failed.is_some())),
    };
    start(record, observed, target, continued, cause, circumstances)
}

/// Whether people have asked since the newest run was started.
fn is_requested_again(record: &IdlRepoStatus, circumstances: &Circumstances) -> bool {
    let answered = record.last_run.as_ref().and_then(|run| run.requested_at.as_ref());
    circumstances.requested_at.is_some() && circumstances.requested_at.as_ref() != answered
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

fn retry(run: &LastRun) -> Retry {
    run.error
        .as_ref()
        .map_or(Retry::NotNeeded, |error| error.reason.retry())
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
        Some(Prompt::SettingsChanged) if failed_before => Cause::SettingsChanged,
        None if failed_before => Cause::CircumstancesChanged,
        _ if record.generated_revision.as_ref() != Some(&target.commit) => Cause::NewCommit,
        _ if is_delivered(record, target) => Cause::Requested,
        _ => Cause::SpecificationChanged,
    }
}

fn start(
    record: &IdlRepoStatus,
    observed: &Observed,
    target: Target,
    continued: Option<&LastRun>,
    cause: Cause,
    circumstances: Circumstances,
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
        circumstances,
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
            Applied::Started(run) => self.record.last_run = Some(LastRun::clone(run)),
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
