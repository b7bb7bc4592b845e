//! Runs reconciles: watches what can make one necessary, and looks at each subscription once at a time.

use super::world::Guarded;
use super::{ReconcileError, SubscriptionContext, reconcile};
use crate::attempt::{Attempted, attempt};
use crate::cache::{Scope, scopes};
use crate::context::sleep_until;
use crate::descriptors;
use crate::failures::Failures;
use crate::health::{Health, Heartbeat};
use crate::watches::{Seen, Watches};
use crate::work_queue::Queue;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the loop shows that it turns.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The controller before it runs.
pub(crate) struct Controller {
    pub(crate) context: Arc<SubscriptionContext>,
    /// All namespaces, if empty.
    pub(crate) namespaces: Vec<String>,
    pub(crate) concurrency: usize,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) synced: Synced,
}

/// What is cancelled when each watch has seen all there is for the first time.
#[derive(Clone, Debug)]
pub(crate) struct Synced(BTreeMap<Scope, CancellationToken>);

const SUBSCRIPTIONS: &str = "SseSubscriptions";
const SECRETS: &str = "Secrets of SseSubscriptions";
const CONFIG_MAPS: &str = "ConfigMaps of SseSubscriptions";

impl Synced {
    /// Has readiness wait for all of them.
    pub(crate) fn expected_by(health: &Health, namespaces: &[String]) -> Self {
        let all = scopes(namespaces).into_iter();
        Self(
            all.map(|scope| (scope, health.expect_cache(SUBSCRIPTIONS)))
                .collect(),
        )
    }
}

/// What a watch has seen.
enum Change {
    Subscription(Box<Event<Guarded>>),
    Secret(Box<Event<PartialObjectMeta<Secret>>>),
    ConfigMap(Box<Event<PartialObjectMeta<ConfigMap>>>),
}

/// Runs until `stop` is cancelled, the reconciles in flight have ended, and every stream's place is stored.
pub(crate) async fn run(controller: Controller, stop: CancellationToken) {
    let Controller {
        context,
        namespaces,
        concurrency,
        heartbeat,
        synced,
    } = controller;
    let mut seen = watches(&context, &namespaces);
    let mut view = context.view.clone();
    let mut queue = Queue::new(concurrency);
    let failures = Failures::default();
    let mut running = JoinSet::new();
    let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
    loop {
        let now = Instant::now();
        for key in queue.start(now) {
            running.spawn(reconcile_one(Arc::clone(&context), key));
        }
        let due = queue.next_due();
        tokio::select! {
            () = stop.cancelled() => break,
            Some(seen) = seen.next() => {
                for key in take(&context, &synced, seen) {
                    queue.add(key, now);
                }
            }
            keys = context.news.take() => {
                for key in keys {
                    queue.add(key, now);
                }
            }
            Ok(()) = view.changed() => {
                let members = view.borrow_and_update().len();
                context.metrics.subscriptions.members.set(i64::try_from(members).unwrap_or(i64::MAX));
                for key in context.world.keys() {
                    queue.add(key, now);
                }
            }
            Some(ended) = running.join_next(), if !running.is_empty() => {
                if let Ok((key, result)) = ended {
                    let again = report(&context, &failures, &key, result);
                    queue.end(key, again.map(|delay| Instant::now() + delay));
                }
            }
            () = sleep_until(due) => {}
            _ = ticks.tick() => heartbeat.beat(),
        }
    }
    drop(heartbeat);
    while running.join_next().await.is_some() {}
    stop_watchers(&context).await;
}

/// Has every watcher store its place and give its claim back.
async fn stop_watchers(context: &SubscriptionContext) {
    let keys = context.watchers.keys();
    join_all(keys.iter().map(|key| context.watchers.stop(key))).await;
    context.metrics.subscriptions.watched.set(0);
}

async fn reconcile_one(context: Arc<SubscriptionContext>, key: String) -> (String, Attempted) {
    let of_task = key.clone();
    let work = async move { reconcile(&context, &of_task).await };
    (key, attempt(work, ReconcileError::class).await)
}

/// Errors are logged here and nowhere else. How soon to look again.
fn report(
    context: &SubscriptionContext,
    failures: &Failures,
    key: &str,
    result: Attempted,
) -> Option<Duration> {
    match result {
        Ok(again) => {
            if failures.clear(key) {
                tracing::info!(
                    subscription = key,
                    "reconcile of a SseSubscription succeeds again"
                );
            }
            again
        }
        Err(failure) => {
            context.metrics.count_reconcile_error(failure.class);
            tracing::warn!(
                subscription = key,
                error = failure.text,
                "reconcile of a SseSubscription failed"
            );
            Some(failures.add(key))
        }
    }
}

/// Remembers what was seen. The subscriptions to look at.
fn take(context: &SubscriptionContext, synced: &Synced, seen: Seen<Change>) -> Vec<String> {
    let Seen {
        scope,
        change,
        is_listed,
        ..
    } = seen;
    match change {
        Change::Subscription(event) => {
            let keys = context.world.take(&scope, *event);
            let known = i64::try_from(context.world.len()).unwrap_or(i64::MAX);
            context.metrics.subscriptions.known.set(known);
            if let Some(token) = synced.0.get(&scope).filter(|_| is_listed) {
                token.cancel();
            }
            keys
        }
        Change::Secret(event) => match *event {
            Event::InitApply(secret) | Event::Apply(secret) | Event::Delete(secret) => {
                let (namespace, name) = (secret.metadata.namespace, secret.metadata.name);
                context
                    .world
                    .secret_changed(&namespace.unwrap_or_default(), &name.unwrap_or_default())
            }
            Event::Init | Event::InitDone => Vec::new(),
        },
        Change::ConfigMap(event) => context.world.take_index(&scope, *event),
    }
}

fn watches(context: &SubscriptionContext, namespaces: &[String]) -> BoxStream<'static, Seen<Change>> {
    let (client, metrics) = (&context.client, &context.metrics);
    let (watches, descriptors) = (Watches { client, metrics }, descriptors::labels());
    let all = scopes(namespaces).into_iter().flat_map(|scope| {
        [
            watches.begin(&scope, "", SUBSCRIPTIONS, Change::Subscription),
            watches.begin(&scope, "", SECRETS, Change::Secret),
            watches.begin(&scope, &descriptors, CONFIG_MAPS, Change::ConfigMap),
        ]
    });
    stream::select_all(all).boxed()
}
