//! Runs reconciles: watches what can make one necessary, and looks at each namespace once at a time.

use super::world::{self, Caches, RawRoute};
use super::{ReconcileError, WsRouteContext, reconcile};
use crate::attempt::{Attempted, attempt};
use crate::cache::{Scope, scopes};
use crate::context::sleep_until;
use crate::descriptors;
use crate::failures::Failures;
use crate::health::{Health, Heartbeat};
use crate::watches::{Seen, Watches};
use crate::work_queue::Queue;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the loop shows that it turns.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The controller before it runs.
pub(crate) struct Controller {
    pub(crate) context: Arc<WsRouteContext>,
    /// All namespaces, if empty.
    pub(crate) namespaces: Vec<String>,
    pub(crate) concurrency: usize,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) synced: Synced,
}

/// What is cancelled when each watch has seen all there is for the first time.
#[derive(Clone, Debug)]
pub(crate) struct Synced(BTreeMap<(&'static str, Scope), CancellationToken>);

const ROUTES: &str = "WsRoutes";
const PODS: &str = "pods of WsRoutes";
const SECRETS: &str = "Secrets of WsRoutes";
const CONFIG_MAPS: &str = "ConfigMaps of WsRoutes";

impl Synced {
    /// Has readiness wait for all of them.
    pub(crate) fn expected_by(health: &Health, namespaces: &[String]) -> Self {
        let kinds = [ROUTES, PODS, SECRETS, CONFIG_MAPS];
        let all = scopes(namespaces)
            .into_iter()
            .flat_map(|scope| kinds.map(|kind| ((kind, scope.clone()), health.expect_cache(kind))));
        Self(all.collect())
    }

    fn note(&self, kind: &'static str, scope: &Scope) {
        if let Some(token) = self.0.get(&(kind, scope.clone())) {
            token.cancel();
        }
    }

    /// Before that, a pod might be thought to have no routes, and would lose those it has.
    fn is_complete(&self) -> bool {
        self.0.values().all(CancellationToken::is_cancelled)
    }
}

/// What a watch has seen.
enum Change {
    Route(Box<Event<RawRoute>>),
    Pod(Box<Event<Pod>>),
    Secret(Box<Event<PartialObjectMeta<Secret>>>),
    ConfigMap(Box<Event<PartialObjectMeta<ConfigMap>>>),
}

/// Runs until `stop` is cancelled and the reconciles in flight have ended.
pub(crate) async fn run(controller: Controller, stop: CancellationToken) {
    let Controller {
        context,
        namespaces,
        concurrency,
        heartbeat,
        synced,
    } = controller;
    let mut seen = watches(&context, &namespaces);
    let mut bundle = context.trust_bundle.clone();
    let mut queue = Queue::new(concurrency);
    let failures = Failures::default();
    let mut running = JoinSet::new();
    let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
    loop {
        if synced.is_complete() {
            context.takeover.begin();
            for namespace in queue.start(Instant::now()) {
                running.spawn(reconcile_one(Arc::clone(&context), namespace));
            }
        }
        let due = queue.next_due().filter(|_| synced.is_complete());
        tokio::select! {
            () = stop.cancelled() => break,
            Some(seen) = seen.next() => {
                queue.gather(take(&context, &synced, seen));
            }
            namespaces = context.sidecars.changed() => {
                queue.gather(namespaces);
            }
            Ok(()) = bundle.changed() => {
                queue.add_all(context.world.namespaces_with_routes(), Instant::now());
            }
            Some(ended) = running.join_next(), if !running.is_empty() => {
                if let Ok((namespace, result)) = ended {
                    let again = report(&context, &failures, &namespace, result);
                    queue.end(namespace, again.map(|delay| Instant::now() + delay));
                }
            }
            () = sleep_until(due) => {}
            _ = ticks.tick() => heartbeat.beat(),
        }
    }
    drop(heartbeat);
    while running.join_next().await.is_some() {}
}

async fn reconcile_one(context: Arc<WsRouteContext>, namespace: String) -> (String, Attempted) {
    let started = Instant::now();
    let of_task = (Arc::clone(&context), namespace.clone());
    let work = async move { reconcile(&of_task.0, &of_task.1).await };
    let result = attempt(work, ReconcileError::class).await;
    context.metrics.observe_ws_route_reconcile(started.elapsed());
    (namespace, result)
}

/// Errors are logged here and nowhere else. How soon to look again.
fn report(
    context: &WsRouteContext,
    failures: &Failures,
    namespace: &str,
    result: Attempted,
) -> Option<Duration> {
    match result {
        Ok(again) => {
            if failures.clear(namespace) {
                tracing::info!(namespace, "reconcile of WsRoutes succeeds again");
            }
            again
        }
        Err(failure) => {
            context.metrics.count_reconcile_error(failure.class);
            tracing::warn!(namespace, error = failure.text, "reconcile of WsRoutes failed");
            Some(failures.add(namespace))
        }
    }
}

/// Remembers what was seen. The namespaces to look at.
fn take(context: &WsRouteContext, synced: &Synced, seen: Seen<Change>) -> BTreeSet<String> {
    let Seen {
        kind,
        scope,
        change,
        is_listed,
    } = seen;
    let mut caches = context.world.caches();
    let namespaces = match change {
        Change::Route(event) => caches.routes.take(&scope, *event, world::route),
        Change::Pod(event) => caches.pods.take(&scope, *event, world::pod),
        Change::Secret(event) => caches.secrets.take(&scope, *event, world::secret),
        Change::ConfigMap(event) => caches.indexes.take(&scope, *event, descriptors::stored_index),
    };
    context.metrics.set_ws_routes(caches.routes.len());
    if is_listed {
        synced.note(kind, &scope);
    }
    // The other caches may not be full yet; who is looked at is looked at when they are.
    let matters = |namespace: &String| !synced.is_complete() || concerns_routes(&caches, namespace);
    namespaces.into_iter().filter(matters).collect()
}

/// Whether there is anything to do in a namespace: it has a route, or pods whose sidecars may have one to lose.
fn concerns_routes(caches: &Caches, namespace: &str) -> bool {
    let pods = || caches.pods.of_namespace(namespace);
    caches.routes.of_namespace(namespace).is_some()
        || pods().is_some_and(|pods| pods.values().any(|pod| pod.has_sidecar))
}

fn watches(context: &WsRouteContext, namespaces: &[String]) -> BoxStream<'static, Seen<Change>> {
    let (client, metrics) = (&context.client, &context.metrics);
    let (watches, descriptors) = (Watches { client, metrics }, descriptors::labels());
    let all = scopes(namespaces).into_iter().flat_map(|scope| {
        [
            watches.begin(&scope, "", ROUTES, Change::Route),
            watches.begin(&scope, "", PODS, Change::Pod),
            watches.begin(&scope, "", SECRETS, Change::Secret),
            watches.begin(&scope, &descriptors, CONFIG_MAPS, Change::ConfigMap),
        ]
    });
    stream::select_all(all).boxed()
}
