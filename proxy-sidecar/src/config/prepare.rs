//! Makes a route ready to be served, without serving it yet.

use super::ports::Choice;
use super::{Candidate, Configurator, ServeError, WantedRoute};
use crate::backend::Backends;
use crate::live::{LiveRoute, LiveRoutes, LiveSchema};
use crate::session_rules;
use crate::transcode::Transcoder;
use heddle_dynamic_protobuf::{Schema, SchemaCell};
use heddle_route_config::Transcoding;
use heddle_route_config::protocol::RouteErrorKind;
use heddle_ws_session::SessionControl;
use std::sync::Arc;

/// A route that could be served.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) live: Arc<LiveRoute>,
    /// What sessions that are open go by from the moment that the route is served.
    newer: Option<Schema>,
}

impl Prepared {
    /// From now on it is served.
    pub(super) fn serve(self) -> Arc<LiveRoute> {
        if let (Some(newer), Some(schema)) = (self.newer, &self.live.schema) {
            schema.cell.swap(newer);
        }
        self.live
    }
}

/// What turns the messages of a route, with the schema for sessions that are open, if that is another one.
type PreparedTranscoder = (Arc<Transcoder>, LiveSchema, Option<Schema>);

impl Configurator {
    pub(super) fn choice(&self, route: WantedRoute, former: &LiveRoutes) -> Choice {
        let known = former.get(&route.wanted.route.id);
        let id = route.wanted.route.id.clone();
        let wanted = self.prepare(route.wanted, known);
        let kept = match (known, route.former) {
            (None, Some(kept)) => self.prepare(kept, None).ok().map(Prepared::serve),
            _ => None,
        };
        Choice::new(id, wanted, known.cloned(), kept)
    }

    fn prepare(&self, candidate: Candidate, known: Option<&Arc<LiveRoute>>) -> Result<Prepared, ServeError> {
        if let Some(known) = known.filter(|known| candidate.is(known)) {
            return Ok(Prepared {
                live: Arc::clone(known),
                newer: None,
            });
        }
        let Candidate { route, descriptors } = candidate;
        let transcoder = route
            .transcoding
            .as_ref()
            .map(|transcoding| self.transcoder(transcoding, descriptors, known));
        let (transcoder, schema, newer) = match transcoder.transpose()? {
            Some((transcoder, schema, newer)) => (Some(transcoder), Some(schema), newer),
            None => (None, None, None),
        };
        let backends = Backends::new(&route, known.map(|known| &known.backends), &self.secrets);
        let live = Arc::new(LiveRoute {
            rules: Arc::new(session_rules::of(&route)),
            backends: backends.map_err(|error| ServeError::secret(&error))?,
            transcoder,
            schema,
            sessions: self.shared.sessions_of(&route.id),
            control: known.map_or_else(SessionControl::new, |known| known.control.clone()),
            route: Arc::new(route),
        });
        Ok(Prepared { live, newer })
    }

    /// Sessions that are open go by newer sets as long as their route asks for the same types; after that, by the set that
    /// they have.
    fn transcoder(
        &self,
        transcoding: &Transcoding,
        descriptors: Option<String>,
        known: Option<&Arc<LiveRoute>>,
    ) -> Result<PreparedTranscoder, ServeError> {
        let digest = descriptors.unwrap_or_default();
        let schema = self.schemas.of(&digest, &transcoding.idl_repo)?;
        let known = known.and_then(|known| Some((known.route.transcoding.as_ref()?, known.schema.as_ref()?)));
        let shared = known.filter(|(known, _)| has_same_types(known, transcoding));
        let (cell, newer) = match shared {
            Some((_, shared)) if shared.digest == digest => (Arc::clone(&shared.cell), None),
            Some((_, shared)) => (Arc::clone(&shared.cell), Some(schema.clone())),
            None => (Arc::new(SchemaCell::new(schema.clone())), None),
        };
        let transcoder = Transcoder::new(transcoding.clone(), Arc::clone(&cell))
            .and_then(|transcoder| transcoder.check(&schema).map(|()| transcoder))
            .map_err(|missing| ServeError {
                kind: RouteErrorKind::MessageType,
                message: missing.to_string(),
            })?;
        Ok((Arc::new(transcoder), LiveSchema { digest, cell }, newer))
    }
}

fn has_same_types(one: &Transcoding, other: &Transcoding) -> bool {
    let types = |of: &Transcoding| {
        (
            of.idl_repo.clone(),
            of.client_message.clone(),
            of.backend_message.clone(),
        )
    };
    types(one) == types(other)
}
