//! Carries out a plan: starts, cancels and prunes Jobs, and makes and takes away what they publish to.

mod owned;
mod publication;

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
use kube::api::{DeleteParams, PostParams};
use kube::core::Status;
use kube::{Api, ResourceExt};

/// What came of a plan.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    /// There was nothing to start.
    Nothing,
    /// This run was started.
    Started(Box<LastRun>),
    /// The run has been started before, by a process that did not live to tell, or by a replica that led before.
    StartedBefore,
    /// The API refused to start the run.
    Refused(Problem),
}

/// Why a plan could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("failed to apply {kind} {name}")]
    ApplyOwned {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to delete {kind} {name}")]
    DeleteOwned {
        kind: String,
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
    publication::remove(context, idl_repo, &plan.leftovers).await?;
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
    let namespace = idl_repo.namespace().unwrap_or_default();
    let account = job::service_account(idl_repo);
    if let Some(problem) = owned::apply(context, idl_repo, &account).await? {
        return Ok(Applied::Refused(problem));
    }
    if spec.publish
        && let Some(problem) = publication::apply(context, idl_repo, request.descriptor_slots).await?
    {
        return Ok(Applied::Refused(problem));
    }
    let job = job::job(idl_repo, spec, request, &context.job_defaults, trace_parent);
    let jobs = Api::<Job>::namespaced(context.client.clone(), &namespace);
    // Not applied, but created: a Job's template cannot be changed, and that the name is taken is all there is to know.
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PostParams::default()
    };
    match jobs.create(&parameters, &job).await {
        Ok(created) => Ok(ObservedRun::new(&created, &RunDetails::default())
            .map_or(Applied::StartedBefore, |run| {
                Applied::Started(Box::new(run.to_last_run()))
            })),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Applied::StartedBefore),
        Err(kube::Error::Api(status)) if is_refusal(&status) => {
            Ok(Applied::Refused(refusal("Job", &job, &status)))
        }
        Err(source) => Err(ApplyError::CreateJob {
            name: job.name_any(),
            source,
        }),
    }
}

/// A quota, an admission webhook, or a namespace on its way out: people have to see that. Not what passes by itself, and
/// not that the operator's own credentials ran out.
fn is_refusal(status: &Status) -> bool {
    (400..500).contains(&status.code) && ![401, 408, 409, 429].contains(&status.code)
}

fn refusal(kind: &str, object: &impl ResourceExt, status: &Status) -> Problem {
    Problem {
        reason: Reason::JobFailed,
        message: format!(
            "The API server refused {kind} {}: {}",
            object.name_any(),
            status.message
        ),
    }
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
