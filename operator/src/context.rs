//! What every reconcile needs.

use crate::failures::Failures;
use crate::metrics::Metrics;
use crate::settings::JobDefaults;
use crate::source::SourceClient;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::Semaphore;

/// Shared by all reconciles of a process.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) source: SourceClient,
    pub(crate) job_defaults: JobDefaults,
    pub(crate) metrics: Metrics,
    /// How often reconciling each object has failed in a row.
    pub(crate) failures: Failures,
    /// How often the API has refused in a row to start a run of each.
    pub(crate) refusals: Failures,
    /// One for each reconcile that may run, in all namespaces together.
    pub(crate) permits: Semaphore,
    /// Who reports events: the name of the pod.
    pub(crate) instance: String,
}

/// The time, in whole seconds, which is what the API stores.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
