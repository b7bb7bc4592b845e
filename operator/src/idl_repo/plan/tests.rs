mod failures;
mod gate;
mod publication;
mod simulation;
mod source;
mod trace;

use super::*;
use crate::idl_repo::observe::{Check, ObservedPublication, ObservedSecrets, Problem};
use crate::idl_repo::run::{Delivery, Ending, RunState};
use crate::idl_repo::validate::validate;
use heddle_crds::idl_repo::{FileCounts, Reason, RunError};
use heddle_crds::metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::json;

const NOW: i64 = 1_000_000;
const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn at(seconds_from_now: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds_from_now).unwrap()
}

/// An IdlRepo with what is around it, to be changed by each test.
struct Case {
    idl_repo: IdlRepo,
    observed: Observed,
}

impl Case {
    /// One that was looked at before, found at commit `A`, and has delivered nothing.
    fn new() -> Self {
        let idl_repo = serde_json::from_value(json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "IdlRepo",
            "metadata": { "name": "shop", "namespace": "default", "uid": "u", "generation": 1 },
            "spec": {
                "source": { "url": "https://git.example/idl.git" },
                "interval": "5m",
                "generate": [{ "name": "rust", "plugin": "prost" }],
                "output": { "url": "https://git.example/generated.git" },
            },
            "status": {
                "observedGeneration": 1,
                "conditions": [],
                "observedRevision": A,
                "observedSecrets": "s1",
                "nextCheckAt": at(200).to_string(),
            },
        }))
        .unwrap();
        let secrets = ObservedSecrets::for_tests("s1");
        Self {
            idl_repo,
            observed: Observed {
                runs: Vec::new(),
                secrets,
                publication: ObservedPublication::for_tests(A),
                settings_version: "o1".into(),
                awaits_source: false,
                check: None,
            },
        }
    }

    fn status(&mut self) -> &mut IdlRepoStatus {
        self.idl_repo.status.get_or_insert_default()
    }

    fn digest(&self) -> String {
        self.idl_repo.spec.digest()
    }

    fn plan(&self) -> Plan {
        plan(
            &self.idl_repo,
            &validate(&self.idl_repo).unwrap(),
            &self.observed,
            at(0),
        )
    }

    fn check_is_due(&self) -> bool {
        let spec = validate(&self.idl_repo).unwrap();
        check_is_due(
            &self.idl_repo,
            &spec,
            &self.observed.secrets.version,
            &self.observed.settings_version,
            at(0),
        )
    }

    fn run(&self, job: &str, commit: &str, attempt: i32, created: i64, state: RunState) -> ObservedRun {
        ObservedRun {
            job: job.into(),
            target: Target {
                commit: commit.into(),
                digest: self.digest(),
            },
            attempt,
            cause: Some(Cause::NewCommit),
            circumstances: prompt::circumstances(
                &self.idl_repo,
                &self.observed,
                &self.idl_repo.status.clone().unwrap_or_default(),
                commit,
            ),
            accepts_breaking: false,
            created_at: at(created),
            trace_parent: None,
            state,
            deleting: false,
        }
    }

    fn add(&mut self, run: ObservedRun) -> &mut Self {
        self.observed.runs.push(run);
        self
    }

    fn found(&mut self, commit: &str) -> &mut Self {
        self.observed.check = Some(Check::Found {
            commit: commit.into(),
            reference: None,
        });
        self
    }

    fn delivered(&mut self, commit: &str) -> &mut Self {
        let digest = self.digest();
        self.status().generated_revision = Some(commit.into());
        self.observed.publication = ObservedPublication::for_tests(commit);
        self.status().generated_spec_digest = Some(digest);
        self
    }

    fn request(&mut self, value: &str) -> &mut Self {
        self.idl_repo
            .annotations_mut()
            .insert(metadata::REQUESTED_AT.into(), value.into());
        self
    }
}

fn active() -> RunState {
    RunState::Active { waiting: None }
}

fn failed(reason: Reason, ended: i64) -> RunState {
    let error = RunError {
        reason,
        message: "why".into(),
    };
    RunState::Finished {
        at: at(ended),
        ending: Ending {
            error: Some(error),
            ..Ending::default()
        },
    }
}

fn delivered(ended: i64) -> RunState {
    let delivery = Delivery {
        output_revision: Some("0ut".into()),
        files: Some(FileCounts::default()),
        committed: true,
    };
    RunState::Finished {
        at: at(ended),
        ending: Ending {
            delivery: Some(delivery),
            ..Ending::default()
        },
    }
}

fn started(plan: &Plan) -> &RunRequest {
    match &plan.step {
        Step::Start(request) => request,
        other => panic!("no start but {other:?}"),
    }
}

