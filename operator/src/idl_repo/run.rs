//! A run as its Job, pods and events show it: what it works on, how far it is, and how it ended.

use super::plan::Cause;
use heddle_crds::codegen::{self, Report};
use heddle_crds::idl_repo::{Comparison, FileCounts, LastRun, Reason, RunError};
use heddle_crds::metadata;
use heddle_telemetry::TraceParent;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// What a run generates: code of one source commit, by one specification.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// The full id of the source commit.
    pub(crate) commit: String,
    /// The digest of the specification.
    pub(crate) digest: String,
}

/// What a run was started under. A failure is final only as long as that is the same.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Circumstances {
    /// A digest of the generation, the Secrets, the operator's settings and the request.
    pub(crate) digest: Option<String>,
    /// The value of `heddle.dev/requestedAt`.
    pub(crate) requested_at: Option<String>,
}

/// A run that exists as a Job.
#[derive(Clone, Debug)]
pub(crate) struct ObservedRun {
    pub(crate) job: String,
    pub(crate) target: Target,
    /// Which try at the target it is, counted from 1.
    pub(crate) attempt: i32,
    pub(crate) cause: Option<Cause>,
    pub(crate) circumstances: Circumstances,
    /// Whether it lets breaking changes of its commit through.
    pub(crate) accepts_breaking: bool,
    pub(crate) created_at: Timestamp,
    /// The change that it was started for.
    pub(crate) trace_parent: Option<TraceParent>,
    pub(crate) state: RunState,
    /// Whether the Job is being deleted.
    pub(crate) deleting: bool,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RunState {
    /// Its Job has neither completed nor failed.
    Active {
        /// What keeps its pod from running, if anything does.
        waiting: Option<String>,
    },
    /// Its Job has ended.
    Finished {
        /// When.
        at: Timestamp,
        /// And how.
        ending: Ending,
    },
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ending {
    /// What is in the output repository, if the code is.
    pub(crate) delivery: Option<Delivery>,
    /// Why it failed, if it did. With a delivery, something went wrong after that.
    pub(crate) error: Option<RunError>,
    /// What the comparison with the commit delivered before has found.
    pub(crate) comparison: Option<Comparison>,
    /// How many chunks the descriptor set has.
    pub(crate) descriptor_chunks: Option<u32>,
}

/// Code in the output repository. Nothing is known of it if the Job's answer could not be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Delivery {
    /// The commit that holds it.
    pub(crate) output_revision: Option<String>,
    pub(crate) files: Option<FileCounts>,
    /// Whether that commit is new.
    pub(crate) committed: bool,
}

/// What the API has about a Job beside the Job itself. Empty for runs whose end is on record already.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunDetails {
    /// The Job's pods, in any order.
    pub(crate) pods: Vec<Pod>,
    /// Messages of events that say why the Job could not make a pod, newest last.
    pub(crate) pod_refusals: Vec<String>,
}

impl ObservedRun {
    /// Reads a Job that the operator made. `None` if it lacks the annotations, so is none of the operator's.
    pub(crate) fn new(job: &Job, details: &RunDetails) -> Option<Self> {
        let annotation = |name| job.annotations().get(name);
        Some(Self {
            job: job.name_any(),
            target: Target {
                commit: annotation(metadata::SOURCE_COMMIT)?.clone(),
                digest: annotation(metadata::SPEC_DIGEST)?.clone(),
            },
            attempt: annotation(metadata::ATTEMPT)?.parse().ok()?,
            cause: annotation(metadata::CAUSE).and_then(|cause| Cause::named(cause)),
            circumstances: Circumstances {
                digest: annotation(metadata::CIRCUMSTANCES).cloned(),
                requested_at: annotation(metadata::REQUESTED_AT).cloned(),
            },
            accepts_breaking: annotation(metadata::ACCEPT_BREAKING).is_some(),
            created_at: job.creation_timestamp()?.0,
            trace_parent: TraceParent::from_annotations(job.annotations()),
            state: state(job, details),
            deleting: job.metadata.deletion_timestamp.is_some(),
        })
    }

