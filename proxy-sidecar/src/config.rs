//! The one way that routes come into effect, wherever they come from.

pub(crate) mod files;

use crate::backend::Backends;
use crate::live::{LiveRoute, LiveRoutes};
use crate::session::{SessionControl, SessionRules};
use crate::shared::Shared;
use crate::worker::{Socket, Workers};
use heddle_route_config::protocol::RouteErrorKind;
use heddle_route_config::{Route, RouteId, RouteTable};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// All that should be served.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteSet {
    pub(crate) routes: Vec<Route>,
}

/// What became of one route of a set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Applied {
    pub(crate) id: RouteId,
    /// The generation that is served now, if any is.
    pub(crate) generation: Option<i64>,
    /// Why the generation of the set is not.
    pub(crate) error: Option<ServeError>,
}

/// Why a route cannot be served as it is now.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ServeError {
    /// For programs.
    pub(crate) kind: RouteErrorKind,
    /// For people; without secrets.
    pub(crate) message: String,
}

/// Brings sets of routes into effect, one after the other.
#[derive(Debug)]
pub(crate) struct Configurator {
    shared: Arc<Shared>,
    workers: Workers,
    /// Every address, if absent.
    address: Option<IpAddr>,
    ports: BTreeSet<u16>,
}

impl Configurator {
    pub(crate) fn new(shared: Arc<Shared>, workers: Workers, address: Option<IpAddr>) -> Self {
        Self {
            shared,
            workers,
            address,
            ports: BTreeSet::new(),
        }
    }

    /// Serves `set` from now on, and what it does not have no longer. Of a route that cannot be served as it is now, what
    /// was served before stays. Sessions go on by what they began with; those of routes that are gone are drained.
    pub(crate) async fn apply(&mut self, set: RouteSet) -> Vec<Applied> {
        let former = Arc::clone(&self.shared.routes());
        let mut live = Vec::new();
        let mut applied = Vec::new();
        let (sockets, ports) = self.bind(&set);
        for route in set.routes {
            let known = former.get(&route.id);
            let id = route.id.clone();
            let prepared = match ports.get(&route.port) {
                Some(error) => Err(error.clone()),
                None => Ok(self.prepare(route, known)),
            };
            let (route, error) = match prepared {
                Ok(route) => (Some(route), None),
                Err(error) => (known.cloned(), Some(error)),
            };
            applied.push(Applied {
                id,
                generation: route.as_ref().map(|live| live.route.generation),
                error,
            });
            live.extend(route);
        }
        self.swap(&former, live).await;
        // Not before there are routes: a request that comes too early would not find its own.
        for sockets in sockets {
            self.workers.listen(sockets).await;
        }
        self.shared
            .metrics
            .applied(applied.iter().all(|route| route.error.is_none()));
        applied
    }

    fn prepare(&self, route: Route, known: Option<&Arc<LiveRoute>>) -> Arc<LiveRoute> {
        if let Some(known) = known.filter(|known| *known.route == route) {
            return Arc::clone(known);
        }
        Arc::new(LiveRoute {
            rules: Arc::new(SessionRules::new(&route)),
            backends: Backends::new(&route, known.map(|known| &known.backends)),
            sessions: self.shared.sessions_of(&route.id),
            control: known.map_or_else(SessionControl::new, |known| known.control.clone()),
            route: Arc::new(route),
        })
    }

    /// Sockets for each port of `set` that none are open for yet, and why there are none.
    fn bind(&mut self, set: &RouteSet) -> (Vec<Vec<Socket>>, BTreeMap<u16, ServeError>) {
        let wanted: BTreeSet<u16> = set.routes.iter().map(|route| route.port).collect();
        let mut opened = Vec::new();
        let mut errors = BTreeMap::new();
        for port in wanted.difference(&self.ports) {
            match Socket::bind(self.address, *port, self.workers.count()) {
                Ok(sockets) => opened.push(sockets),
                Err(error) => {
                    let error = ServeError {
                        kind: RouteErrorKind::Other,
                        message: format!("failed to listen on port {port}: {error}"),
                    };
                    errors.insert(*port, error);
                }
            }
        }
        (opened, errors)
    }

    async fn swap(&mut self, former: &LiveRoutes, live: Vec<Arc<LiveRoute>>) {
        let table = RouteTable::new(live.iter().map(|live| Arc::clone(&live.route)));
        let routes = LiveRoutes::new(table, live);
        let used: BTreeSet<u16> = routes.iter().map(|live| live.route.port).collect();
        for gone in former.iter().filter(|live| routes.get(&live.route.id).is_none()) {
            gone.control.drain(gone.route.timeouts.drain);
        }
        self.shared.swap(routes);
        for port in self.ports.difference(&used) {
            self.workers.close(*port).await;
        }
        self.ports = used;
    }

    /// Ends everything in order: no new connections, every session with 1001 within its route's window. Whether all have
    /// ended in time.
    pub(crate) async fn drain(self) -> bool {
        /// What sessions may take longer than they are told to.
        const MARGIN: std::time::Duration = std::time::Duration::from_secs(5);
        let routes = Arc::clone(&self.shared.routes());
        let mut limit = MARGIN;
        for live in routes.iter() {
            let timeouts = &live.route.timeouts;
            live.control.drain(timeouts.drain);
            // Both sides may take their time to answer, and to close.
            limit = limit.max(timeouts.drain + timeouts.close * 2 + MARGIN);
        }
        self.workers.finish(limit).await
    }
}
