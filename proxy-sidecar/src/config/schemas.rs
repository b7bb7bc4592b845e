//! The descriptor sets that transcoding routes go by, swapped under sessions that are open.

use super::ServeError;
use crate::transcode::Transcoder;
use heddle_dynamic_protobuf::{Schema, SchemaCell};
use heddle_route_config::protocol::RouteErrorKind;
use heddle_route_config::{Route, Transcoding};
use std::collections::{BTreeMap, BTreeSet};
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
    /// What sessions go by, for each pair of types that they turn: the newest schema that has both.
    cells: BTreeMap<Types, Arc<SchemaCell>>,
}

/// The full names of the types of client and backend.
type Types = (String, String);

fn types(transcoding: &Transcoding) -> Types {
    (
        transcoding.client_message.clone(),
        transcoding.backend_message.clone(),
    )
}

impl Schemas {
    /// Takes what is new in `sets`. Sessions go by it from now on, but for those whose types it lacks, such as those of a
    /// route whose types are renamed with it: they keep what they had.
    pub(super) fn update(&mut self, sets: &DescriptorSets, routes: &[Route]) {
        self.0.retain(|name, _| sets.contains_key(name));
        for (name, bytes) in sets {
            let known = self.0.entry(name.clone()).or_insert_with(|| Known::new(bytes));
            if known.bytes != *bytes {
                *known = Known {
                    cells: std::mem::take(&mut known.cells),
                    ..Known::new(bytes)
                };
            }
            let transcodings = routes.iter().filter_map(|route| route.transcoding.as_ref());
            known.settle(transcodings.filter(|transcoding| transcoding.idl_repo == *name));
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
        let cell = known.cells.get(&types(transcoding)).cloned();
        let cell = cell.unwrap_or_else(|| Arc::new(SchemaCell::new(newest.clone())));
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
            cells: BTreeMap::new(),
        }
    }

    /// Has every pair of types that is used go by the newest schema, if that has both.
    fn settle<'a>(&mut self, users: impl Iterator<Item = &'a Transcoding>) {
        let wanted: BTreeSet<Types> = users.map(types).collect();
        // Of types that no route names any more, sessions may still hold the cell.
        self.cells
            .retain(|types, cell| wanted.contains(types) || Arc::strong_count(cell) > 1);
        let Ok(newest) = &self.newest else { return };
        let has =
            |(client, backend): &Types| newest.message(client).is_some() && newest.message(backend).is_some();
        for (_, cell) in self.cells.iter().filter(|(types, _)| has(types)) {
            drop(cell.swap(newest.clone()));
        }
        for types in wanted.into_iter().filter(has) {
            self.cells
                .entry(types)
                .or_insert_with(|| Arc::new(SchemaCell::new(newest.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