    /// Whether its Job may still have a pod at work.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, RunState::Active { .. })
    }

    /// As it stands in the status.
    pub(crate) fn to_last_run(&self) -> LastRun {
        let mut last_run = LastRun {
            job: self.job.clone(),
            source_revision: self.target.commit.clone(),
            spec_digest: self.target.digest.clone(),
            attempt: self.attempt,
            circumstances: self.circumstances.digest.clone(),
            requested_at: self.circumstances.requested_at.clone(),
            started_at: Time(self.created_at),
            finished_at: None,
            trace_id: self.trace_parent.as_ref().map(TraceParent::trace_id_hex),
            files: None,
            comparison: None,
            error: None,
        };
        if let RunState::Finished { at, ending } = &self.state {
            last_run.finished_at = Some(Time(*at));
            last_run.files = ending.delivery.as_ref().and_then(|delivery| delivery.files);
            last_run.comparison = ending.comparison.clone();
            last_run.error = ending.error.clone();
        }
        last_run
    }
}

/// Whether the Job has ended, one way or the other.
pub(crate) fn is_finished(job: &Job) -> bool {
    finish(job).is_some()
}

fn finish(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.status == "True" && ["Complete", "Failed"].contains(&&*condition.type_))
}

fn state(job: &Job, details: &RunDetails) -> RunState {
    let Some(end) = finish(job) else {
        return RunState::Active {
            waiting: what_keeps_a_run(details),
        };
    };
    let at = end
        .last_transition_time
        .clone()
        .or_else(|| job.creation_timestamp());
    let ending = match end.type_.as_str() {
        "Complete" => {
            let report = details
                .pods
                .iter()
                .filter(|pod| has_succeeded(pod))
                .find_map(report);
            Ending {
                delivery: Some(report.as_ref().map(delivery).unwrap_or_default()),
                ..ending(report)
            }
        }
        _ => {
            let ending = failed_ending(&details.pods);
            let without_report = || failure_without_report(job, end, details);
            Ending {
                error: Some(ending.error.clone().unwrap_or_else(without_report)),
                ..ending
            }
        }
    };
    RunState::Finished {
        at: at.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        ending,
    }
}

/// What the answers of a failed Job's pods say: the newest why it failed, and the newest that delivered what it delivered.
/// What an earlier pod has pushed is in the output repository, however the later ones ended.
fn failed_ending(pods: &[Pod]) -> Ending {
    let mut newest_first: Vec<_> = pods.iter().collect();
    newest_first.sort_by_key(|pod| std::cmp::Reverse(pod.creation_timestamp()));
    let last = newest_first.first().copied().and_then(report);
    let delivered = newest_first
        .into_iter()
        .filter_map(report)
        .find(|report| report.delivered);
    let error = last.as_ref().and_then(|report| report.error.clone());
    Ending {
        error,
        ..ending(delivered.or(last))
    }
}

/// What the answer of a Job says, if it could be read.
fn ending(report: Option<Report>) -> Ending {
    report.map_or_else(Ending::default, |report| Ending {
        delivery: report.delivered.then(|| delivery(&report)),
        comparison: report.comparison,
        descriptor_chunks: report.descriptor_chunks,
        error: report.error,
    })
}

fn delivery(report: &Report) -> Delivery {
    Delivery {
        output_revision: report.output_revision.clone(),
        files: Some(report.files),
        committed: report.committed,
    }
}

fn newest(pods: &[Pod]) -> Option<&Pod> {
    pods.iter().max_by_key(|pod| pod.creation_timestamp())
}

fn has_succeeded(pod: &Pod) -> bool {
    pod.status
        .as_ref()
        .is_some_and(|status| status.phase.as_deref() == Some("Succeeded"))
}

