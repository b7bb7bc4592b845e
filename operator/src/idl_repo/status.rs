//! The conditions that follow from a plan, by the rules of kstatus: `Reconciling` and `Stalled` are there only while
//! true, and never both.

mod gate;
mod publication;
#[cfg(test)]
mod tests;

use super::observe::{Check, Observed, Problem};
use super::plan::{Plan, Step};
use super::validate::{InvalidSpec, ValidatedSpec};
use crate::conditions;
use crate::write_status;
use heddle_crds::condition::ConditionStatus;
use heddle_crds::idl_repo::{ConditionType, IdlRepo, IdlRepoStatus, LastRun, Reason, Retry};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::ObjectMeta;

pub(crate) use crate::write_status::WriteStatusError;
pub(crate) use gate::found_in_words;

/// How many digits of a commit's id are shown to people.
const SHORT_ID: usize = 7;

/// See [`write_status::write_if_changed`].
pub(crate) async fn write_if_changed(
    client: &Client,
    object: &ObjectMeta,
    before: Option<&IdlRepoStatus>,
    after: &IdlRepoStatus,
) -> Result<(), WriteStatusError> {
    // What is there was read for this very decision, so there is no cache to bring up to date.
    let written = write_status::write_if_changed::<IdlRepo, _>(client, object, before, after).await;
    written.map(drop)
}

/// The status of an IdlRepo whose plan has been carried out.
pub(crate) fn status(
    spec: &ValidatedSpec,
    observed: &Observed,
    plan: &Plan,
    generation: Option<i64>,
    now: Timestamp,
) -> IdlRepoStatus {
    let mut status = plan.record.clone();
    let mut conditions = Conditions::new(std::mem::take(&mut status.conditions), generation, now);
    let source = source_ready(
        spec,
        observed,
        &status,
        conditions.find(ConditionType::SourceReady),
    );
    let generated = generated(spec, plan, &status, conditions.find(ConditionType::Generated));
    let compatible = gate::compatible(spec, plan, &status, conditions.find(ConditionType::Compatible));
    let published = publication::published(spec, plan, &status);
    let summary = summary(spec, plan, &status, &source);
    conditions.set(ConditionType::SourceReady, source);
    conditions.set(ConditionType::Generated, generated);
    conditions.set_or_remove(ConditionType::Compatible, compatible);
    conditions.set_or_remove(ConditionType::Published, published);
    conditions.set(ConditionType::Ready, summary.ready);
    conditions.set_while_true(ConditionType::Reconciling, summary.reconciling);
    conditions.set_while_true(ConditionType::Stalled, summary.stalled);
    status.conditions = conditions.into_list();
    status
}

/// The status, with what became of runs, of an IdlRepo whose specification cannot be worked with.
pub(crate) fn status_of_invalid(
    record: IdlRepoStatus,
    invalid: &InvalidSpec,
    generation: Option<i64>,
    now: Timestamp,
) -> IdlRepoStatus {
    refused(record, &invalid.to_string(), generation, now)
}

