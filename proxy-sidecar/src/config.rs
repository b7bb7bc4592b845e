//! The one way that routes come into effect, wherever they come from.

pub(crate) mod files;
mod schemas;

use crate::backend::Backends;
use crate::live::{LiveRoute, LiveRoutes};
use crate::session_rules;
use crate::shared::Shared;
use crate::tls::{self, ListenerTls, Secrets};
use crate::worker::{Socket, Workers};
use heddle_route_config::protocol::RouteErrorKind;
use heddle_route_config::{Route, RouteId, RouteTable};
use heddle_telemetry::ErrorChain;
use heddle_ws_session::SessionControl;
use schemas::Schemas;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use schemas::DescriptorSets;

/// The certificates of ports, or why there are none.
type Listeners = BTreeMap<u16, Result<Option<Arc<ListenerTls>>, ServeError>>;

/// All that should be served.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteSet {
    pub(crate) routes: Vec<Route>,
    pub(crate) descriptors: DescriptorSets,
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
    secrets: Secrets,
    schemas: Schemas,
    ports: BTreeSet<u16>,
}

impl Configurator {
    pub(crate) fn new(
        shared: Arc<Shared>,
        workers: Workers,
        address: Option<IpAddr>,
        secrets: Secrets,
    ) -> Self {
        Self {
            shared,
            workers,
            address,
            secrets,
            schemas: Schemas::default(),
            ports: BTreeSet::new(),
        }
    }

    /// Serves `set` from now on, and what it does not have no longer. Of a route that cannot be served as it is now, what
    /// was served before stays. Sessions go on by what they began with; those of routes that are gone are drained.
    pub(crate) async fn apply(&mut self, set: RouteSet) -> Vec<Applied> {
        let former = Arc::clone(&self.shared.routes());
        let (sockets, unbound) = self.bind(&set);
        let mut listeners = self.listeners(&set, &former);
        self.schemas.update(&set.descriptors, &set.routes);
        let mut live = Vec::new();
        let mut applied = Vec::new();
        for route in set.routes {
            let known = former.get(&route.id);
            let id = route.id.clone();
            let port = match (unbound.get(&route.port), listeners.get(&route.port)) {
                (Some(error), _) | (None, Some(Err(error))) => Err(error.clone()),
                (None, Some(Ok(listener)))
                    if listener.as_ref().map(|tls| tls.key()) != route.tls.as_ref() =>
                {
                    Err(other_certificates(route.port))
                }
                _ => Ok(()),
            };
            let (route, error) = match port.and_then(|()| self.prepare(route, known)) {
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
        keep_former(&live, &former, &mut listeners);
        let listeners = listeners
            .into_iter()
            .filter_map(|(port, tls)| Some((port, tls.ok()??)));
        self.swap(&former, LiveRoutes::new(live, listeners.collect()))
            .await;
        // Not before there are routes: a request that comes too early would not find its own.
        for sockets in sockets {
            self.workers.listen(sockets).await;
        }
        self.shared
            .metrics
            .applied(applied.iter().all(|route| route.error.is_none()));
        applied
    }

    fn prepare(&self, route: Route, known: Option<&Arc<LiveRoute>>) -> Result<Arc<LiveRoute>, ServeError> {
        let transcoder = route
            .transcoding
            .as_ref()
            .map(|transcoding| self.schemas.transcoder(transcoding))
            .transpose()?;
        if let Some(known) = known.filter(|known| *known.route == route) {
            return Ok(Arc::clone(known));
        }
        let backends = Backends::new(&route, known.map(|known| &known.backends), &self.secrets);
        Ok(Arc::new(LiveRoute {
            rules: Arc::new(session_rules::of(&route)),
            backends: backends.map_err(|error| ServeError::secret(&error))?,
            transcoder,
            sessions: self.shared.sessions_of(&route.id),
            control: known.map_or_else(SessionControl::new, |known| known.control.clone()),
            route: Arc::new(route),
        }))
    }

    /// The certificates of each port of `set`: none where it takes plain connections. The oldest route of a port counts.
    fn listeners(&self, set: &RouteSet, former: &LiveRoutes) -> Listeners {
        let table = RouteTable::new(set.routes.iter().cloned());
        let mut listeners = Listeners::new();
        for route in table.routes() {
            listeners.entry(route.port).or_insert_with(|| {
                let Some(tls) = &route.tls else { return Ok(None) };
                let listener = self.secrets.listener(tls, former.listener(route.port));
                listener.map(Some).map_err(|error| ServeError::secret(&error))
            });
        }
        listeners
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

    async fn swap(&mut self, former: &LiveRoutes, routes: LiveRoutes) {
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

    /// Looks at the files of Secrets again.
    pub(crate) fn refresh_secrets(&self) {
        tls::refresh(&self.shared.routes());
    }

    /// Ends everything in order: no new connections, every session with 1001 within its route's window. Whether all have
    /// ended in time.
    pub(crate) async fn drain(self) -> bool {
        /// What sessions may take longer than they are told to.
        const MARGIN: std::time::Duration = std::time::Duration::from_secs(5);
        let routes = Arc::clone(&self.shared.routes());
        self.shared.draining.cancel();
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

impl ServeError {
    fn secret(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            kind: RouteErrorKind::Secret,
            message: ErrorChain(error).to_string(),
        }
    }
}

fn other_certificates(port: u16) -> ServeError {
    ServeError {
        kind: RouteErrorKind::Other,
        message: format!("an older route has port {port} with other certificates"),
    }
}

/// Routes that are served on as they were need the certificates that their port had.
fn keep_former(live: &[Arc<LiveRoute>], former: &LiveRoutes, listeners: &mut Listeners) {
    for port in live.iter().map(|live| live.route.port).collect::<BTreeSet<_>>() {
        let is_known = matches!(listeners.get(&port), Some(Ok(_)));
        if let (false, Some(tls)) = (is_known, former.listener(port)) {
            listeners.insert(port, Ok(Some(Arc::clone(tls))));
        }
    }
}
