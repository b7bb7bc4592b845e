//! The descriptor sets that transcoding routes go by, swapped under sessions that are open.

use super::ServeError;
use crate::transcode::Transcoder;
use heddle_dynamic_protobuf::{Schema, SchemaCell};
use heddle_route_config::protocol::RouteErrorKind;
use heddle_route_config::{Route, Transcoding};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Encoded `google.protobuf.FileDescriptorSet`s, by the name of the IdlRepo that published each.
pub(crate) type DescriptorSets = BTreeMap<String, Arc<[u8]>>;

/// The schemas of all IdlRepos that routes refer to.
#[derive(Debug, Default)]
pub(super) struct Schemas(BTreeMap<String, Known>);

#[derive(Debug)]
struct Known {
    /// What arrived last.
    bytes: Arc<[u8]>,
    /// What was made of it.
    newest: Result<Schema, ServeError>,
    /// What sessions go by: the newest one that has the types of every route.
    cell: Option<Arc<SchemaCell>>,
}

impl Schemas {
    /// Takes what is new in `sets`. Sessions go by it from now on, unless a route of `routes` would lose its types.
    pub(super) fn update(&mut self, sets: &DescriptorSets, routes: &[Route]) {
        self.0.retain(|name, _| sets.contains_key(name));
        for (name, bytes) in sets {
            let known = self.0.entry(name.clone()).or_insert_with(|| Known::new(bytes));
            if known.bytes != *bytes {
                *known = Known {
                    cell: known.cell.take(),
                    ..Known::new(bytes)
                };
            }
            known.settle(
                routes
                    .iter()
                    .filter_map(|route| route.transcoding.as_ref())
                    .filter(|t| t.idl_repo == *name),
            );
        }
    }

    /// What turns the messages of a route.
    pub(super) fn transcoder(&self, transcoding: &Transcoding) -> Result<Arc<Transcoder>, ServeError> {
        let repo = &transcoding.idl_repo;
        let known = self.0.get(repo).ok_or_else(|| ServeError {
            kind: RouteErrorKind::Descriptors,
            message: format!("there is no descriptor set of IdlRepo {repo}"),
        })?;
        let newest = known.newest.clone()?;
        let cell = known
            .cell
            .clone()
            .unwrap_or_else(|| Arc::new(SchemaCell::new(newest.clone())));
        let transcoder = Transcoder::new(transcoding.clone(), cell);
        let checked = transcoder.and_then(|transcoder| transcoder.check(&newest).map(|()| transcoder));
        checked.map(Arc::new).map_err(|missing| ServeError {
            kind: RouteErrorKind::MessageType,
            message: missing.to_string(),
        })
    }
}

impl Known {
    fn new(bytes: &Arc<[u8]>) -> Self {
        Self {
            bytes: Arc::clone(bytes),
            newest: Schema::from_descriptor_set(bytes).map_err(|errors| ServeError {
                kind: RouteErrorKind::Descriptors,
                message: format!("failed to use the descriptor set: {errors}"),
            }),
            cell: None,
        }
    }

    fn settle<'a>(&mut self, mut users: impl Iterator<Item = &'a Transcoding>) {
        let Ok(newest) = &self.newest else { return };
        let has_types = |transcoding: &Transcoding| {
            let names = [&transcoding.client_message, &transcoding.backend_message];
            names.iter().all(|name| newest.message(name).is_some())
        };
        if !users.all(has_types) {
            return;
        }
        match &self.cell {
            Some(cell) => drop(cell.swap(newest.clone())),
            None => self.cell = Some(Arc::new(SchemaCell::new(newest.clone()))),
        }
    }
}
