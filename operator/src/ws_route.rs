//! The controller of `WsRoute`: has the sidecars of the pods that routes select serve them, and says how far they are.
//!
//! Routes of a namespace decide about each other, so a namespace is what is reconciled.

mod apply;
mod controller;
mod notice;
mod observe;
mod plan;
pub(crate) mod sidecar;
mod status;
mod takeover;
mod trust;
mod validate;
mod world;

use crate::config_stream::Sidecars;
use crate::context::{DeadlinePassed, now};
use crate::metrics::Metrics;
use crate::write_status::{self, WriteStatusError};
use apply::Changes;
use futures::stream::{self, StreamExt, TryStreamExt};
use heddle_crds::WsRoute;
use heddle_telemetry::ErrorChain;
use kube::Client;
use observe::{DescriptorsCache, ExclusionsCache, ObserveError, Observed, ObservedRoute, SecretsCache};
use plan::{Plan, PlannedRoute};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use takeover::Takeover;
use tokio::sync::watch;
use trust::{Given, TrustError};
use world::World;

pub(crate) use controller::{Controller, Synced, run};
pub(crate) use validate::{ValidatedRoute, validate};

/// How long one look at a namespace may take.
const WORK_TIMEOUT: Duration = Duration::from_secs(60);

/// How soon a status is written again that somebody else has overtaken.
const OUTDATED_DELAY: Duration = Duration::from_millis(200);

/// How many statuses of a namespace are written at the same time.
const STATUS_WRITES: usize = 16;

/// What every reconcile needs.
pub(crate) struct WsRouteContext {
    pub(crate) client: Client,
    pub(crate) sidecars: Sidecars,
    pub(crate) metrics: Metrics,
    /// The authorities that sidecars trust, in PEM.
    pub(crate) trust_bundle: watch::Receiver<Arc<str>>,
    /// Who reports events: the name of the pod.
    pub(crate) instance: String,
    /// The MutatingWebhookConfiguration by which pods get sidecars, if its name is known.
    pub(crate) webhook_configuration: Option<String>,
    exclusions: ExclusionsCache,
    world: World,
    takeover: Takeover,
    secrets: SecretsCache,
    descriptors: DescriptorsCache,
    changes: Changes,
    given: Given,
}

/// Why a reconcile failed. What is wrong with a route is none of these: that is reported in its status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error(transparent)]
    WriteStatus(#[from] WriteStatusError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Deadline(#[from] DeadlinePassed),
}

impl ReconcileError {
    /// For metrics.
    fn class(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::WriteStatus(_) => "status",
            Self::Trust(_) => "trust",
            Self::Deadline(_) => "deadline",
        }
    }
}

impl WsRouteContext {
    pub(crate) fn new(
        client: Client,
        sidecars: Sidecars,
        metrics: Metrics,
        trust_bundle: watch::Receiver<Arc<str>>,
        instance: String,
        webhook_configuration: Option<String>,
    ) -> Self {
        Self {
            client,
            sidecars,
            metrics,
            trust_bundle,
            instance,
            webhook_configuration,
            exclusions: ExclusionsCache::default(),
            world: World::default(),
            takeover: Takeover::default(),
            secrets: SecretsCache::default(),
            descriptors: DescriptorsCache::default(),
            changes: Changes::default(),
            given: Given::default(),
        }
    }
}

/// Brings a namespace up to date. When to look again, if nothing happens.
async fn reconcile(context: &WsRouteContext, namespace: &str) -> Result<Option<Duration>, ReconcileError> {
    tokio::time::timeout(WORK_TIMEOUT, advance(context, namespace))
        .await
        .unwrap_or(Err(DeadlinePassed.into()))
}

async fn advance(context: &WsRouteContext, namespace: &str) -> Result<Option<Duration>, ReconcileError> {
    let snapshot = context.world.snapshot(namespace);
    let observed = observe::observe(context, namespace, snapshot).await?;
    let plan = plan::plan(&observed);
    // Nothing may be sent before it is known whom sidecars are to trust.
    if !observed.trust_bundle.is_empty() {
        apply::apply(context, namespace, &observed, &plan);
    }
    forget_deleted(context);
    let outdated = write_statuses(context, &observed, &plan).await?;
    // Last: sidecars are served whether or not it can be written.
    let given = trust::give(context, namespace, &observed).await?;
    Ok([plan.wake_after, outdated, given].into_iter().flatten().min())
}

/// Writes what is new. One that is overtaken does not keep the others from being written: how soon to try it again.
async fn write_statuses(
    context: &WsRouteContext,
    observed: &Observed,
    plan: &Plan,
) -> Result<Option<Duration>, ReconcileError> {
    let mut writes = Vec::new();
    for (route, planned) in observed.routes.iter().zip(&plan.routes) {
        writes.push(write_status(context, route, planned));
    }
    let written: Vec<_> = stream::iter(writes)
        .buffer_unordered(STATUS_WRITES)
        .try_collect()
        .await?;
    Ok(written.into_iter().flatten().min())
}

/// Writes the status of a route if it is new, and tells of it. How soon to try again, if somebody was faster.
async fn write_status(
    context: &WsRouteContext,
    route: &ObservedRoute,
    planned: &PlannedRoute,
) -> Result<Option<Duration>, ReconcileError> {
    let metadata = &route.stored.metadata;
    let change = context.changes.of(metadata.uid.as_deref(), metadata.generation);
    let trace_id = change.and_then(|change| change.trace_id);
    let before = route.stored.status.as_ref();
    let after = status::status(route, planned, trace_id, now());
    let written =
        write_status::write_if_changed::<WsRoute, _>(&context.client, metadata, before, &after).await;
    match written {
        Ok(written) => {
            if let Some(written) = written {
                context.world.note_written(&route.stored, written);
            }
            if let Some(notice) = notice::notice(before, &after) {
                notice.tell(context, metadata).await;
            }
            Ok(None)
        }
        Err(error @ WriteStatusError::Outdated) => {
            let (namespace, name) = (&metadata.namespace, &metadata.name);
            tracing::debug!(?namespace, ?name, error = %ErrorChain(&error), "status not written");
            Ok(Some(OUTDATED_DELAY))
        }
        Err(error) => Err(error.into()),
    }
}

fn forget_deleted(context: &WsRouteContext) {
    let caches = context.world.caches();
    let uids: BTreeSet<String> = caches
        .routes
        .namespaces()
        .filter_map(|namespace| caches.routes.of_namespace(namespace))
        .flat_map(|routes| routes.values())
        .filter_map(|route| route.metadata.uid.clone())
        .collect();
    drop(caches);
    context.changes.retain(|uid| uids.contains(uid));
}
