//! Decides what to do about runs.

use super::prompt::{self, Prompt};
use super::{Cause, RunRequest, Step, ValidatedSpec, publication};
use crate::idl_repo::observe::Observed;
use crate::idl_repo::run::{Circumstances, ObservedRun, RunState, Target};
use crate::idl_repo::schedule;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoStatus, LastRun, Retry};
use heddle_telemetry::TraceParent;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// Everything that a decision depends on.
pub(super) struct Situation<'a> {
    pub(super) idl_repo: &'a IdlRepo,
    pub(super) spec: &'a ValidatedSpec,
    pub(super) observed: &'a Observed,
    pub(super) record: &'a IdlRepoStatus,
    pub(super) prompt: Option<Prompt>,
    pub(super) now: Timestamp,
}

/// What there is to work on.
struct Work<'a> {
    target: Target,
    circumstances: Circumstances,
    /// The newest run, if it was for this target.
    last: Option<&'a LastRun>,
    /// Whether what is delivered is published too, or need not be.
    is_published: bool,
}

impl Situation<'_> {
    pub(super) fn step(&self) -> Step {
        if let Some(step) = self.step_of_active_run() {
            return step;
        }
        let Some(work) = self.work() else {
            return Step::AwaitSource;
        };
        let is_complete = is_delivered(self.record, &work.target) && work.is_published;
        // What was delivered is delivered again on request, and then that counts which became of it.
        let is_enough = is_complete && !work.has_failed() && !self.is_requested_again(&work);
        if is_enough || (is_complete && self.spec.suspended) {
            return Step::Rest;
        }
        if self.spec.suspended {
            return Step::Suspended;
        }
        // The commit is of no use while the source is silent: it may be one of a branch that is no longer asked for.
        if self.record.failed_checks.is_some() {
            return Step::AwaitSource;
        }
        if let Some(problem) = &self.observed.secrets.output_problem {
            return Step::Blocked(problem.clone());
        }
        self.start_or_wait(work)
    }

    fn work(&self) -> Option<Work<'_>> {
        let target = Target {
            commit: self.record.observed_revision.clone()?,
            digest: self.spec.digest.clone(),
        };
        let last = self.record.last_run.as_ref();
        Some(Work {
            circumstances: prompt::circumstances(self.idl_repo, self.observed, self.record, &target.commit),
            last: last.filter(|run| is_for(run, &target)),
            is_published: publication::problem(self.spec, self.observed, self.record).is_none(),
            target,
        })
    }

    fn start_or_wait(&self, work: Work<'_>) -> Step {
        let same = work
            .last
            .filter(|run| run.circumstances == work.circumstances.digest);
        let Some(run) = same else {
            let cause = self.cause(&work);
            return Step::Start(self.request(work, cause, None));
        };
        if retry(run) == Retry::OnChange {
            return Step::Stalled;
        }
        // Also where the run went well: what others take away again and again must not make a run each time.
        let at = self.retry_at(run);
        if self.now < at {
            return Step::RetryAt(at);
        }
        let cause = match run.error {
            Some(_) => Cause::Retry,
            None => self.cause(&work),
        };
        let continued = run.error.as_ref().and_then(|_| self.trace_parent(run));
        Step::Start(self.request(work, cause, continued))
    }

    fn request(&self, work: Work<'_>, cause: Cause, trace_parent: Option<TraceParent>) -> RunRequest {
        let commit = &work.target.commit;
        let delivered = self.record.generated_revision.clone();
        let trace_parent = trace_parent.or_else(|| self.trace_of_request(&work));
        RunRequest {
            attempt: self.next_attempt(&work),
            cause,
            baseline: delivered.filter(|before| self.spec.has_gate && before != commit),
            accepts_breaking: prompt::accepts_breaking(self.idl_repo, self.record, commit),
            descriptor_slots: publication::slots(self.record),
            circumstances: work.circumstances,
            trace_parent,
            target: work.target,
        }
    }

    /// Whether people have asked since the newest run was started.
    fn is_requested_again(&self, work: &Work<'_>) -> bool {
        let last = self.record.last_run.as_ref();
        let answered = last.and_then(|run| run.requested_at.as_ref());
        let requested = work.circumstances.requested_at.as_ref();
        requested.is_some() && requested != answered
    }

    /// The trace of a request that no run has answered yet.
    fn trace_of_request(&self, work: &Work<'_>) -> Option<TraceParent> {
        let parent = prompt::trace_of_request(self.idl_repo).filter(|_| self.is_requested_again(work))?;
        let last = self.record.last_run.as_ref();
        // Who asks again and says nothing new about a trace has begun none.
        let is_known = last.is_some_and(|run| run.trace_id == Some(parent.trace_id_hex()));
        (!is_known).then_some(parent)
    }

    fn step_of_active_run(&self) -> Option<Step> {
        let runs: &[ObservedRun] = &self.observed.runs;
        if let Some(leaving) = runs.iter().rev().find(|run| run.deleting && run.is_active()) {
            return Some(Step::AwaitRemoval {
                job: leaving.job.clone(),
            });
        }
        let active = runs.iter().rev().find(|run| run.is_active())?;
        let RunState::Active { waiting } = &active.state else {
            return None;
        };
        if active.target.digest != self.spec.digest && !self.spec.suspended {
            return Some(Step::Cancel {
                job: active.job.clone(),
            });
        }
        Some(Step::Follow {
            run: active.to_last_run(),
            waiting: waiting.clone(),
        })
    }

    fn retry_at(&self, run: &LastRun) -> Timestamp {
        let finished_at = run.finished_at.as_ref().unwrap_or(&run.started_at).0;
        let uid = self.idl_repo.uid().unwrap_or_default();
        schedule::retry_at(&uid, run.attempt, self.spec.interval, finished_at)
    }

    fn cause(&self, work: &Work<'_>) -> Cause {
        let (record, target) = (self.record, &work.target);
        match self.prompt {
            Some(Prompt::Requested) => Cause::Requested,
            _ if prompt::accepts_breaking(self.idl_repo, record, &target.commit) => Cause::Accepted,
            Some(Prompt::SecretChanged) if work.has_failed() => Cause::SecretChanged,
            Some(Prompt::SettingsChanged) if work.has_failed() => Cause::SettingsChanged,
            None if work.has_failed() => Cause::CircumstancesChanged,
            _ if record.generated_revision.as_ref() != Some(&target.commit) => Cause::NewCommit,
            _ if is_delivered(record, target) && !work.is_published => Cause::Unpublished,
            _ if is_delivered(record, target) => Cause::Requested,
            _ => Cause::SpecificationChanged,
        }
    }

    /// One more than any before at the same target, so that no Job has the name of an earlier one.
    fn next_attempt(&self, work: &Work<'_>) -> i32 {
        let of_jobs = self.observed.runs.iter().filter(|run| run.target == work.target);
        let attempts = of_jobs
            .map(|run| run.attempt)
            .chain(work.last.map(|run| run.attempt));
        attempts.max().unwrap_or(0).saturating_add(1)
    }

    fn trace_parent(&self, failed: &LastRun) -> Option<TraceParent> {
        let mut runs = self.observed.runs.iter();
        runs.find(|run| run.job == failed.job)?.trace_parent.clone()
    }
}

impl Work<'_> {
    fn has_failed(&self) -> bool {
        self.last.is_some_and(|run| run.error.is_some())
    }
}

/// Whether the code of this target is on record as delivered.
pub(super) fn is_delivered(record: &IdlRepoStatus, target: &Target) -> bool {
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