#[test]
fn a_commit_without_code_starts_a_run() {
    let plan = Case::new().plan();
    let request = started(&plan);
    assert_eq!(
        (request.target.commit.as_str(), request.attempt, request.cause),
        (A, 1, Cause::NewCommit)
    );
}

#[test]
fn delivered_code_leaves_nothing_to_do_until_the_next_check() {
    let plan = Case::new().delivered(A).plan();
    assert_eq!(plan.step, Step::Rest);
    assert_eq!(plan.wake_at, at(200));
}

#[test]
fn a_new_commit_starts_a_run_and_sets_the_time_of_the_next_check() {
    let plan = Case::new().delivered(A).found(B).plan();
    assert_eq!(started(&plan).target.commit, B);
    let next = plan.record.next_check_at.unwrap().0;
    assert!(at(270) <= next && next <= at(330), "{next}");
    assert_eq!(plan.record.failed_checks, None);
}

#[test]
fn a_changed_specification_starts_a_run_at_the_same_commit() {
    let mut case = Case::new();
    case.delivered(A).idl_repo.spec.output.branch = "other".into();
    assert_eq!(started(&case.plan()).cause, Cause::SpecificationChanged);
}

#[test]
fn settings_that_change_no_code_start_no_run() {
    let mut case = Case::new();
    case.delivered(A);
    case.idl_repo.spec.timeout = Duration::from_secs(60).into();
    case.idl_repo.metadata.generation = Some(2);
    assert_eq!(case.plan().step, Step::Rest);
}

#[test]
fn a_run_in_progress_is_followed_also_when_another_commit_is_there() {
    let mut case = Case::new();
    let run = case.run("j1", A, 1, -5, active());
    let plan = case.add(run).found(B).plan();
    assert!(
        matches!(&plan.step, Step::Follow { run, .. } if run.job == "j1"),
        "{:?}",
        plan.step
    );
    assert_eq!(plan.record.observed_revision.as_deref(), Some(B));
    assert_eq!(plan.wake_at, at(10));
}

#[test]
fn a_job_that_exists_is_taken_over_after_a_crash_before_the_status_was_written() {
    let mut case = Case::new();
    let run = case.run("j1", A, 1, -5, active());
    let plan = case.add(run).plan();
    assert_eq!(plan.record.last_run.as_ref().unwrap().job, "j1");
    assert_eq!(plan.news.taken_over.unwrap().job, "j1", "nobody was told of it");

    case.idl_repo.status = Some(plan.record);
    assert!(case.plan().news.taken_over.is_none());
    case.observed.runs[0].state = delivered(0);
    let plan = case.plan();
    assert!(plan.news.taken_over.is_none());
    assert_eq!(plan.news.finished.len(), 1);
}

#[test]
fn every_cause_is_known_by_its_name() {
    for cause in Cause::ALL {
        assert_eq!(Cause::named(cause.as_str()), Some(cause));
    }
}

#[test]
fn a_run_by_an_old_specification_is_cancelled_and_waited_for() {
    let mut case = Case::new();
    let mut run = case.run("j1", A, 1, -5, active());
    run.target.digest = "old".into();
    assert_eq!(
        case.add(run.clone()).plan().step,
        Step::Cancel { job: "j1".into() }
    );

    case.observed.runs[0].deleting = true;
    assert_eq!(case.plan().step, Step::AwaitRemoval { job: "j1".into() });

    case.observed.runs.clear();
    case.status().last_run = Some(run.to_last_run());
    let plan = case.plan();
    assert_eq!(started(&plan).attempt, 1);
    assert!(plan.news.finished.is_empty(), "that it was cancelled is no news");
}

#[test]
fn a_run_that_delivered_is_recorded_once() {
    let mut case = Case::new();
    let run = case.run("j1", A, 1, -60, delivered(-1));
    let plan = case.add(run).plan();
    assert_eq!(plan.step, Step::Rest);
    assert_eq!(plan.news.finished.len(), 1);
    assert_eq!(plan.record.generated_revision.as_deref(), Some(A));
    assert_eq!(plan.record.output_revision.as_deref(), Some("0ut"));

    case.idl_repo.status = Some(plan.record.clone());
    let again = case.plan();
    assert!(again.news.finished.is_empty());
    assert_eq!(again.record, plan.record);
}

#[test]
fn a_result_that_was_not_recorded_before_the_next_run_started_is_not_lost() {
    let mut case = Case::new();
    let first = case.run("j1", A, 1, -60, delivered(-30));
    let second = case.run("j2", B, 1, -20, active());
    let plan = case.add(first).add(second).found(B).plan();
    assert_eq!(plan.record.generated_revision.as_deref(), Some(A));
    assert_eq!(plan.record.last_run.unwrap().job, "j2");
}

