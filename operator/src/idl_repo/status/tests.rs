use super::*;
use crate::idl_repo::observe::{ObservedPublication, ObservedSecrets};
use crate::idl_repo::plan::{Cause, Leftovers, RunNews, RunRequest};
use crate::idl_repo::run::{Circumstances, Target};
use crate::idl_repo::validate::validate;
use heddle_crds::condition;
use heddle_crds::idl_repo::{Comparison, FileCounts, Finding, IdlRepo, Level, RunError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

const COMMIT: &str = "aaaaaaa1111111111111111111111111111111111";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn idl_repo(suspend: bool) -> IdlRepo {
    serde_json::from_value(json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "IdlRepo",
        "metadata": { "name": "shop", "namespace": "default", "uid": "u", "generation": 3 },
        "spec": {
            "suspend": suspend,
            "publish": { "enabled": false },
            "source": { "url": "https://git.example/idl.git" },
            "generate": [{ "name": "rust", "plugin": "prost" }],
            "output": { "url": "https://git.example/generated.git" },
        },
    }))
    .unwrap()
}

fn last_run(error: Option<Reason>) -> LastRun {
    LastRun {
        job: "shop-1".into(),
        source_revision: COMMIT.into(),
        spec_digest: "d".into(),
        attempt: 2,
        circumstances: None,
        requested_at: None,
        started_at: Time(at(10)),
        finished_at: Some(Time(at(20))),
        trace_id: None,
        comparison: None,
        files: error.is_none().then_some(FileCounts {
            written: 1,
            pruned: 0,
            unchanged: 4,
        }),
        error: error.map(|reason| RunError {
            reason,
            message: "why".into(),
        }),
    }
}

fn found() -> Option<Check> {
    Some(Check::Found {
        commit: COMMIT.into(),
        reference: Some("refs/heads/main".into()),
    })
}

fn silent(reason: Reason) -> Option<Check> {
    Some(Check::Failed(Problem {
        reason,
        message: "silence".into(),
    }))
}

/// The conditions that follow, one a line: type, status, reason.
fn conditions(suspend: bool, step: Step, check: Option<Check>, record: IdlRepoStatus) -> String {
    let idl_repo = idl_repo(suspend);
    let observed = Observed {
        runs: Vec::new(),
        secrets: ObservedSecrets::for_tests("s"),
        publication: ObservedPublication::default(),
        settings_version: "o".into(),
        awaits_source: false,
        check,
    };
    let plan = Plan {
        record,
        step,
        news: RunNews::default(),
        prune: Vec::new(),
        leftovers: Leftovers::default(),
        ignored_acceptance: None,
        publication_problem: None,
        wake_at: at(0),
    };
    let status = status(&validate(&idl_repo).unwrap(), &observed, &plan, Some(3), at(100));
    for condition in &status.conditions {
        assert_eq!(condition.observed_generation, Some(3));
        assert!(!condition.message.is_empty(), "{condition:?}");
    }
    let lines = status
        .conditions
        .iter()
        .map(|condition| format!("{} {:?} {}", condition.type_, condition.status, condition.reason));
    lines.collect::<Vec<_>>().join("\n")
}

fn with_run(error: Option<Reason>) -> IdlRepoStatus {
    IdlRepoStatus {
        last_run: Some(last_run(error)),
        generated_revision: Some(COMMIT.into()),
        output_revision: Some("bbbbbbb2".into()),
        ..IdlRepoStatus::default()
    }
}

fn lines(expected: &[&str]) -> String {
    expected.join("\n")
}

#[test]
fn delivered_code_is_ready_and_nothing_else() {
    let expected = [
        "SourceReady True RevisionFound",
        "Generated True Committed",
        "Ready True Succeeded",
    ];
    assert_eq!(
        conditions(false, Step::Rest, found(), with_run(None)),
        lines(&expected)
    );
}

#[test]
fn a_run_in_progress_is_reconciling() {
    let request = RunRequest {
        target: Target {
            commit: COMMIT.into(),
            digest: "d".into(),
        },
        attempt: 1,
        cause: Cause::NewCommit,
        circumstances: Circumstances::default(),
        baseline: None,
        accepts_breaking: false,
        descriptor_slots: 0,
        trace_parent: None,
    };
    let follow = Step::Follow {
        run: last_run(None),
        waiting: Some("Its pod waits: ImagePullBackOff".into()),
    };
    let cancel = Step::Cancel { job: "shop-1".into() };
    let removal = Step::AwaitRemoval { job: "shop-1".into() };
    for step in [Step::Start(request), follow, cancel, removal] {
        let expected = [
            "SourceReady True RevisionFound",
            "Generated Unknown Running",
            "Ready Unknown Running",
            "Reconciling True Running",
        ];
        assert_eq!(conditions(false, step, found(), with_run(None)), lines(&expected));
    }
}

