//! Carries out a plan: starts, cancels and prunes Jobs.

use super::job;
use super::observe::Problem;
use super::plan::{Plan, RunRequest, Step};
use super::run::{ObservedRun, RunDetails};
use super::validate::ValidatedSpec;
use crate::context::Context;
use heddle_crds::idl_repo::{IdlRepo, LastRun, Reason};
use heddle_crds::metadata::FIELD_MANAGER;
use heddle_telemetry::TraceParent;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};

/// What came of a plan.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    /// There was nothing to start.
    Nothing,
    /// This run was started.
    Started(LastRun),
    /// The run has been started before, by a process that did not live to tell, or by a replica that led before.
    StartedBefore,
    /// The API refused to start the run.
    Refused(Problem),
}

/// Why a plan could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("failed to apply service account {name}")]
    ApplyServiceAccount {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to create Job {name}")]
    CreateJob {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to delete Job {name}")]
    DeleteJob {
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// Does what the plan says.
pub(crate) async fn apply(
    context: &Context,
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    plan: &Plan,
    trace_parent: Option<&TraceParent>,
) -> Result<Applied, ApplyError> {
    let jobs = Api::<Job>::namespaced(context.client.clone(), &idl_repo.namespace().unwrap_or_default());
    for name in &plan.prune {
        delete(&jobs, name, DeleteParams::background()).await?;
    }
    match &plan.step {
        Step::Start(request) => start(context, idl_repo, spec, request, trace_parent).await,
        // In the foreground, so that the Job is seen until its pod is gone and can no longer push.
        Step::Cancel { job } => delete(&jobs, job, DeleteParams::foreground())
            .await
            .map(|()| Applied::Nothing),
        _ => Ok(Applied::Nothing),
    }
}

async fn start(
    context: &Context,
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    request: &RunRequest,
    trace_parent: Option<&TraceParent>,
) -> Result<Applied, ApplyError> {
    apply_service_account(context, idl_repo).await?;
    let job = job::job(idl_repo, spec, request, &context.job_defaults, trace_parent);
    let api = Api::<Job>::namespaced(context.client.clone(), &idl_repo.namespace().unwrap_or_default());
    // Not applied, but created: a Job's template cannot be changed, and that the name is taken is all there is to know.
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PostParams::default()
    };
    match api.create(&parameters, &job).await {
        Ok(created) => Ok(ObservedRun::new(&created, &RunDetails::default())
            .map_or(Applied::StartedBefore, |run| Applied::Started(run.to_last_run()))),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Applied::StartedBefore),
        // A quota, an admission webhook or a namespace on its way out; people have to see that.
        Err(kube::Error::Api(status)) if [400, 403, 404, 422].contains(&status.code) => {
            Ok(Applied::Refused(Problem {
                reason: Reason::JobFailed,
                message: format!(
                    "The API server refused Job {}: {}",
                    job.name_any(),
                    status.message
                ),
            }))
        }
        Err(source) => Err(ApplyError::CreateJob {
            name: job.name_any(),
            source,
        }),
    }
}

async fn apply_service_account(context: &Context, idl_repo: &IdlRepo) -> Result<(), ApplyError> {
    let account = job::service_account(idl_repo);
    let name = account.name_any();
    let api =
        Api::<ServiceAccount>::namespaced(context.client.clone(), &idl_repo.namespace().unwrap_or_default());
    let applied = api
        .patch(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&account),
        )
        .await;
    applied
        .map(drop)
        .map_err(|source| ApplyError::ApplyServiceAccount { name, source })
}

async fn delete(jobs: &Api<Job>, name: &str, parameters: DeleteParams) -> Result<(), ApplyError> {
    match jobs.delete(name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(ApplyError::DeleteJob {
            name: name.to_owned(),
            source,
        }),
    }
}
