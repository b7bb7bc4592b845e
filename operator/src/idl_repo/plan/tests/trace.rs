//! Which trace a run goes on with.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn set_by(manager: &str, annotations: &[&str]) -> ManagedFieldsEntry {
    let fields: serde_json::Map<_, _> = annotations
        .iter()
        .map(|annotation| (format!("f:{annotation}"), json!({})))
        .collect();
    ManagedFieldsEntry {
        manager: Some(manager.into()),
        fields_v1: Some(FieldsV1(json!({ "f:metadata": { "f:annotations": fields } }))),
        ..ManagedFieldsEntry::default()
    }
}

/// Somebody asks for it to be looked at, as part of a trace.
fn request(case: &mut Case) {
    case.request("pushes/7").found(A);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    case.idl_repo
        .annotations_mut()
        .insert(metadata::TRACEPARENT.into(), parent);
    let both = set_by("heddle", &[metadata::REQUESTED_AT, metadata::TRACEPARENT]);
    case.idl_repo.metadata.managed_fields = Some(vec![both]);
}

fn requested() -> Case {
    let mut case = Case::new();
    request(&mut case);
    case
}

fn trace_of(plan: &Plan) -> Option<String> {
    let parent = started(plan).trace_parent.as_ref();
    parent.map(TraceParent::trace_id_hex)
}

#[test]
fn a_run_goes_on_with_the_trace_of_the_request_that_it_answers() {
    assert_eq!(trace_of(&requested().plan()).as_deref(), Some(TRACE));
}

#[test]
fn a_request_in_mid_run_has_its_trace_in_the_run_after_it() {
    let mut case = Case::new();
    let run = case.run("j1", A, 1, -60, active());
    case.add(run);
    request(&mut case);
    case.idl_repo.status = Some(case.plan().record);
    case.observed.check = None;
    case.observed.runs[0].state = delivered(0);
    assert_eq!(trace_of(&case.plan()).as_deref(), Some(TRACE));
}

#[test]
fn a_trace_that_somebody_else_has_left_behind_is_not_that_of_the_request() {
    let mut case = requested();
    case.idl_repo.metadata.managed_fields = Some(vec![
        set_by("kubectl-annotate", &[metadata::REQUESTED_AT]),
        set_by("heddle", &[metadata::TRACEPARENT]),
    ]);
    assert_eq!(trace_of(&case.plan()), None);
}

#[test]
fn a_run_that_answers_no_request_begins_a_trace() {
    let mut case = requested();
    let run = case.run("j1", A, 1, -60, delivered(-50));
    case.add(run);
    case.idl_repo.status = Some(case.plan().record);
    case.found(B);
    assert_eq!(trace_of(&case.plan()), None);
}

#[test]
fn a_trace_that_a_run_was_part_of_is_not_begun_again_by_asking_again() {
    let mut case = requested();
    let mut run = case.run("j1", A, 1, -60, delivered(-50));
    run.trace_parent = TraceParent::from_annotations(case.idl_repo.annotations());
    case.add(run);
    case.idl_repo.status = Some(case.plan().record);
    case.request("again").found(A);
    assert_eq!(trace_of(&case.plan()), None);
}