#[test]
fn what_is_delivered_is_delivered_again_once_on_request() {
    let mut case = Case::new();
    let first = case.run("j1", A, 1, -60, delivered(-50));
    case.add(first);
    case.idl_repo.status = Some(case.plan().record);
    let plan = case.request("now").found(A).plan();
    assert_eq!(
        (started(&plan).attempt, started(&plan).cause),
        (2, Cause::Requested)
    );
    case.idl_repo.status = Some(plan.record);
    case.observed.check = None;
    let second = case.run("j2", A, 2, -1, failed(Reason::OutputConflict, 0));
    case.add(second);
    let failed = case.plan();
    assert_eq!(failed.step, Step::Stalled, "that it fails is not hidden");
    assert_eq!(failed.record.generated_revision.as_deref(), Some(A));
    case.observed.runs[1].state = delivered(0);
    assert_eq!(case.plan().step, Step::Rest);
}

#[test]
fn a_request_in_mid_run_is_answered_by_another_run() {
    let mut case = Case::new();
    let run = case.run("j1", A, 1, -60, active());
    let plan = case.add(run).request("now").found(A).plan();
    assert!(matches!(plan.step, Step::Follow { .. }));
    case.idl_repo.status = Some(plan.record);
    case.observed.check = None;
    case.observed.runs[0].state = delivered(0);
    assert_eq!(started(&case.plan()).cause, Cause::Requested);
    case.idl_repo.spec.suspend = true;
    assert_eq!(case.plan().step, Step::Rest, "nothing is missing meanwhile");
}

#[test]
fn a_prompt_that_was_answered_prompts_no_more() {
    let mut case = Case::new();
    let run = case.run("j1", A, 1, -6000, failed(Reason::CompilationFailed, -5900));
    case.add(run).request("now").found(A);
    case.idl_repo.status = Some(case.plan().record);
    let second = case.run("j2", A, 2, -50, failed(Reason::CompilationFailed, -1));
    case.add(second).observed.check = None;
    assert_eq!(case.plan().step, Step::Stalled);
}

#[test]
fn a_branch_that_goes_back_is_generated_again_by_another_job() {
    let mut case = Case::new();
    let first = case.run("j1", A, 1, -900, delivered(-800));
    let second = case.run("j2", B, 1, -700, delivered(-600));
    case.add(first).add(second).delivered(B).found(A);
    case.status().last_run = Some(case.observed.runs[1].to_last_run());
    assert_eq!(
        started(&case.plan()).attempt,
        2,
        "attempt 1 has the name of a Job that is there"
    );
}

#[test]
fn a_job_that_vanished_is_a_failure_that_may_pass() {
    let mut case = Case::new();
    let last_run = case.run("j1", A, 1, -60, active()).to_last_run();
    case.status().last_run = Some(last_run);
    let plan = case.plan();
    assert!(matches!(plan.step, Step::RetryAt(_)), "{:?}", plan.step);
    assert_eq!(plan.news.finished.len(), 1);
    let error = plan.record.last_run.unwrap().error.unwrap();
    assert_eq!(error.reason, Reason::JobFailed);
}

#[test]
fn a_problem_with_the_output_s_secret_blocks_a_run_that_is_needed_and_no_other() {
    let problem = Problem {
        reason: Reason::SecretNotFound,
        message: "no such Secret".into(),
    };
    let mut case = Case::new();
    case.observed.secrets.output_problem = Some(problem.clone());
    assert_eq!(case.plan().step, Step::Blocked(problem));
    assert_eq!(case.delivered(A).plan().step, Step::Rest);
}

#[test]
fn suspension_starts_nothing_and_follows_what_goes_on() {
    let mut case = Case::new();
    case.idl_repo.spec.suspend = true;
    let plan = case.plan();
    assert_eq!(plan.step, Step::Suspended);
    assert_eq!(plan.record.next_check_at, None);
    let mut run = case.run("j1", A, 1, -5, active());
    run.target.digest = "old".into();
    assert!(matches!(case.add(run).plan().step, Step::Follow { .. }));
}

#[test]
fn the_oldest_finished_jobs_are_pruned() {
    let mut case = Case::new();
    for number in 0..5 {
        let run = case.run(
            &format!("j{number}"),
            A,
            number,
            -100 + i64::from(number),
            delivered(-50),
        );
        case.add(run);
    }
    let run = case.run("j5", B, 1, -1, active());
    case.add(run).observed.runs[0].deleting = true;
    assert_eq!(case.plan().prune, ["j1"]);
}

#[test]
fn a_long_request_is_answered_as_far_as_the_status_can_hold_it() {
    let mut case = Case::new();
    let plan = case.request(&"x".repeat(1000)).found(A).plan();
    assert_eq!(plan.record.last_handled_requested_at.as_ref().unwrap().len(), 256);
    case.idl_repo.status = Some(plan.record);
    assert!(!case.check_is_due());
}
