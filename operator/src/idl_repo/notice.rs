//! What people are told when something changes: one log line and one event each, at transitions only.

use super::apply::Applied;
use super::plan::{FinishedRun, Plan, RunNews, Step};
use super::status::{found_in_words, short};
use crate::context::Context;
use crate::events::{Happening, Reporter, Severity};
use heddle_crds::condition::{self, Condition, ConditionStatus};
use heddle_crds::idl_repo::{ConditionType, IdlRepoStatus, LastRun, Reason};
use heddle_telemetry::{ContinueTrace, TraceParent};
use k8s_openapi::api::core::v1::ObjectReference;
use tracing::Instrument;

/// The name under which the operator reports events.
const REPORTING_CONTROLLER: &str = "heddle.dev/idl-repo";

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    what: What,
    reason: Reason,
    text: String,
    /// The Job it is about.
    job: Option<String>,
    /// The change it belongs to, if that is an older one.
    trace_parent: Option<TraceParent>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    SourceFailed,
    SourceRecovered,
    RunStarted,
    RunDelivered,
    RunFailed,
    BreakingChangesAccepted,
    BreakingChangesAllowed,
    RunBlocked,
    RunCancelled,
    SpecificationRefused,
}

/// What there is to tell about the step from one status to the next.
pub(crate) fn notices(
    before: Option<&IdlRepoStatus>,
    after: &IdlRepoStatus,
    plan: &Plan,
    applied: &Applied,
) -> Vec<Notice> {
    let mut notices = of_runs(&plan.news, after);
    notices.extend(of_source(before, after));
    match (applied, &plan.step) {
        (Applied::Started(run), _) => notices.push(of_started(run, None)),
        (_, Step::Cancel { job }) => notices.push(of_cancelled(job)),
        (Applied::Refused(problem), _) | (_, Step::Blocked(problem)) => {
            notices.extend(of_blocked(before, problem.reason, &problem.message));
        }
        _ => {}
    }
    notices
}

/// What there is to tell about runs that were started before. One is told of as started before it is as ended.
pub(crate) fn of_runs(news: &RunNews, after: &IdlRepoStatus) -> Vec<Notice> {
    let taken_over = news.taken_over.as_ref();
    let is_older = |finished: &&FinishedRun| taken_over.is_none_or(|newest| newest.job != finished.run.job);
    let of_finished = |finished| {
        let broken = of_breaking_changes(finished);
        broken
            .into_iter()
            .chain(std::iter::once(of_finished(finished, after)))
    };
    let older = news.finished.iter().filter(is_older).flat_map(of_finished);
    let started = taken_over.map(|run| of_started(&run.to_last_run(), run.trace_parent.clone()));
    let newest = news
        .finished
        .iter()
        .filter(|run| !is_older(run))
        .flat_map(of_finished);
    older.chain(started).chain(newest).collect()
}

/// Breaking changes that were delivered. Those that were refused are why their run failed.
fn of_breaking_changes(finished: &FinishedRun) -> Option<Notice> {
    let run = &finished.run;
    let comparison = run
        .comparison
        .as_ref()
        .filter(|found| found.breaking_changes > 0)?;
    // A run without files has delivered nothing.
    run.files?;
    let (what, reason, how) = match comparison.accepted {
        true => (
            What::BreakingChangesAccepted,
            Reason::BreakingChangesAccepted,
            "was let through",
        ),
        false => (
            What::BreakingChangesAllowed,
            Reason::BreakingChangesAllowed,
            "is delivered",
        ),
    };
    let text = format!(
        "{} {how} with {}",
        short(&run.source_revision),
        found_in_words(comparison)
    );
    Some(Notice {
        job: Some(run.job.clone()),
        trace_parent: finished.trace_parent.clone(),
        ..notice(what, reason, text)
    })
}

/// What there is to tell about a specification that was refused.
pub(crate) fn of_refusal(before: Option<&IdlRepoStatus>, after: &IdlRepoStatus) -> Vec<Notice> {
    let ready = |status: Option<&IdlRepoStatus>| {
        let ready = condition::find(&status?.conditions, ConditionType::Ready.as_str())?;
        Some((ready.reason.clone(), ready.message.clone()))
    };
    let (old, new) = (ready(before), ready(Some(after)));
    let news = new.filter(|new| old.as_ref() != Some(new));
    news.map(|(_, text)| notice(What::SpecificationRefused, Reason::InvalidSpec, text))
        .into_iter()
        .collect()
}

fn notice(what: What, reason: Reason, text: impl Into<String>) -> Notice {
    Notice {
        what,
        reason,
        text: text.into(),
        job: None,
        trace_parent: None,
    }
}

fn of_finished(finished: &FinishedRun, after: &IdlRepoStatus) -> Notice {
    let run = &finished.run;
    let notice = match &run.error {
        Some(error) => notice(What::RunFailed, error.reason, &*error.message),
        None => {
            let changed = run
                .files
                .is_none_or(|files| files.written > 0 || files.pruned > 0);
            let reason = if changed {
                Reason::Committed
            } else {
                Reason::Unchanged
            };
            let commit = short(&run.source_revision);
            let text = match after.output_revision.as_deref() {
                Some(output) => format!("Code for {commit} is delivered as {}.", short(output)),
                None => format!("Code for {commit} is delivered."),
            };
            notice(What::RunDelivered, reason, text)
        }
    };
    Notice {
        job: Some(run.job.clone()),
        trace_parent: finished.trace_parent.clone(),
        ..notice
    }
}

