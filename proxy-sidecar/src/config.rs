//! The one way that routes come into effect, wherever they come from.

pub(crate) mod files;
mod ports;
mod prepare;
mod report;
mod schemas;

use crate::live::{LiveRoute, LiveRoutes};
use crate::shared::Shared;
use crate::tls::{self, Secrets};
use crate::worker::Workers;
use heddle_route_config::protocol::RouteErrorKind;
use heddle_route_config::{Route, RouteId};
use heddle_telemetry::ErrorChain;
use ports::{Choice, Opening};
use schemas::Schemas;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use report::Reporter;
pub(crate) use schemas::DescriptorSets;

/// What sessions may take longer than they are told to.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// All that should be served.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteSet {
    pub(crate) routes: Vec<WantedRoute>,
    /// What the candidates go by.
    pub(crate) descriptors: DescriptorSets,
}

/// One route of a set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WantedRoute {
    pub(crate) wanted: Candidate,
    /// What a process before this one has served of it: where the wanted one cannot be served, and this process serves
    /// nothing of the route yet.
    pub(crate) former: Option<Candidate>,
}

/// A generation of a route, and the descriptor set that it goes by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) route: Route,
    /// The digest of the set, where the route transcodes.
    pub(crate) descriptors: Option<String>,
}

/// What became of one route of a set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Applied {
    pub(crate) id: RouteId,
    /// The generation that is served now, if any is.
    pub(crate) generation: Option<i64>,
    /// The digest of the descriptor set that it goes by, if it transcodes.
    pub(crate) descriptors: Option<String>,
    /// Why the generation and the descriptor set that were wanted are not.
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

/// Where ports are opened, and which are not to be had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening {
    /// Every address, if absent.
    pub(crate) address: Option<IpAddr>,
    /// The port of probes and metrics.
    pub(crate) admin_port: u16,
}

/// Brings sets of routes into effect, one after the other.
#[derive(Debug)]
pub(crate) struct Configurator {
    shared: Arc<Shared>,
    workers: Workers,
    listening: Listening,
    secrets: Secrets,
    schemas: Schemas,
    ports: BTreeSet<u16>,
    /// When the last session must have ended of those whose routes are gone.
    gone_until: Option<Instant>,
}

impl Configurator {
    pub(crate) fn new(shared: Arc<Shared>, workers: Workers, listening: Listening, secrets: Secrets) -> Self {
        Self {
            shared,
            workers,
            listening,
            secrets,
            schemas: Schemas::default(),
            ports: BTreeSet::new(),
            gone_until: None,
        }
    }

    /// Serves `set` from now on, and what it does not have no longer. Of a route that cannot be served as it is now, what
    /// was served before stays. Sessions go on by what they began with; those of routes that are gone are drained.
    ///
    /// A port changes its certificates with all of its routes or not at all: none is ever served behind those of another.
    pub(crate) async fn apply(&mut self, set: RouteSet) -> Vec<Applied> {
        let former = Arc::clone(&self.shared.routes());
        self.schemas.update(&set.descriptors);
        let mut choices: Vec<_> = set
            .routes
            .into_iter()
            .map(|route| self.choice(route, &former))
            .collect();
        let mut opening = Opening::new(
            self.listening,
            self.workers.count(),
            &self.secrets,
            &former,
            &self.ports,
        );
        ports::settle(&mut choices, |port, tls| opening.open(port, tls));
        let opened = opening.opened(&choices);
        let applied: Vec<_> = choices.iter().map(Choice::applied).collect();
        let live: Vec<_> = choices.into_iter().filter_map(Choice::serve).collect();
        self.swap(&former, LiveRoutes::new(live, opened.listeners)).await;
        // Not before there are routes: a request that comes too early would not find its own.
        for sockets in opened.sockets {
            self.workers.listen(sockets).await;
        }
        self.shared
            .metrics
            .applied(applied.iter().all(|route| route.error.is_none()));
        applied
    }

    async fn swap(&mut self, former: &LiveRoutes, routes: LiveRoutes) {
        let used: BTreeSet<u16> = routes.iter().map(|live| live.route.port).collect();
        for gone in former.iter().filter(|live| routes.get(&live.route.id).is_none()) {
            gone.control.drain(gone.route.timeouts.drain);
            let until = Instant::now() + drain_limit(gone);
            self.gone_until = self.gone_until.max(Some(until));
        }
        self.shared.swap(routes);
        for port in self.ports.difference(&used) {
            self.workers.close(*port).await;
        }
        self.ports = used;
    }

    /// What all threads share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Looks at the files of Secrets again.
    pub(crate) fn refresh_secrets(&self) {
        tls::refresh(&self.shared.routes());
    }

    /// Ends everything in order: no new connections, every session with 1001 within its route's window. Whether all have
    /// ended in time.
    pub(crate) async fn drain(self) -> bool {
        let routes = Arc::clone(&self.shared.routes());
        self.shared.draining.cancel();
        let gone = self
            .gone_until
            .map(|until| until.saturating_duration_since(Instant::now()));
        let mut limit = gone.unwrap_or_default().max(DRAIN_MARGIN);
        for live in routes.iter() {
            live.control.drain(live.route.timeouts.drain);
            limit = limit.max(drain_limit(live));
        }
        self.workers.finish(limit).await
    }
}

/// How long the sessions of a route may take to end, from the moment that they are told to.
fn drain_limit(live: &LiveRoute) -> Duration {
    let timeouts = &live.route.timeouts;
    // Both sides may take their time to answer, and to close.
    timeouts.drain + timeouts.close * 2 + DRAIN_MARGIN
}

impl Candidate {
    /// The same, served already.
    fn is(&self, live: &LiveRoute) -> bool {
        *live.route == self.route && live.descriptors() == self.descriptors.as_deref()
    }
}

impl ServeError {
    fn secret(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            kind: RouteErrorKind::Secret,
            message: ErrorChain(error).to_string(),
        }
    }

    fn other(message: String) -> Self {
        Self {
            kind: RouteErrorKind::Other,
            message,
        }
    }
}
