//! When a failed run is tried again.

use super::*;

#[test]
fn a_failure_that_may_pass_is_tried_again_after_a_delay_that_grows() {
    for (attempt, low, high) in [(1, 27, 33), (2, 54, 66), (3, 108, 132), (9, 540, 660)] {
        let mut case = Case::new();
        let run = case.run("j", A, attempt, -60, failed(Reason::PushRejected, 0));
        let Step::RetryAt(retry) = case.add(run).plan().step else {
            panic!("attempt {attempt} is not waited for")
        };
        assert!(
            at(low) <= retry && retry <= at(high),
            "attempt {attempt}: {retry}"
        );

        case.observed.runs[0].state = failed(Reason::PushRejected, -high - 1);
        let plan = case.plan();
        assert_eq!(
            (started(&plan).attempt, started(&plan).cause),
            (attempt + 1, Cause::Retry)
        );
    }
}

#[test]
fn another_attempt_goes_on_with_the_trace_of_the_first() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut case = Case::new();
    let mut run = case.run("j1", A, 1, -600, failed(Reason::PushRejected, -500));
    run.trace_parent = Some(parent.parse().unwrap());
    let continued = case.add(run).plan();
    assert_eq!(
        started(&continued).trace_parent.as_ref().unwrap().to_string(),
        parent
    );
    // A request is a change of its own.
    assert_eq!(started(&case.request("now").plan()).trace_parent, None);
}

#[test]
fn a_failure_that_cannot_pass_waits_for_a_change() {
    let stalled = || {
        let mut case = Case::new();
        let run = case.run("j1", A, 1, -6000, failed(Reason::CompilationFailed, -5900));
        case.add(run);
        case
    };
    assert_eq!(stalled().plan().step, Step::Stalled);

    let mut other_commit = stalled();
    assert_eq!(started(&other_commit.found(B).plan()).attempt, 1);
    let mut requested = stalled();
    let plan = requested.request("now").plan();
    assert_eq!(
        (started(&plan).attempt, started(&plan).cause),
        (2, Cause::Requested)
    );
    let mut secret = stalled();
    secret.observed.secrets = ObservedSecrets::for_tests("s2");
    assert_eq!(started(&secret.plan()).cause, Cause::SecretChanged);
    let mut generation = stalled();
    generation.idl_repo.metadata.generation = Some(2);
    assert_eq!(started(&generation.plan()).attempt, 2);
}

#[test]
fn a_secret_that_changes_while_a_run_goes_on_is_tried_when_the_run_fails() {
    let mut case = Case::new();
    let run = case.run("j1", A, 1, -60, active());
    case.add(run).observed.secrets = ObservedSecrets::for_tests("s2");
    let plan = case.found(A).plan();
    assert!(matches!(plan.step, Step::Follow { .. }), "{:?}", plan.step);
    assert_eq!(plan.record.observed_secrets.as_deref(), Some("s2"));

    case.idl_repo.status = Some(plan.record);
    case.observed.check = None;
    case.observed.runs[0].state = failed(Reason::SecretInvalid, 0);
    let plan = case.plan();
    assert_eq!(
        (started(&plan).attempt, started(&plan).cause),
        (2, Cause::CircumstancesChanged)
    );
    case.idl_repo.status = Some(plan.record.clone());
    let second = case.run("j2", A, 2, -1, failed(Reason::SecretInvalid, 0));
    assert_eq!(case.add(second).plan().step, Step::Stalled);
}

#[test]
fn other_settings_of_the_operator_are_a_chance_for_what_failed_and_no_reason_for_anything_else() {
    let mut failed_run = Case::new();
    let run = failed_run.run("j1", A, 1, -60, failed(Reason::PluginNotFound, -50));
    failed_run.add(run);
    assert_eq!(failed_run.plan().step, Step::Stalled);
    failed_run.observed.settings_version = "o2".into();
    assert_eq!(started(&failed_run.plan()).attempt, 2);

    let mut failed_check = Case::new();
    failed_check.status().failed_checks = Some(1);
    failed_check.status().next_check_at = None;
    failed_check.status().observed_settings = Some("o1".into());
    assert!(!failed_check.check_is_due());
    failed_check.observed.settings_version = "o2".into();
    assert!(failed_check.check_is_due());

    let mut fine = Case::new();
    fine.delivered(A).observed.settings_version = "o2".into();
    assert!(!fine.check_is_due());
    assert_eq!(fine.plan().step, Step::Rest);
}