#[test]
fn a_failure_that_may_pass_is_reconciling_and_one_that_cannot_is_stalled() {
    let reconciling = [
        "SourceReady True RevisionFound",
        "Generated False PushRejected",
        "Ready False PushRejected",
        "Reconciling True PushRejected",
    ];
    let record = with_run(Some(Reason::PushRejected));
    assert_eq!(
        conditions(false, Step::RetryAt(at(300)), found(), record),
        lines(&reconciling)
    );
    let stalled = [
        "SourceReady True RevisionFound",
        "Generated False CompilationFailed",
        "Ready False CompilationFailed",
        "Stalled True CompilationFailed",
    ];
    let record = with_run(Some(Reason::CompilationFailed));
    assert_eq!(conditions(false, Step::Stalled, found(), record), lines(&stalled));
}

#[test]
fn a_silent_source_counts_more_than_what_was_delivered_before() {
    let retried = [
        "SourceReady False HostUnknown",
        "Generated True Committed",
        "Ready False HostUnknown",
        "Reconciling True HostUnknown",
    ];
    let record = IdlRepoStatus {
        failed_checks: Some(2),
        ..with_run(None)
    };
    let step = Step::AwaitSource;
    assert_eq!(
        conditions(false, step.clone(), silent(Reason::HostUnknown), record.clone()),
        lines(&retried)
    );
    let stalled = [
        "SourceReady False SecretNotFound",
        "Generated True Committed",
        "Ready False SecretNotFound",
        "Stalled True SecretNotFound",
    ];
    assert_eq!(
        conditions(false, step, silent(Reason::SecretNotFound), record),
        lines(&stalled)
    );
}

#[test]
fn a_run_that_cannot_start_says_why() {
    let blocked = |reason| {
        Step::Blocked(Problem {
            reason,
            message: "why".into(),
        })
    };
    let stalled = [
        "SourceReady True RevisionFound",
        "Generated False SecretNotFound",
        "Ready False SecretNotFound",
        "Stalled True SecretNotFound",
    ];
    assert_eq!(
        conditions(false, blocked(Reason::SecretNotFound), found(), with_run(None)),
        lines(&stalled)
    );
    let retried = [
        "SourceReady True RevisionFound",
        "Generated False JobFailed",
        "Ready False JobFailed",
        "Reconciling True JobFailed",
    ];
    assert_eq!(
        conditions(false, blocked(Reason::JobFailed), found(), with_run(None)),
        lines(&retried)
    );
}

#[test]
fn suspension_is_neither_reconciling_nor_stalled() {
    let expected = [
        "SourceReady Unknown Pending",
        "Generated Unknown Pending",
        "Ready False Suspended",
    ];
    for step in [Step::Suspended, Step::AwaitSource] {
        assert_eq!(
            conditions(true, step, None, IdlRepoStatus::default()),
            lines(&expected)
        );
    }
}

#[test]
fn an_object_that_was_never_looked_at_is_reconciling() {
    let expected = [
        "SourceReady Unknown Pending",
        "Generated Unknown Pending",
        "Ready Unknown Pending",
        "Reconciling True Pending",
    ];
    assert_eq!(
        conditions(false, Step::AwaitSource, None, IdlRepoStatus::default()),
        lines(&expected)
    );
}

#[test]
fn what_was_refused_is_stalled_and_keeps_its_record() {
    let mut idl_repo = idl_repo(false);
    idl_repo.spec.output.branch = "-".into();
    let invalid = validate(&idl_repo).unwrap_err();
    let status = status_of_invalid(with_run(None), &invalid, Some(3), at(100));
    let stalled = condition::find(&status.conditions, "Stalled").unwrap();
    assert_eq!(
        (stalled.status, stalled.reason.as_str()),
        (ConditionStatus::True, "InvalidSpec")
    );
    assert!(stalled.message.contains("output.branch"), "{}", stalled.message);
    assert_eq!(status.generated_revision.as_deref(), Some(COMMIT));
    assert!(condition::find(&status.conditions, "Reconciling").is_none());

    let mut active = with_run(None);
    active.last_run.as_mut().unwrap().finished_at = None;
    let status = status_of_invalid(active, &invalid, Some(3), at(100));
    let generated = condition::find(&status.conditions, "Generated").unwrap();
    assert_eq!(generated.reason, "Running");
    assert!(generated.message.contains("shop-1"), "{}", generated.message);
}

#[test]
fn a_status_that_says_nothing_new_is_the_same_to_the_last_field() {
    let idl_repo = idl_repo(false);
    let spec = validate(&idl_repo).unwrap();
    let observed = Observed {
        runs: Vec::new(),
        secrets: ObservedSecrets::for_tests("s"),
        publication: ObservedPublication::default(),
        settings_version: "o".into(),
        awaits_source: false,
        check: None,
    };
    let plan = |record| Plan {
        record,
        step: Step::RetryAt(at(300)),
        news: RunNews::default(),
        prune: Vec::new(),
        leftovers: Leftovers::default(),
        ignored_acceptance: None,
        publication_problem: None,
        wake_at: at(0),
    };
    let first = status(
        &spec,
        &observed,
        &plan(with_run(Some(Reason::PushRejected))),
        Some(3),
        at(100),
    );
    let second = status(&spec, &observed, &plan(first.clone()), Some(3), at(200));
    assert_eq!(first, second);
}

