//! The backends of a route: which one is next, and how each does.

mod health;
mod resolve;

use crate::metrics::BackendMetrics;
use health::Health;
use heddle_route_config::{Backend, Route};
use rand::Rng as _;
use resolve::Addresses;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use resolve::ResolveError;

/// One place that sessions go to, and what is known about it.
#[derive(Debug)]
pub(crate) struct LiveBackend {
    pub(crate) config: Backend,
    pub(crate) metrics: BackendMetrics,
    pub(crate) addresses: Addresses,
    health: Health,
}

/// The backends of a route, in its order.
#[derive(Debug)]
pub(crate) struct Backends(Vec<Arc<LiveBackend>>);

impl Backends {
    /// The backends of `route`. What is known about those that `former` has is kept.
    pub(crate) fn new(route: &Route, former: Option<&Self>) -> Self {
        let keep = |config: &Backend| {
            let known = former?.0.iter().find(|known| known.config == *config)?;
            Some(Arc::clone(known))
        };
        let live = route
            .backends
            .iter()
            .map(|config| keep(config).unwrap_or_else(|| Arc::new(LiveBackend::new(config.clone()))));
        Self(live.collect())
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
    fn new(config: Backend) -> Self {
        Self {
            addresses: Addresses::new(config.host(), config.port),
            config,
            metrics: BackendMetrics::default(),
            health: Health::default(),
        }
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
