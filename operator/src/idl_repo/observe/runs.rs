//! Reads the Jobs of an IdlRepo, and what else tells how their runs go.

use super::ObserveError;
use crate::context::Context;
use crate::idl_repo::job::label_value;
use crate::idl_repo::run::{ObservedRun, RunDetails, is_finished};
use heddle_crds::idl_repo::IdlRepo;
use heddle_crds::metadata;
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::atomic::Ordering;

/// How many Jobs, pods or events of one IdlRepo are read at most. Pruning keeps it at a handful.
const LIST_LIMIT: u32 = 500;

/// The runs of an IdlRepo, oldest first.
pub(crate) async fn runs(context: &Context, idl_repo: &IdlRepo) -> Result<Vec<ObservedRun>, ObserveError> {
    let namespace = idl_repo.namespace().unwrap_or_default();
    let api = Api::<Job>::namespaced(context.client.clone(), &namespace);
    let selector = format!("{}={}", metadata::IDL_REPO, label_value(&idl_repo.name_any()));
    let jobs = list(&api, "Jobs", ListParams::default().labels(&selector)).await?;
    let mut runs = Vec::new();
    for job in jobs.iter().filter(|job| is_owned(*job, idl_repo)) {
        let details = match end_is_on_record(job, idl_repo) {
            true => RunDetails::default(),
            false => details(context, job).await?,
        };
        runs.extend(ObservedRun::new(job, &details));
    }
    runs.sort_by_key(|run| (run.created_at, run.is_active(), run.attempt));
    Ok(runs)
}

/// Whether the object is the IdlRepo's.
pub(super) fn is_owned(object: &impl ResourceExt, idl_repo: &IdlRepo) -> bool {
    object
        .owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == idl_repo.metadata.uid.as_ref())
}

fn end_is_on_record(job: &Job, idl_repo: &IdlRepo) -> bool {
    let last_run = idl_repo
        .status
        .as_ref()
        .and_then(|status| status.last_run.as_ref());
    is_finished(job)
        && last_run.is_some_and(|last| {
            let ended_before = job
                .creation_timestamp()
                .is_some_and(|created| created.0 < last.started_at.0);
            ended_before || (last.job == job.name_any() && last.finished_at.is_some())
        })
}

async fn details(context: &Context, job: &Job) -> Result<RunDetails, ObserveError> {
    let namespace = job.namespace().unwrap_or_default();
    let pods = Api::<Pod>::namespaced(context.client.clone(), &namespace);
    let selector = format!("batch.kubernetes.io/job-name={}", job.name_any());
    let pods = list(&pods, "pods", ListParams::default().labels(&selector)).await?;
    let pod_refusals = match pods.is_empty() {
        true => pod_refusals(context, job).await,
        false => Vec::new(),
    };
    Ok(RunDetails { pods, pod_refusals })
}

/// What the Job controller said when it could not make a pod; it says so nowhere else. Events are a courtesy to people:
/// that they cannot be read is no reason to leave a run alone.
async fn pod_refusals(context: &Context, job: &Job) -> Vec<String> {
    let listed = failed_create_events(context, job).await;
    let was_unreadable = context
        .events_are_unreadable
        .swap(listed.is_err(), Ordering::Relaxed);
    match &listed {
        Err(error) if !was_unreadable => tracing::warn!(
            error = %ErrorChain(error),
            "events cannot be read; what keeps a Job from making its pod is not reported"
        ),
        Ok(_) if was_unreadable => tracing::info!("events can be read again"),
        _ => {}
    }
    let events = listed.unwrap_or_default();
    events.into_iter().filter_map(|event| event.note).collect()
}

async fn failed_create_events(context: &Context, job: &Job) -> Result<Vec<Event>, ObserveError> {
    let namespace = job.namespace().unwrap_or_default();
    let events = Api::<Event>::namespaced(context.client.clone(), &namespace);
    let selector = format!(
        "regarding.uid={},reason=FailedCreate",
        job.uid().unwrap_or_default()
    );
    let mut events = list(&events, "events", ListParams::default().fields(&selector)).await?;
    events.sort_by_key(|event| event.creation_timestamp());
    Ok(events)
}

/// The metadata of everything with these labels.
pub(super) async fn list_metadata<K>(
    api: &Api<K>,
    what: &'static str,
    labels: &str,
) -> Result<Vec<PartialObjectMeta<K>>, ObserveError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let parameters = ListParams::default().labels(labels).limit(LIST_LIMIT);
    let listed = api.list_metadata(&parameters).await;
    Ok(listed
        .map_err(|source| ObserveError::List { what, source })?
        .items)
}

async fn list<K>(api: &Api<K>, what: &'static str, parameters: ListParams) -> Result<Vec<K>, ObserveError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let listed = api.list(&parameters.limit(LIST_LIMIT)).await;
    Ok(listed
        .map_err(|source| ObserveError::List { what, source })?
        .items)
}
