//! What is published, what is lost, and what is left over.

use super::*;
use heddle_crds::publication::slot_names;

impl Case {
    /// One that has delivered and published `A`.
    fn published() -> Self {
        let mut case = Self::new();
        case.delivered(A).found(A);
        assert_eq!(case.plan().step, Step::Rest);
        case
    }

    /// A run of `A` that delivered, and failed to publish for this reason.
    fn unpublished(&mut self, reason: Reason, chunks: u32) -> &mut Self {
        let mut run = self.run("j1", A, 1, -60, delivered(-1));
        if let RunState::Finished { ending, .. } = &mut run.state {
            ending.descriptor_chunks = Some(chunks);
            ending.error = Some(RunError {
                reason,
                message: "why".into(),
            });
        }
        self.observed.publication = ObservedPublication::default();
        self.add(run)
    }
}

#[test]
fn a_publication_that_is_gone_is_made_again_by_a_run() {
    let mut case = Case::published();
    case.observed.publication = ObservedPublication::default();
    assert_eq!(started(&case.plan()).cause, Cause::Unpublished);
    case.observed.publication = ObservedPublication::for_tests(B);
    assert_eq!(started(&case.plan()).cause, Cause::Unpublished);
    case.observed.publication = ObservedPublication::for_tests(A);
    case.observed.publication.missing = vec!["shop-descriptors-1".into()];
    let plan = case.plan();
    assert_eq!(started(&plan).cause, Cause::Unpublished);
    assert!(
        plan.publication_problem
            .unwrap()
            .message
            .contains("shop-descriptors-1")
    );
}

#[test]
fn who_deletes_it_again_and_again_does_not_make_a_run_each_time() {
    let mut case = Case::published();
    let run = case.run("j1", A, 3, -60, delivered(-1));
    case.add(run);
    case.observed.publication = ObservedPublication::default();
    let plan = case.plan();
    assert!(matches!(plan.step, Step::RetryAt(_)), "{:?}", plan.step);
}

#[test]
fn code_that_was_delivered_stays_so_when_its_publication_fails() {
    let mut case = Case::new();
    let plan = case.unpublished(Reason::PublicationFailed, 1).plan();
    assert_eq!(plan.record.generated_revision.as_deref(), Some(A));
    assert!(matches!(plan.step, Step::RetryAt(_)), "{:?}", plan.step);
}

#[test]
fn a_set_that_needs_more_config_maps_gets_them_at_once_and_only_once() {
    let mut case = Case::new();
    let plan = case.unpublished(Reason::PublicationUnprepared, 3).plan();
    assert_eq!(plan.record.descriptor_slots, Some(6));
    let run = started(&plan).clone();
    assert_eq!(run.descriptor_slots, 6);

    case.idl_repo.status = Some(plan.record);
    let mut second = case.run("j2", A, 2, -10, failed(Reason::PublicationUnprepared, -1));
    second.circumstances = run.circumstances;
    let plan = case.add(second).plan();
    assert!(matches!(plan.step, Step::RetryAt(_)), "{:?}", plan.step);
}

#[test]
fn chunks_that_nobody_needs_are_taken_away_when_the_index_no_longer_names_them() {
    let mut case = Case::published();
    let slots = slot_names("shop");
    case.observed
        .publication
        .config_maps
        .extend(slots[..4].iter().cloned());
    case.observed.publication.named = slots[..2].to_vec();
    assert_eq!(case.plan().leftovers.config_maps, slots[2..4]);
    case.status().descriptor_slots = Some(4);
    assert_eq!(case.plan().leftovers, Leftovers::default());
    case.status().descriptor_slots = None;
    let run = case.run("j1", B, 1, -1, active());
    assert_eq!(
        case.add(run).plan().leftovers,
        Leftovers::default(),
        "it may be filling them"
    );
}

#[test]
fn without_publication_everything_of_it_goes_and_nothing_is_missed() {
    let mut case = Case::published();
    case.idl_repo.spec.publish.enabled = false;
    let plan = case.plan();
    assert_eq!(plan.step, Step::Rest);
    assert_eq!(plan.leftovers.config_maps, ["shop-descriptors"]);
    assert!(plan.leftovers.rights);
    assert_eq!(plan.record.published, None);
    case.observed.publication = ObservedPublication::default();
    assert_eq!(case.plan().leftovers, Leftovers::default());
}
