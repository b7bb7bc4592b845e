//! The condition `Published`: whether programs in the cluster find the descriptor set of what is delivered.

use super::{State, short};
use crate::idl_repo::plan::{Plan, Step};
use crate::idl_repo::validate::ValidatedSpec;
use heddle_crds::idl_repo::{IdlRepoStatus, Reason};

/// The condition, or none where nothing is published.
pub(super) fn published(spec: &ValidatedSpec, plan: &Plan, status: &IdlRepoStatus) -> Option<State> {
    if !spec.publish {
        return None;
    }
    if status.generated_revision.is_none() {
        return Some(State::unknown(Reason::Pending, "Nothing is delivered yet."));
    }
    let Some(problem) = &plan.publication_problem else {
        return Some(done(status));
    };
    // Why the newest run could not publish says more than that nothing is published.
    let run = status.last_run.as_ref();
    let failed = run.and_then(|run| run.error.as_ref().filter(|_| run.files.is_some()));
    Some(match (&plan.step, failed) {
        (_, Some(error)) => State::is_false(error.reason, &*error.message),
        (Step::Start(_) | Step::Follow { .. }, None) => State::unknown(
            Reason::Running,
            "The run in progress publishes the descriptor set.",
        ),
        (_, None) => State::is_false(problem.reason, &*problem.message),
    })
}

fn done(status: &IdlRepoStatus) -> State {
    let text = status.published.as_ref().map(|published| {
        let digest = published
            .digest
            .strip_prefix("sha256:")
            .unwrap_or(&published.digest);
        format!(
            "The descriptor set of {} is in ConfigMap {}, {} bytes, digest {}.",
            short(&published.source_commit),
            published.config_map,
            published.bytes,
            digest.get(..12).unwrap_or(digest)
        )
    });
    State::is_true(Reason::DescriptorsPublished, text.unwrap_or_default())
}