fn of_started(run: &LastRun, trace_parent: Option<TraceParent>) -> Notice {
    let text = format!(
        "Started Job {} for {}, attempt {}.",
        run.job,
        short(&run.source_revision),
        run.attempt
    );
    Notice {
        job: Some(run.job.clone()),
        trace_parent,
        ..notice(What::RunStarted, Reason::Running, text)
    }
}

fn of_cancelled(job: &str) -> Notice {
    let text = format!("Deleting Job {job}: the specification has changed.");
    Notice {
        job: Some(job.to_owned()),
        ..notice(What::RunCancelled, Reason::Running, text)
    }
}

fn of_blocked(before: Option<&IdlRepoStatus>, reason: Reason, text: &str) -> Option<Notice> {
    let generated =
        before.and_then(|status| condition::find(&status.conditions, ConditionType::Generated.as_str()));
    let is_news = generated.is_none_or(|generated| generated.reason != reason.as_str());
    is_news.then(|| notice(What::RunBlocked, reason, text))
}

fn of_source(before: Option<&IdlRepoStatus>, after: &IdlRepoStatus) -> Option<Notice> {
    let source = |status: &IdlRepoStatus| {
        condition::find(&status.conditions, ConditionType::SourceReady.as_str()).cloned()
    };
    let old = before.and_then(source);
    let new = source(after)?;
    let is_news = old
        .as_ref()
        .is_none_or(|old| (old.status, &old.reason) != (new.status, &new.reason));
    if !is_news {
        return None;
    }
    let reason = Reason::ALL
        .iter()
        .copied()
        .find(|reason| reason.as_str() == new.reason)?;
    let failed = |condition: &Condition| condition.status == ConditionStatus::False;
    match new.status {
        ConditionStatus::False => Some(notice(What::SourceFailed, reason, new.message)),
        ConditionStatus::True if old.as_ref().is_some_and(failed) => {
            Some(notice(What::SourceRecovered, reason, new.message))
        }
        _ => None,
    }
}

impl Notice {
    /// Tells people, in the trace that it belongs to: its own, or that of `span`.
    pub(crate) async fn tell(self, context: &Context, idl_repo: &ObjectReference, span: &tracing::Span) {
        let span = match &self.trace_parent {
            Some(parent) => continued(parent),
            None => span.clone(),
        };
        span.in_scope(|| self.log(idl_repo));
        self.publish(context, idl_repo).instrument(span).await;
    }

    fn log(&self, idl_repo: &ObjectReference) {
        let namespace = idl_repo.namespace.as_deref().unwrap_or_default();
        let name = idl_repo.name.as_deref().unwrap_or_default();
        let (reason, text, job) = (self.reason.as_str(), self.text.as_str(), self.job.as_deref());
        match self.what {
            What::SourceFailed => {
                tracing::warn!(namespace, name, reason, error = text, "source check failed")
            }
            What::SourceRecovered => tracing::info!(namespace, name, detail = text, "source answers again"),
            What::RunStarted => tracing::info!(namespace, name, job, detail = text, "run started"),
            What::RunDelivered => {
                tracing::info!(namespace, name, job, reason, detail = text, "run delivered")
            }
            What::RunFailed => tracing::warn!(namespace, name, job, reason, error = text, "run failed"),
            What::BreakingChangesAccepted => {
                tracing::info!(
                    namespace,
                    name,
                    job,
                    detail = text,
                    "breaking changes were let through"
                );
            }
            What::BreakingChangesAllowed => {
                tracing::warn!(
                    namespace,
                    name,
                    job,
                    detail = text,
                    "breaking changes are delivered"
                );
            }
            What::RunBlocked => tracing::warn!(namespace, name, reason, error = text, "run cannot start"),
            What::RunCancelled => tracing::info!(namespace, name, job, detail = text, "run cancelled"),
            What::SpecificationRefused => {
                tracing::warn!(namespace, name, reason, error = text, "specification refused");
            }
        }
    }

    async fn publish(&self, context: &Context, idl_repo: &ObjectReference) {
        let related = self.job.as_ref().map(|job| ObjectReference {
            api_version: Some("batch/v1".into()),
            kind: Some("Job".into()),
            name: Some(job.clone()),
            namespace: idl_repo.namespace.clone(),
            ..ObjectReference::default()
        });
        let reporter = Reporter {
            client: &context.client,
            controller: REPORTING_CONTROLLER,
            instance: &context.instance,
        };
        let happening = Happening {
            regarding: idl_repo,
            related,
            action: self.action(),
            reason: self.reason.as_str(),
            note: &self.text,
            severity: self.severity(),
        };
        reporter.publish(happening).await;
    }

    fn severity(&self) -> Severity {
        match self.what {
            What::SourceFailed
            | What::RunFailed
            | What::RunBlocked
            | What::BreakingChangesAllowed
            | What::SpecificationRefused => Severity::Warning,
            What::SourceRecovered
            | What::RunStarted
            | What::RunDelivered
            | What::RunCancelled
            | What::BreakingChangesAccepted => Severity::Normal,
        }
    }

    fn action(&self) -> &'static str {
        match self.what {
            What::SourceFailed | What::SourceRecovered => "CheckSource",
            What::RunStarted | What::RunBlocked => "StartRun",
            What::RunDelivered | What::RunFailed => "FinishRun",
            What::BreakingChangesAccepted | What::BreakingChangesAllowed => "Compare",
            What::RunCancelled => "CancelRun",
            What::SpecificationRefused => "Validate",
        }
    }
}

/// A span in the trace of an older change.
pub(crate) fn continued(parent: &TraceParent) -> tracing::Span {
    let span = tracing::info_span!(parent: None, "idl_repo.run");
    // Without telemetry, as in some tests, there is no trace to go on with.
    span.continue_from(parent).ok();
    span
}
