//! What all threads share.

use crate::live::{LiveRoutes, RouteSessions};
use crate::metrics::ProxyMetrics;
use arc_swap::ArcSwap;
use heddle_route_config::RouteId;
use heddle_telemetry::settings::TraceSampler;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio_util::sync::CancellationToken;

/// What all threads share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    routes: ArcSwap<LiveRoutes>,
    /// Those of routes that are gone too, as long as they have sessions.
    sessions: Mutex<BTreeMap<RouteId, Weak<RouteSessions>>>,
    pub(crate) metrics: ProxyMetrics,
    /// Whether somebody gets the spans.
    pub(crate) exports_spans: bool,
    /// Which traces others are told to record.
    pub(crate) sampler: TraceSampler,
    /// Cancelled when the process is about to end: connections that carry several sessions take no more.
    pub(crate) draining: CancellationToken,
}

impl Shared {
    pub(crate) fn new(exports_spans: bool, sampler: TraceSampler) -> Self {
        Self {
            exports_spans,
            sampler,
            ..Self::default()
        }
    }

    /// The routes of this moment.
    pub(crate) fn routes(&self) -> arc_swap::Guard<Arc<LiveRoutes>> {
        self.routes.load()
    }

    /// Requests from now on go by `routes`.
    pub(crate) fn swap(&self, routes: LiveRoutes) {
        self.routes.store(Arc::new(routes));
    }

    /// What sessions of a route share: the same as long as there is the route, or a session of it.
    pub(crate) fn sessions_of(&self, id: &RouteId) -> Arc<RouteSessions> {
        let mut all = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, sessions| sessions.strong_count() > 0);
        if let Some(sessions) = all.get(id).and_then(Weak::upgrade) {
            return sessions;
        }
        let sessions = Arc::new(RouteSessions::new(id.clone()));
        all.insert(id.clone(), Arc::downgrade(&sessions));
        sessions
    }

    /// What sessions share of every route that is there or has sessions, by name.
    pub(crate) fn all_sessions(&self) -> Vec<Arc<RouteSessions>> {
        let all = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(Weak::upgrade).collect()
    }
}
