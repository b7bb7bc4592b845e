//! The backends of a route: which one is next, and how each does.

mod health;
mod resolve;

use crate::http2::Pool;
use crate::metrics::BackendMetrics;
use crate::tls::{DialTls, Secrets, TlsError};
use health::Health;
use heddle_route_config::{Backend, Route};
use rand::Rng as _;
use resolve::Addresses;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use resolve::ResolveError;

/// One place that sessions go to, and what is known about it.
#[derive(Debug)]
pub(crate) struct LiveBackend {
    pub(crate) config: Backend,
    pub(crate) metrics: BackendMetrics,
    pub(crate) addresses: Addresses,
    /// Plain connections, if absent.
    pub(crate) tls: Option<Arc<DialTls>>,
    /// The name that its certificate must be for.
    pub(crate) server_name: ServerName<'static>,
    /// Its HTTP/2 connections.
    pub(crate) pool: Pool,
    health: Health,
}

/// Why a backend cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    #[error("failed to use backend {backend}")]
    Tls {
        backend: String,
        #[source]
        source: TlsError,
    },
    #[error("failed to use backend {backend}: {name:?} is no name that a certificate can be for")]
    ServerName { backend: String, name: String },
}

/// The backends of a route, in its order.
#[derive(Debug)]
pub(crate) struct Backends(Vec<Arc<LiveBackend>>);

impl Backends {
    /// The backends of `route`. What is known about those that `former` has is kept.
    pub(crate) fn new(route: &Route, former: Option<&Self>, secrets: &Secrets) -> Result<Self, BackendError> {
        let keep = |config: &Backend| {
            let known = former?.0.iter().find(|known| known.config == *config)?;
            Some(Arc::clone(known))
        };
        let live = route.backends.iter().map(|config| match keep(config) {
            Some(known) => Ok(known),
            None => LiveBackend::new(config.clone(), secrets).map(Arc::new),
        });
        live.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LiveBackend>> {
        self.0.iter()
    }

    /// One that has not been tried, at random by weight; among those that are well, if any is.
    pub(crate) fn pick(&self, tried: &[Arc<LiveBackend>]) -> Option<&Arc<LiveBackend>> {
        let now = Instant::now();
        let is_new = |backend: &&Arc<LiveBackend>| {
            backend.config.weight > 0 && !tried.iter().any(|other| Arc::ptr_eq(other, backend))
        };
        let candidates = || self.0.iter().filter(is_new);
        by_weight(candidates().filter(|backend| !backend.health.is_ejected(now)))
            .or_else(|| by_weight(candidates()))
    }
}

fn by_weight<'a>(
    candidates: impl Iterator<Item = &'a Arc<LiveBackend>> + Clone,
) -> Option<&'a Arc<LiveBackend>> {
    let mut candidates = candidates;
    let sum: u64 = candidates
        .clone()
        .map(|backend| u64::from(backend.config.weight))
        .sum();
    if sum == 0 {
        return None;
    }
    let mut at = rand::rng().random_range(0..sum);
    candidates.find(|backend| {
        let weight = u64::from(backend.config.weight);
        match at < weight {
            true => true,
            false => {
                at -= weight;
                false
            }
        }
    })
}

impl LiveBackend {
    fn new(config: Backend, secrets: &Secrets) -> Result<Self, BackendError> {
        let tls = secrets.dial(&config).map_err(|source| BackendError::Tls {
            backend: config.name.clone(),
            source,
        })?;
        let name = config.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        let name = name.unwrap_or(config.host()).to_owned();
        let server_name = ServerName::try_from(name.clone()).map_err(|_| BackendError::ServerName {
            backend: config.name.clone(),
            name,
        });
        Ok(Self {
            addresses: Addresses::new(config.host(), config.port),
            server_name: match &tls {
                Some(_) => server_name?,
                // Nobody asks for it; names that no certificate can be for may still be connected to.
                None => ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
            },
            tls,
            config,
            metrics: BackendMetrics::default(),
            pool: Pool::default(),
            health: Health::default(),
        })
    }

    /// A handshake was answered, by whatever is no failure.
    pub(crate) fn succeeded(&self) {
        self.health.succeeded();
    }

    /// A handshake could not be made, or was answered with 502, 503 or 504.
    pub(crate) fn failed(&self, route: &Route) {
        self.metrics.failures.inc();
        let Some((limit, time)) = route.passive_health else {
            return;
        };
        if self.health.failed(limit, time, Instant::now()) {
            tracing::warn!(
                route = %route.id,
                backend = self.config.name,
                seconds = time.as_secs_f64(),
                "backend failed too often and is passed over"
            );
        }
    }
}

#[cfg(test)]
mod tests;
