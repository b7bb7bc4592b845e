//! From an object to a route and a selector that cannot be wrong.

use heddle_crds::WsRoute;
use heddle_route_config::{InvalidRoute, Route};
use kube::core::{ParseExpressionError, Selector, SelectorExt};
use std::collections::{BTreeMap, BTreeSet};

/// Why a specification cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidSpec {
    #[error(transparent)]
    Route(#[from] InvalidRoute),
    #[error("failed to read spec.selector")]
    Selector(#[source] ParseExpressionError),
}

/// What a WsRoute says.
#[derive(Clone, Debug)]
pub(crate) struct ValidatedRoute {
    pub(crate) route: Route,
    pub(crate) selector: Selector,
    pub(crate) suspended: bool,
}

impl ValidatedRoute {
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        // A selector that says nothing would select everything; the schema refuses it.
        !self.selector.selects_all() && self.selector.matches(labels)
    }

    /// The Secrets that it names, and the keys that each must have.
    pub(crate) fn secrets(&self) -> BTreeMap<&str, BTreeSet<&'static str>> {
        const PAIR: &[&str] = &["tls.crt", "tls.key"];
        const AUTHORITY: &[&str] = &["ca.crt"];
        let listener = self.route.tls.iter().flat_map(|tls| {
            let certificate = Some((tls.certificate.as_str(), PAIR));
            [
                certificate,
                tls.client_ca.as_deref().map(|name| (name, AUTHORITY)),
            ]
        });
        let backends = self
            .route
            .backends
            .iter()
            .filter_map(|backend| backend.tls.as_ref());
        let backends = backends.flat_map(|tls| {
            let certificate = tls.client_certificate.as_deref().map(|name| (name, PAIR));
            [tls.ca.as_deref().map(|name| (name, AUTHORITY)), certificate]
        });
        let mut secrets = BTreeMap::<_, BTreeSet<_>>::new();
        for (name, keys) in listener.chain(backends).flatten() {
            secrets.entry(name).or_default().extend(keys);
        }
        secrets
    }
}

/// Reads a WsRoute.
pub(crate) fn validate(object: &WsRoute) -> Result<ValidatedRoute, InvalidSpec> {
    let selector = Selector::try_from(object.spec.selector.clone()).map_err(InvalidSpec::Selector)?;
    Ok(ValidatedRoute {
        route: Route::parse(object)?,
        selector,
        suspended: object.spec.suspend,
    })
}
