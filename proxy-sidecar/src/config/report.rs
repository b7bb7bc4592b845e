//! Says what became of routes, where that has changed.

use super::Applied;
use heddle_route_config::RouteId;
use std::collections::BTreeMap;

/// What was said last.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    /// What is wrong with routes.
    troubles: BTreeMap<RouteId, String>,
}

impl Reporter {
    /// Says which routes cannot be served, and which can be again, each once.
    pub(crate) fn report(&mut self, applied: &[Applied]) {
        let mut former = std::mem::take(&mut self.troubles);
        for Applied { id, error, .. } in applied {
            let Some(error) = error else { continue };
            let error = error.message.clone();
            if former.remove(id).as_ref() != Some(&error) {
                tracing::error!(route = %id, error, "failed to apply a route");
            }
            self.troubles.insert(id.clone(), error);
        }
        for id in former.into_keys() {
            tracing::info!(route = %id, "a route is no longer refused");
        }
    }
}