/// The status of a stored object that is no IdlRepo.
pub(crate) fn status_of_unreadable(
    status: Option<&IdlRepoStatus>,
    error: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> IdlRepoStatus {
    let text = format!("the stored object cannot be read: {error}; write it again with `kubectl apply`");
    refused(status.cloned().unwrap_or_default(), &text, generation, now)
}

fn refused(mut status: IdlRepoStatus, text: &str, generation: Option<i64>, now: Timestamp) -> IdlRepoStatus {
    let mut conditions = Conditions::new(std::mem::take(&mut status.conditions), generation, now);
    let pending = || State::unknown(Reason::Pending, "Not looked at: the specification is refused.");
    let refusal = |status| State {
        status,
        reason: Reason::InvalidSpec,
        message: text.to_owned(),
    };
    let active = status.last_run.as_ref().filter(|run| run.finished_at.is_none());
    let generated = active.map_or_else(pending, |run| {
        let text = format!("Job {} goes on by an earlier specification.", run.job);
        State::unknown(Reason::Running, text)
    });
    conditions.set(ConditionType::SourceReady, pending());
    conditions.set(ConditionType::Generated, generated);
    conditions.set(ConditionType::Ready, refusal(ConditionStatus::False));
    conditions.set_while_true(ConditionType::Reconciling, None);
    conditions.set_while_true(ConditionType::Stalled, Some(refusal(ConditionStatus::True)));
    status.observed_generation = generation;
    status.next_check_at = None;
    status.conditions = conditions.into_list();
    status
}

type State = conditions::State<Reason>;
type Conditions = conditions::Conditions<ConditionType>;

fn source_ready(
    spec: &ValidatedSpec,
    observed: &Observed,
    status: &IdlRepoStatus,
    before: Option<State>,
) -> State {
    match &observed.check {
        Some(Check::Found { commit, reference }) => {
            let name = reference
                .as_deref()
                .map_or_else(|| spec.source.selector.to_string(), short_reference);
            let message = format!("{name} is at {} in {}", short(commit), spec.source.url);
            State::is_true(Reason::RevisionFound, message)
        }
        Some(Check::Failed(problem)) => problem.into(),
        None => before.unwrap_or_else(|| match &status.observed_revision {
            None => State::unknown(Reason::Pending, "The source was not asked yet."),
            Some(commit) => State::is_true(
                Reason::RevisionFound,
                format!("{} was found in {}", short(commit), spec.source.url),
            ),
        }),
    }
}

fn generated(spec: &ValidatedSpec, plan: &Plan, status: &IdlRepoStatus, before: Option<State>) -> State {
    match &plan.step {
        Step::Start(_) | Step::Follow { .. } => match &status.last_run {
            Some(run) => State::unknown(Reason::Running, running(run, &plan.step)),
            None => State::unknown(Reason::Pending, "No run has started yet."),
        },
        Step::Cancel { job } | Step::AwaitRemoval { job } => State::unknown(
            Reason::Running,
            format!("Job {job} works by an old specification and is taken away."),
        ),
        Step::Blocked(problem) => problem.into(),
        Step::RetryAt(_) | Step::Stalled | Step::Rest | Step::Suspended | Step::AwaitSource => {
            let ended = status.last_run.as_ref().filter(|run| run.finished_at.is_some());
            ended
                .map(|run| ending(spec, run, status, before))
                .unwrap_or_else(|| State::unknown(Reason::Pending, "No run has started yet."))
        }
    }
}

fn running(run: &LastRun, step: &Step) -> String {
    let attempt = if run.attempt > 1 {
        format!(", attempt {}", run.attempt)
    } else {
        String::new()
    };
    let text = format!(
        "Job {} generates code for {}{attempt}.",
        run.job,
        short(&run.source_revision)
    );
    match step {
        Step::Follow {
            waiting: Some(waiting),
            ..
        } => format!("{text} {waiting}"),
        _ => text,
    }
}

fn ending(spec: &ValidatedSpec, run: &LastRun, status: &IdlRepoStatus, before: Option<State>) -> State {
    let delivered = delivered(spec, status);
    // What failed after the delivery is told elsewhere.
    if let Some(error) = run.error.as_ref().filter(|_| run.files.is_none()) {
        return State::is_false(error.reason, &*error.message);
    }
    match run.files {
        Some(files) if files.written == 0 && files.pruned == 0 => State::is_true(
            Reason::Unchanged,
            format!("{delivered} Nothing had to be changed."),
        ),
        Some(files) => State::is_true(
            Reason::Committed,
            format!(
                "{delivered} {} written, {} pruned, {} unchanged.",
                files.written, files.pruned, files.unchanged
            ),
        ),
        // The answer of the Job could not be read; what was known before about the same run may be more.
        None => before
            .filter(|state| state.status == ConditionStatus::True)
            .unwrap_or_else(|| State::is_true(Reason::Committed, delivered)),
    }
}

/// The three conditions that sum up.
struct Summary {
    ready: State,
    reconciling: Option<State>,
    stalled: Option<State>,
}

fn summary(spec: &ValidatedSpec, plan: &Plan, status: &IdlRepoStatus, source: &State) -> Summary {
    let run_problem = plan.step.problem(status).or_else(|| match plan.step {
        Step::RetryAt(_) => plan.publication_problem.clone(),
        _ => None,
    });
    let ready = ready(spec, plan, status, source, run_problem.as_ref());
    let reconciling = reconciling(plan, status, &ready);
    let out_of_reach = ready.is_false_until(Retry::OnChange);
    let stalled = (reconciling.is_none() && out_of_reach).then(|| ready.clone());
    Summary {
        ready,
        reconciling,
        stalled,
    }
}

fn ready(
    spec: &ValidatedSpec,
    plan: &Plan,
    status: &IdlRepoStatus,
    source: &State,
    run_problem: Option<&Problem>,
) -> State {
    if source.status == ConditionStatus::False {
        return source.clone();
    }
    if let Some(problem) = run_problem {
        return problem.into();
    }
    match &plan.step {
        Step::Rest => State::is_true(Reason::Succeeded, delivered(spec, status)),
        Step::Suspended => State::is_false(
            Reason::Suspended,
            "spec.suspend is true, and the code for the newest source commit seen is not delivered.",
        ),
        Step::Start(_) | Step::Follow { .. } => match &status.last_run {
            Some(run) => State::unknown(Reason::Running, running(run, &plan.step)),
            None => State::unknown(Reason::Pending, "A run is about to start."),
        },
        Step::Cancel { .. } | Step::AwaitRemoval { .. } => State::unknown(
            Reason::Running,
            "A run by the changed specification follows as soon as the old one is gone.",
        ),
        Step::AwaitSource if spec.suspended => State::is_false(
            Reason::Suspended,
            "spec.suspend is true, and the source was never asked.",
        ),
        _ => State::unknown(Reason::Pending, "The source was not asked yet."),
    }
}

fn reconciling(plan: &Plan, status: &IdlRepoStatus, ready: &State) -> Option<State> {
    match &plan.step {
        Step::Start(_) | Step::Follow { .. } | Step::Cancel { .. } | Step::AwaitRemoval { .. } => {
            let message = match &status.last_run {
                Some(run) => running(run, &plan.step),
                None => "A run is about to start.".into(),
            };
            Some(State::is_true(Reason::Running, message))
        }
        Step::RetryAt(at) => {
            let attempt = status.last_run.as_ref().map_or(1, |run| run.attempt);
            let what = match status.last_run.as_ref().is_some_and(|run| run.error.is_some()) {
                true => format!("Attempt {attempt} failed."),
                false => "The published descriptor set is gone again.".into(),
            };
            let message = format!("{what} The next attempt is at {}.", at.strftime("%FT%TZ"));
            Some(State::is_true(ready.reason, message))
        }
        Step::Blocked(problem) if problem.reason.retry() == Retry::Backoff => Some(State::is_true(
            problem.reason,
            "The run could not start. That is tried again soon.",
        )),
        _ if ready.is_false_until(Retry::Backoff) => {
            let again = status
                .next_check_at
                .as_ref()
                .map(|at| at.0.strftime("%FT%TZ").to_string());
            let again = again
                .map(|at| format!(" The source is asked again at {at}."))
                .unwrap_or_default();
            let failures = status.failed_checks.unwrap_or(0);
            Some(State::is_true(
                ready.reason,
                format!("{failures} failed checks of the source in a row.{again}"),
            ))
        }
        Step::AwaitSource if ready.reason == Reason::Pending => {
            Some(State::is_true(Reason::Pending, "The source was not asked yet."))
        }
        _ => None,
    }
}

fn delivered(spec: &ValidatedSpec, status: &IdlRepoStatus) -> String {
    let commit = status.generated_revision.as_deref().map_or("the source", short);
    let branch = &spec.output.branch;
    match &status.output_revision {
        Some(output) => format!(
            "Code for {commit} is delivered as {} to branch {branch}.",
            short(output)
        ),
        None => format!("Code for {commit} is delivered to branch {branch}."),
    }
}

/// The first digits of a commit's id, enough for people to tell commits apart.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..SHORT_ID).unwrap_or(commit)
}

fn short_reference(name: &str) -> String {
    match (name.strip_prefix("refs/heads/"), name.strip_prefix("refs/tags/")) {
        (Some(branch), _) => format!("branch {branch}"),
        (_, Some(tag)) => format!("tag {tag}"),
        _ => name.to_owned(),
    }
}