fn compared(breaking_changes: u32, accepted: bool, problem: Option<&str>) -> Comparison {
    Comparison {
        against: "bbbbbbb2222222222222222222222222222222222".into(),
        level: Level::File,
        breaking_changes,
        problem: problem.map(Into::into),
        accepted,
        findings: (1..=breaking_changes)
            .map(|line| Finding {
                rule: "FIELD_SAME_TYPE".into(),
                file: Some("a.proto".into()),
                line: Some(line),
                column: Some(3),
                message: "what".into(),
            })
            .collect(),
    }
}

/// Status, reason and message of `Compatible` after a run.
fn compatible(error: Option<Reason>, comparison: Option<Comparison>) -> String {
    let mut idl_repo = idl_repo(false);
    idl_repo.spec.compatibility = Some(Default::default());
    let spec = validate(&idl_repo).unwrap();
    let record = IdlRepoStatus {
        generated_revision: error.is_none().then(|| COMMIT.into()),
        last_run: Some(LastRun {
            comparison,
            ..last_run(error)
        }),
        ..IdlRepoStatus::default()
    };
    let plan = Plan {
        record: record.clone(),
        step: Step::Rest,
        news: RunNews::default(),
        prune: Vec::new(),
        leftovers: Leftovers::default(),
        ignored_acceptance: Some("c0ffee".into()),
        publication_problem: None,
        wake_at: at(0),
    };
    let state = gate::compatible(&spec, &plan, &record, None).unwrap();
    let says_why = state.message.contains("\"c0ffee\", which lets nothing through");
    assert_eq!(says_why, error == Some(state.reason), "{}", state.message);
    format!("{:?} {:?} {}", state.status, state.reason, state.message)
}

#[test]
fn compatible_tells_what_the_gate_found() {
    let named = "a.proto:1:3: FIELD_SAME_TYPE: what; a.proto:2:3: FIELD_SAME_TYPE: what; a.proto:3:3: FIELD_SAME_TYPE: \
                 what; and 2 more";
    for (error, comparison, expected) in [
        (
            None,
            None,
            "True NothingToCompare aaaaaaa is what the next".to_owned(),
        ),
        (
            None,
            Some(compared(0, false, None)),
            "True NoBreakingChanges aaaaaaa breaks nothing of bbbbbbb.".to_owned(),
        ),
        (
            Some(Reason::BreakingChanges),
            Some(compared(5, false, None)),
            format!("False BreakingChanges aaaaaaa is refused for 5 breaking changes of bbbbbbb: {named}"),
        ),
        (
            None,
            Some(compared(1, true, None)),
            "True BreakingChangesAccepted aaaaaaa was let through with 1 breaking change of".to_owned(),
        ),
        (
            None,
            Some(compared(1, false, None)),
            "False BreakingChangesAllowed aaaaaaa has 1 breaking change of".to_owned(),
        ),
        (
            None,
            Some(compared(0, false, Some("gone"))),
            "Unknown BaselineUnavailable aaaaaaa is delivered without a comparison: gone".to_owned(),
        ),
        (
            Some(Reason::BaselineUnavailable),
            None,
            "False BaselineUnavailable why".to_owned(),
        ),
        (
            Some(Reason::CompilationFailed),
            None,
            "Unknown NotCompared The run for aaaaaaa failed".to_owned(),
        ),
    ] {
        let found = compatible(error, comparison);
        assert!(
            found.starts_with(&expected),
            "expected {expected:?}, got {found:?}"
        );
    }
}

#[test]
fn code_without_its_publication_is_delivered_and_not_ready() {
    let mut idl_repo = idl_repo(false);
    idl_repo.spec.publish.enabled = true;
    let run = LastRun {
        files: Some(FileCounts::default()),
        ..last_run(Some(Reason::PublicationFailed))
    };
    let record = IdlRepoStatus {
        generated_revision: Some(COMMIT.into()),
        last_run: Some(run),
        ..IdlRepoStatus::default()
    };
    let problem = Problem {
        reason: Reason::PublicationLost,
        message: "gone".into(),
    };
    let observed = Observed {
        runs: Vec::new(),
        secrets: ObservedSecrets::for_tests("s"),
        publication: ObservedPublication::default(),
        settings_version: "o".into(),
        awaits_source: false,
        check: found(),
    };
    let plan = Plan {
        record,
        step: Step::RetryAt(at(300)),
        news: RunNews::default(),
        prune: Vec::new(),
        leftovers: Leftovers::default(),
        ignored_acceptance: None,
        publication_problem: Some(problem),
        wake_at: at(0),
    };
    let status = status(&validate(&idl_repo).unwrap(), &observed, &plan, Some(3), at(100));
    let state = |type_: &str| {
        let found = condition::find(&status.conditions, type_).unwrap();
        format!("{:?} {}", found.status, found.reason)
    };
    assert_eq!(state("Generated"), "True Unchanged");
    assert_eq!(state("Published"), "False PublicationFailed");
    assert_eq!(state("Ready"), "False PublicationFailed");
    assert_eq!(state("Reconciling"), "True PublicationFailed");
}
