//! What to do: a pure function of the specification, the observed world and the time.

mod prompt;
mod publication;
mod record;
mod situation;
#[cfg(test)]
mod tests;

use super::apply::Applied;
use super::observe::{Observed, Problem};
use super::run::{Circumstances, ObservedRun, Target};
use super::validate::ValidatedSpec;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoStatus, LastRun};
use heddle_telemetry::TraceParent;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use situation::Situation;
use std::time::Duration;

pub(crate) use prompt::check_is_due;
pub(crate) use publication::Leftovers;
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
    /// What is left of publications that nobody needs.
    pub(crate) leftovers: Leftovers,
    /// A value of `heddle.dev/accept-breaking` that lets nothing through.
    pub(crate) ignored_acceptance: Option<String>,
    /// What is wrong with the publication of what is delivered.
    pub(crate) publication_problem: Option<Problem>,
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
    /// The commit delivered before, which the target's is compared with.
    pub(crate) baseline: Option<String>,
    /// Whether breaking changes are let through.
    pub(crate) accepts_breaking: bool,
    /// How many ConfigMaps there are to be for chunks of the descriptor set.
    pub(crate) descriptor_slots: usize,
    /// The trace that it continues: of the earlier attempt that it follows, or of the request that it answers.
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
    /// Breaking changes are let through.
    Accepted,
    /// The descriptor set is not there.
    Unpublished,
    Retry,
}

impl Cause {
    const ALL: [Self; 9] = [
        Self::NewCommit,
        Self::SpecificationChanged,
        Self::SecretChanged,
        Self::SettingsChanged,
        Self::Requested,
        Self::CircumstancesChanged,
        Self::Accepted,
        Self::Unpublished,
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
            Self::Accepted => "accepted",
            Self::Unpublished => "unpublished",
            Self::Retry => "retry",
        }
    }
}

/// Decides.
pub(crate) fn plan(idl_repo: &IdlRepo, spec: &ValidatedSpec, observed: &Observed, now: Timestamp) -> Plan {
    let prompt = prompt::prompt(idl_repo, &observed.secrets.version, &observed.settings_version);
    let mut record = record::with_check(idl_repo, spec, observed, now);
    let news = record::add_runs(&mut record, &spec.digest, &observed.runs, now);
    record::add_who_accepted(&mut record, idl_repo);
    let situation = Situation {
        idl_repo,
        spec,
        observed,
        record: &record,
        prompt,
        now,
    };
    let step = match situation.step() {
        // The commit may be an old one, or one of a source that is no longer wanted.
        Step::Start(_) if observed.awaits_source => Step::AwaitSource,
        step => step,
    };
    Plan {
        prune: no_longer_of_interest(&observed.runs),
        leftovers: publication::leftovers(spec, observed, &record),
        ignored_acceptance: prompt::ignored_acceptance(idl_repo, &record),
        publication_problem: publication::problem(spec, observed, &record),
        wake_at: wake_at(&record, &step, now),
        record,
        step,
        news,
    }
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
