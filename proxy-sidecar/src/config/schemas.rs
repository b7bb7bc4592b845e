//! The descriptor sets that transcoding routes go by.

use super::ServeError;
use heddle_dynamic_protobuf::Schema;
use heddle_route_config::protocol::RouteErrorKind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Encoded `google.protobuf.FileDescriptorSet`s, by their digests.
pub(crate) type DescriptorSets = BTreeMap<String, Arc<[u8]>>;

/// What was made of the sets, by their digests. Which route goes by which is decided route by route.
#[derive(Debug, Default)]
pub(super) struct Schemas(BTreeMap<String, Result<Schema, ServeError>>);

impl Schemas {
    /// Reads what is new in `sets`, and forgets what is not there any more.
    pub(super) fn update(&mut self, sets: &DescriptorSets) {
        self.0.retain(|digest, _| sets.contains_key(digest));
        for (digest, bytes) in sets {
            self.0.entry(digest.clone()).or_insert_with(|| read(bytes));
        }
    }

    /// The schema of a set that IdlRepo `repo` has published.
    pub(super) fn of(&self, digest: &str, repo: &str) -> Result<Schema, ServeError> {
        self.0.get(digest).cloned().unwrap_or_else(|| {
            Err(ServeError {
                kind: RouteErrorKind::Descriptors,
                message: format!("there is no descriptor set of IdlRepo {repo}"),
            })
        })
    }
}

fn read(bytes: &[u8]) -> Result<Schema, ServeError> {
    Schema::from_descriptor_set(bytes).map_err(|errors| ServeError {
        kind: RouteErrorKind::Descriptors,
        message: format!("failed to use the descriptor set: {errors}"),
    })
}
