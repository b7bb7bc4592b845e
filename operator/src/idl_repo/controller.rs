//! Runs reconciles: watches what can make one necessary, and bounds how many run and for how long.

mod watches;

use super::observe::ObserveError;
use super::status::WriteStatusError;
use super::{ReconcileError, key, reconcile};
use crate::context::Context;
use crate::health::Heartbeat;
use futures::{FutureExt, StreamExt};
use heddle_crds::idl_repo::IdlRepo;
use heddle_telemetry::ErrorChain;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use watches::Synced;

/// How often the loop shows that it turns.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Changes that come within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// An IdlRepo as the cache has it. One that cannot be read must not keep the others from being seen.
type Guarded = DeserializeGuard<IdlRepo>;

/// The controller before it runs.
pub(crate) struct Controller {
    pub(crate) client: Client,
    pub(crate) context: Arc<Context>,
    /// All namespaces, if absent.
    pub(crate) namespace: Option<String>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) synced: Synced,
}

/// Runs until `stop` is cancelled and the reconciles in flight have ended.
pub(crate) async fn run(controller: Controller, stop: CancellationToken) {
    let Controller {
        client,
        context,
        namespace,
        heartbeat,
        synced,
    } = controller;
    let (triggers, store) = watches::triggers(&client, namespace.as_deref(), &synced);
    let triggers = triggers.take_until(stop.cancelled_owned());
    // As many as there are objects may wait for their sources; how many work is bounded by the context's permits.
    let config = controller::Config::default().debounce(DEBOUNCE);
    let reconcile =
        |object, context| AbortOnDropHandle::new(Handle::current().spawn(reconcile_one(object, context)));
    let reconcile = move |object, context| {
        reconcile(object, context).map(|ended| ended.unwrap_or(Err(ReconcileError::Panic)))
    };
    let results = controller::applier(
        reconcile,
        back_off,
        Arc::clone(&context),
        store.clone(),
        triggers,
        config,
    );
    let mut results = std::pin::pin!(results);
    let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
    let mut counted = 0;
    loop {
        tokio::select! {
            result = results.next() => match result {
                Some(result) => report(&context, result),
                None => return,
            },
            // In the same loop as the reconciles, so that a stuck one stops the heart.
            _ = ticks.tick() => {
                heartbeat.beat();
                let count = i64::try_from(store.len()).unwrap_or(i64::MAX);
                // Each namespace has a controller, and one gauge counts for all.
                context.metrics.objects.inc_by(count - counted);
                counted = count;
            }
        }
    }
}

/// Each runs as a task of its own: a panic of one, which ends up as its error, must not stop the others.
async fn reconcile_one(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let started = Instant::now();
    let in_flight = InFlight::new(&context.metrics.reconciles_in_flight);
    let result = reconcile(&context, &name, &namespace).await;
    drop(in_flight);
    let outcome = if result.is_ok() { "done" } else { "failed" };
    context.metrics.count_reconcile(outcome, started.elapsed());
    result
}

/// Counts one reconcile for as long as it lasts, however it ends.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn back_off(object: Arc<Guarded>, error: &ReconcileError, context: Arc<Context>) -> Action {
    context.metrics.count_reconcile_error(error.class());
    Action::requeue(
        context
            .failures
            .add(&key(&object.name_any(), object.namespace().as_deref())),
    )
}

type Reconciled =
    Result<(ObjectRef<Guarded>, Action), controller::Error<ReconcileError, watches::WatchError>>;

/// Errors are logged here and nowhere else.
fn report(context: &Context, result: Reconciled) {
    match result {
        Ok((object, _)) => {
            if context
                .failures
                .clear(&key(&object.name, object.namespace.as_deref()))
            {
                let (name, namespace) = (object.name, object.namespace.unwrap_or_default());
                tracing::info!(namespace, name, "reconcile succeeds again");
            }
        }
        // Someone was faster; the next try reads the object anew.
        Err(controller::Error::ReconcilerFailed(
            ReconcileError::WriteStatus(WriteStatusError::Outdated),
            object,
        )) => {
            tracing::debug!(%object, "status not written: the object has changed since it was read");
        }
        // Nobody needs to know what a process did not do because it is stopping.
        Err(controller::Error::ReconcilerFailed(ReconcileError::Observe(ObserveError::Ask(_)), _)) => {}
        Err(controller::Error::ReconcilerFailed(error, object)) => {
            let (name, namespace) = (object.name, object.namespace.unwrap_or_default());
            tracing::warn!(namespace, name, error = %ErrorChain(&error), "reconcile failed");
        }
        // Deleted since.
        Err(controller::Error::ObjectNotFound(object)) => {
            context
                .failures
                .clear(&key(&object.name, object.namespace.as_deref()));
        }
        Err(controller::Error::QueueError(error)) => {
            context.metrics.count_watch_error(error.kind);
            tracing::warn!(kind = error.kind, error = %ErrorChain(&error), "watch broke and is started again");
        }
        Err(error @ controller::Error::RunnerError(_)) => {
            tracing::error!(error = %ErrorChain(&error), "controller broke");
        }
    }
}
