//! Whether what is delivered is published too, and what of a publication is left over.

use super::ValidatedSpec;
use crate::idl_repo::observe::{Observed, Problem};
use heddle_crds::idl_repo::{IdlRepoStatus, Reason};

/// What is left of publications that nobody needs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Leftovers {
    /// ConfigMaps.
    pub(crate) config_maps: Vec<String>,
    /// The Job's rights to them.
    pub(crate) rights: bool,
}

/// How many ConfigMaps there are to be for chunks.
pub(super) fn slots(record: &IdlRepoStatus) -> usize {
    usize::try_from(record.descriptor_slots.unwrap_or(0)).unwrap_or(0)
}

/// What is wrong with the publication of the commit that is on record as delivered, by what is in the cluster.
pub(super) fn problem(spec: &ValidatedSpec, observed: &Observed, record: &IdlRepoStatus) -> Option<Problem> {
    let delivered = record.generated_revision.as_ref().filter(|_| spec.publish)?;
    let lost = |message: String| {
        Some(Problem {
            reason: Reason::PublicationLost,
            message,
        })
    };
    let Some(published) = &record.published else {
        return lost("There is no published descriptor set. A run makes it again.".into());
    };
    if published.source_commit != *delivered {
        let text = format!(
            "The published descriptor set is the one of {}.",
            published.source_commit
        );
        return lost(text);
    }
    let missing = observed.publication.missing.first()?;
    lost(format!(
        "ConfigMap {missing} with a part of the descriptor set is gone or empty. A run makes it again."
    ))
}

/// Everything where nothing is published any more; otherwise chunks that there is no more use for and that nobody reads.
pub(super) fn leftovers(spec: &ValidatedSpec, observed: &Observed, record: &IdlRepoStatus) -> Leftovers {
    let publication = &observed.publication;
    if !spec.publish {
        return Leftovers {
            config_maps: publication.config_maps.iter().cloned().collect(),
            rights: !publication.config_maps.is_empty(),
        };
    }
    // A run in progress may be about to fill them.
    if observed.runs.iter().any(|run| run.is_active()) {
        return Leftovers::default();
    }
    let wanted = &publication.slot_names[..slots(record).min(publication.slot_names.len())];
    let is_unused = |name: &&String| {
        publication.slot_names.contains(name) && !wanted.contains(name) && !publication.named.contains(*name)
    };
    Leftovers {
        config_maps: publication
            .config_maps
            .iter()
            .filter(is_unused)
            .cloned()
            .collect(),
        rights: false,
    }
}
