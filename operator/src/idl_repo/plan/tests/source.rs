//! When the source is asked, and what its silence means.

use super::*;

#[test]
fn while_the_source_is_silent_no_run_starts() {
    let problem = Problem {
        reason: Reason::HostUnknown,
        message: "no such host".into(),
    };
    let mut case = Case::new();
    case.observed.check = Some(Check::Failed(problem));
    let plan = case.plan();
    assert_eq!(plan.step, Step::AwaitSource);
    assert_eq!(plan.record.failed_checks, Some(1));
    let next = plan.record.next_check_at.unwrap().0;
    assert!(at(9) <= next && next <= at(11), "{next}");
}

#[test]
fn while_a_busy_host_is_waited_for_everything_but_the_answer_is_dealt_with() {
    let mut case = Case::new();
    case.observed.awaits_source = true;
    case.idl_repo.metadata.generation = Some(2);
    let mut outdated = case.run("j1", A, 1, -60, active());
    outdated.target.digest = "old".into();
    let plan = case.add(outdated).plan();
    assert_eq!(plan.step, Step::Cancel { job: "j1".into() });
    assert_eq!(plan.record.observed_generation, Some(2));

    case.idl_repo.status = Some(plan.record);
    case.observed.runs.clear();
    let ended = case.run("j2", A, 1, -50, delivered(0));
    let plan = case.add(ended).plan();
    assert_eq!((plan.step, plan.news.finished.len()), (Step::Rest, 1));

    case.observed.runs.clear();
    let plan = case.plan();
    assert_eq!(plan.step, Step::AwaitSource, "the commit may be an old one");
    case.idl_repo.status = Some(plan.record);
    assert!(case.check_is_due(), "although the specification is on record");
}

#[test]
fn a_source_that_cannot_work_is_not_asked_until_something_changes() {
    let problem = Problem {
        reason: Reason::SecretNotFound,
        message: "no such Secret".into(),
    };
    let mut case = Case::new();
    case.observed.check = Some(Check::Failed(problem));
    let plan = case.plan();
    assert_eq!(plan.record.next_check_at, None);

    case.idl_repo.status = Some(plan.record);
    case.observed.check = None;
    assert!(!case.check_is_due());
    case.observed.secrets = ObservedSecrets::for_tests("s2");
    assert!(case.check_is_due());
}

#[test]
fn the_source_is_asked_when_it_is_time_and_when_something_changes() {
    let due = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        change(&mut case);
        case.check_is_due()
    };
    assert!(!due(&|_| {}));
    assert!(due(&|case| case.status().next_check_at = Some(Time(at(0)))));
    assert!(!due(&|case| case.status().next_check_at = Some(Time(at(1)))));
    assert!(due(&|case| case.idl_repo.status = None));
    assert!(due(&|case| case.idl_repo.metadata.generation = Some(2)));
    assert!(due(
        &|case| case.observed.secrets = ObservedSecrets::for_tests("s2")
    ));
    assert!(due(&|case| {
        case.request("now");
    }));
    assert!(!due(&|case| {
        case.request("now");
        case.status().last_handled_requested_at = Some("now".into());
    }));
    assert!(!due(&|case| {
        case.request("now").idl_repo.spec.suspend = true;
    }));
}

#[test]
fn a_run_tells_what_the_source_answered_when_the_answer_itself_was_never_written_down() {
    let mut case = Case::new();
    *case.status() = IdlRepoStatus::default();
    case.idl_repo.spec.suspend = true;
    let ended = case.run("j1", A, 1, -10, delivered(0));
    let plan = case.add(ended).plan();
    assert_eq!(plan.record.observed_revision.as_deref(), Some(A));
    assert_eq!(plan.step, Step::Rest);

    case.observed.runs.clear();
    let mut outdated = case.run("j1", A, 1, -10, delivered(0));
    outdated.target.digest = "old".into();
    let plan = case.add(outdated).plan();
    assert_eq!(plan.record.observed_revision, None, "it may be of another source");
}
