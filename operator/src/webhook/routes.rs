//! The WsRoutes of the cluster, as every replica knows them.

use crate::ws_route::validate;
use futures::StreamExt;
use heddle_crds::WsRoute;
use heddle_route_config::Route;
use heddle_telemetry::ErrorChain;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{Store, reflector, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

type Guarded = DeserializeGuard<WsRoute>;

/// The WsRoutes that there are.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    store: Store<Guarded>,
    complete: CancellationToken,
}

impl Routes {
    /// Whether all that there are have been seen.
    pub(super) fn is_complete(&self) -> bool {
        self.complete.is_cancelled()
    }

    /// The routes of a namespace that select a pod with these labels, in the order of their names. Those that are
    /// invalid say nothing that a sidecar could be made by.
    pub(super) fn selecting(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<Route> {
        let of_namespace = self
            .store
            .state_filter(|route| route.namespace().as_deref() == Some(namespace));
        let mut routes: Vec<_> = of_namespace
            .iter()
            .filter_map(|route| {
                let valid = validate(route.0.as_ref().ok()?).ok()?;
                valid.selects(labels).then_some(valid.route)
            })
            .collect();
        routes.sort_by(|a, b| a.id.cmp(&b.id));
        routes
    }
}

/// Follows the WsRoutes of all namespaces; `complete` is cancelled when all have been seen. The future is to be run until
/// `stop` is cancelled.
pub(crate) fn follow(
    client: Client,
    complete: CancellationToken,
    stop: CancellationToken,
) -> (Routes, impl Future<Output = ()> + Send + 'static) {
    let (store, writer) = store::<Guarded>();
    let watched = watcher(Api::<Guarded>::all(client), watcher::Config::default()).modify(|route| {
        route.managed_fields_mut().clear();
        if let Ok(route) = &mut route.0 {
            route.status = None;
        }
    });
    let seen = complete.clone();
    let events = reflector(writer, watched).default_backoff();
    let run = async move {
        let mut events = std::pin::pin!(events.take_until(stop.cancelled_owned()));
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::InitDone) => seen.cancel(),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "the webhook's watch of WsRoutes broke");
                }
            }
        }
    };
    (Routes { store, complete }, run)
}
