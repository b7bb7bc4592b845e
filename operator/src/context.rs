//! What every reconcile needs.

use crate::failures::Failures;
use crate::metrics::Metrics;
use crate::settings::JobDefaults;
use crate::source::SourceClient;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long a piece of work may take: a few calls of the API.
const WORK_TIMEOUT: Duration = Duration::from_secs(60);

/// Shared by all reconciles of a process.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) source: SourceClient,
    pub(crate) job_defaults: JobDefaults,
    /// See [`JobDefaults::version`].
    pub(crate) settings_version: String,
    pub(crate) metrics: Metrics,
    /// How often reconciling each object has failed in a row.
    pub(crate) failures: Failures,
    /// How often the API has refused in a row to start a run of each.
    pub(crate) refusals: Failures,
    /// One for each reconcile that may work, in all namespaces together.
    pub(crate) permits: Semaphore,
    /// Whether events could not be read the last time, so that it is told of once.
    pub(crate) events_are_unreadable: AtomicBool,
    /// Who reports events: the name of the pod.
    pub(crate) instance: String,
}

/// A piece of work took too long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("failed to reconcile within {} s", WORK_TIMEOUT.as_secs())]
pub(crate) struct DeadlinePassed;

impl Context {
    /// Does a piece of work when it is its turn, in bounded time.
    pub(crate) async fn work<T, E: From<DeadlinePassed>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        tokio::time::timeout(WORK_TIMEOUT, work)
            .await
            .unwrap_or(Err(DeadlinePassed.into()))
    }
}

/// Waits until `moment`; for ever, if there is none.
pub(crate) async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// The time, in whole seconds, which is what the API stores.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
