//! The WsRoutes that there are, as every replica knows them.

use crate::cache::{Cache, Remembered, Scope, scopes};
use crate::ws_route::{ValidatedRoute, validate};
use futures::StreamExt;
use futures::stream;
use heddle_crds::WsRoute;
use heddle_route_config::Route;
use heddle_telemetry::ErrorChain;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

type Guarded = DeserializeGuard<WsRoute>;

/// The WsRoutes that there are. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    cache: Arc<Mutex<Cache<ValidatedRoute>>>,
    complete: CancellationToken,
}

impl Remembered for ValidatedRoute {
    /// Nothing is done about changes: what is asked for is answered by what is there.
    fn differs_from(&self, _older: &Self) -> bool {
        false
    }
}

impl Routes {
    /// Whether all that there are have been seen.
    pub(super) fn is_complete(&self) -> bool {
        self.complete.is_cancelled()
    }

    /// The routes of a namespace that select a pod with these labels, in the order of their names. Those that are
    /// invalid say nothing that a sidecar could be made by.
    pub(super) fn selecting(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<Route> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = cache.of_namespace(namespace).into_iter().flatten();
        routes
            .filter(|(_, route)| route.selects(labels))
            .map(|(_, route)| route.route.clone())
            .collect()
    }

    fn take(&self, scope: &Scope, event: Event<Guarded>) {
        let valid = |route: Guarded| validate(route.0.as_ref().ok()?).ok();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.take(scope, event, valid);
    }
}

/// Follows the WsRoutes of these namespaces, or all; `complete` is cancelled when all have been seen. The future is to be
/// run until `stop` is cancelled.
pub(crate) fn follow(
    client: Client,
    namespaces: &[String],
    complete: CancellationToken,
    stop: CancellationToken,
) -> (Routes, impl Future<Output = ()> + Send + 'static) {
    let routes = Routes {
        cache: Arc::default(),
        complete: complete.clone(),
    };
    let mut unlisted: BTreeSet<Scope> = scopes(namespaces).into_iter().collect();
    let watches = scopes(namespaces).into_iter().map(|scope| {
        let api: Api<Guarded> = match &scope {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let events = watcher(api, Config::default()).default_backoff();
        events.map(move |event| (scope.clone(), event)).boxed()
    });
    let events = stream::select_all(watches);
    let known = routes.clone();
    let run = async move {
        let mut events = std::pin::pin!(events.take_until(stop.cancelled_owned()));
        while let Some((scope, event)) = events.next().await {
            match event {
                Ok(event) => {
                    if matches!(event, Event::InitDone) {
                        unlisted.remove(&scope);
                    }
                    known.take(&scope, event);
                    if unlisted.is_empty() {
                        complete.cancel();
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "the webhook's watch of WsRoutes broke");
                }
            }
        }
    };
    (routes, run)
}
