//! What a run is compared with, and what somebody lets through.

use super::*;
use heddle_crds::idl_repo::{Comparison, Level};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

impl Case {
    /// One with a gate, that has delivered `A`, and whose newest commit is `B`.
    fn gated() -> Self {
        let mut case = Self::new();
        case.idl_repo.spec.compatibility = Some(Default::default());
        case.delivered(A).found(B);
        case
    }

    fn accept(&mut self, value: &str) -> &mut Self {
        self.idl_repo
            .annotations_mut()
            .insert(metadata::ACCEPT_BREAKING.into(), value.into());
        self
    }

    /// The same after the run of `B` was refused.
    fn refused() -> Self {
        let mut case = Self::gated();
        let run = case.run("j1", B, 1, -60, failed(Reason::BreakingChanges, -50));
        case.add(run);
        assert_eq!(case.plan().step, Step::Stalled);
        case
    }
}

fn delivered_with_findings(ended: i64) -> RunState {
    let mut state = delivered(ended);
    if let RunState::Finished { ending, .. } = &mut state {
        ending.comparison = Some(Comparison {
            against: A.into(),
            level: Level::File,
            breaking_changes: 2,
            problem: None,
            accepted: true,
            findings: Vec::new(),
        });
    }
    state
}

#[test]
fn a_commit_is_compared_with_the_one_delivered_before_and_the_first_with_none() {
    assert_eq!(started(&Case::gated().plan()).baseline.as_deref(), Some(A));
    let mut ungated = Case::gated();
    ungated.idl_repo.spec.compatibility = None;
    assert_eq!(started(&ungated.plan()).baseline, None);
    let mut first = Case::gated();
    first.status().generated_revision = None;
    assert_eq!(started(&first.plan()).baseline, None);
}

#[test]
fn what_is_delivered_once_more_is_not_compared_with_itself() {
    let mut case = Case::gated();
    case.found(A).request("again");
    assert_eq!(started(&case.plan()).baseline, None);
}

#[test]
fn only_the_full_id_of_the_refused_commit_lets_it_through() {
    for value in [A, &B[..12], "yes", ""] {
        assert_eq!(
            Case::refused().accept(value).plan().step,
            Step::Stalled,
            "{value}"
        );
    }
    let plan = Case::refused().accept(B).plan();
    let run = started(&plan);
    assert_eq!((run.cause, run.accepts_breaking), (Cause::Accepted, true));
    assert_eq!(run.baseline.as_deref(), Some(A));
}

#[test]
fn an_acceptance_outlasts_failures_of_another_kind() {
    let mut case = Case::refused();
    case.accept(B);
    let mut run = case.run("j2", B, 2, -40, failed(Reason::OutputMoved, -30));
    run.accepts_breaking = true;
    let plan = case.add(run).plan();
    assert!(matches!(plan.step, Step::RetryAt(_)), "{:?}", plan.step);
    assert_eq!(plan.record.last_handled_accept_breaking, None);
}

#[test]
fn a_commit_is_let_through_once_and_again_when_the_annotation_is_set_anew() {
    let mut case = Case::refused();
    case.accept(B);
    let mut run = case.run("j2", B, 2, -40, delivered_with_findings(-30));
    run.accepts_breaking = true;
    case.observed.publication = ObservedPublication::for_tests(B);
    let plan = case.add(run).plan();
    assert_eq!(plan.step, Step::Rest);
    let accepted = plan.record.accepted_breaking.clone().unwrap();
    assert_eq!((&*accepted.commit, accepted.breaking_changes), (B, 2));

    // The branch goes back and forth: what was let through before is not let through again by itself.
    case.idl_repo.status = Some(plan.record);
    case.delivered(A);
    case.observed.runs.clear();
    case.status().last_run = None;
    assert!(!started(&case.found(B).plan()).accepts_breaking);
    case.idl_repo.annotations_mut().remove(metadata::ACCEPT_BREAKING);
    case.idl_repo.status = Some(case.plan().record);
    assert!(started(&case.accept(B).plan()).accepts_breaking);
}

#[test]
fn who_let_a_commit_through_is_who_owns_the_annotation() {
    let mut case = Case::refused();
    case.accept(B);
    let fields = json!({ "f:metadata": { "f:annotations": { "f:heddle.dev/accept-breaking": {} } } });
    let manager = |name: &str, fields: serde_json::Value| ManagedFieldsEntry {
        manager: Some(name.into()),
        fields_v1: serde_json::from_value(fields).ok(),
        ..ManagedFieldsEntry::default()
    };
    case.idl_repo.metadata.managed_fields = Some(vec![
        manager("kubectl", json!({ "f:spec": {} })),
        manager("kubectl-annotate", fields),
    ]);
    let mut run = case.run("j2", B, 2, -40, delivered_with_findings(-30));
    run.accepts_breaking = true;
    let accepted = case.add(run).plan().record.accepted_breaking.unwrap();
    assert_eq!(accepted.accepted_by.as_deref(), Some("kubectl-annotate"));
}