/// What people should know of a run that goes on: why its pod does not work, or why its last try failed.
fn what_keeps_a_run(details: &RunDetails) -> Option<String> {
    let Some(pod) = newest(&details.pods) else {
        return details
            .pod_refusals
            .last()
            .map(|refusal| format!("The Job cannot make its pod: {refusal}"));
    };
    if has_succeeded(pod) {
        return None;
    }
    if let Some(waiting) = what_a_pod_waits_for(pod) {
        return Some(format!("Its pod waits: {waiting}"));
    }
    let error = reported_error(pod).map(|error| format!("{}: {}", error.reason.as_str(), error.message));
    let failure = error.or_else(|| what_ended_a_pod(pod).map(|ending| ending.text))?;
    Some(format!("Its last try failed, and it will try again: {failure}"))
}

fn codegen_state(pod: &Pod) -> Option<&ContainerState> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == codegen::CONTAINER)?;
    status.state.as_ref()
}

fn reported_error(pod: &Pod) -> Option<RunError> {
    report(pod)?.error
}

fn report(pod: &Pod) -> Option<Report> {
    let terminated = codegen_state(pod)?.terminated.as_ref()?;
    Report::from_termination_message(terminated.message.as_deref()?)
}

/// Why a pod that has not ended does not run.
fn what_a_pod_waits_for(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(waiting) = codegen_state(pod).and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        // What every pod goes through on its way to running is no news.
        if !["", "ContainerCreating", "PodInitializing"].contains(&reason) {
            return Some(with_message(reason, waiting.message.as_deref()));
        }
    }
    let scheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled")?;
    (scheduled.status == "False").then(|| {
        with_message(
            scheduled.reason.as_deref().unwrap_or("Unschedulable"),
            scheduled.message.as_deref(),
        )
    })
}

struct PodEnding {
    text: String,
    timed_out: bool,
}

/// How a pod ended that left no report.
fn what_ended_a_pod(pod: &Pod) -> Option<PodEnding> {
    let status = pod.status.as_ref()?;
    if let Some(reason) = status.reason.as_deref() {
        return Some(PodEnding {
            text: with_message(reason, status.message.as_deref()),
            timed_out: reason == "DeadlineExceeded",
        });
    }
    let terminated = codegen_state(pod)?.terminated.as_ref()?;
    let reason = terminated.reason.as_deref().unwrap_or("Error");
    let text = match reason {
        "OOMKilled" => {
            "the container was killed for want of memory (OOMKilled); raise spec.job.resources.limits.memory"
                .into()
        }
        _ => format!(
            "the container ended with exit code {} ({reason})",
            terminated.exit_code
        ),
    };
    Some(PodEnding {
        text,
        timed_out: false,
    })
}

fn failure_without_report(job: &Job, end: &JobCondition, details: &RunDetails) -> RunError {
    let newest_pod = newest(&details.pods);
    let deadline_passed = end.reason.as_deref() == Some("DeadlineExceeded");
    let ending = newest_pod.and_then(what_ended_a_pod);
    let waiting = newest_pod
        .and_then(what_a_pod_waits_for)
        .or_else(|| details.pod_refusals.last().cloned());
    if deadline_passed || ending.as_ref().is_some_and(|ending| ending.timed_out) {
        let cause = waiting
            .map(|waiting| format!(" Its pod was waiting: {waiting}."))
            .unwrap_or_default();
        return RunError {
            reason: Reason::TimedOut,
            message: format!(
                "Job {} took longer than spec.timeout and was ended.{cause} Raise spec.timeout if the work needs longer.",
                job.name_any()
            ),
        };
    }
    let cause = ending
        .map(|ending| ending.text)
        .or(waiting)
        .unwrap_or_else(|| with_message(end.reason.as_deref().unwrap_or("Failed"), end.message.as_deref()));
    RunError {
        reason: Reason::JobFailed,
        message: format!("Job {} failed without an answer: {cause}", job.name_any()),
    }
}

fn with_message(reason: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
