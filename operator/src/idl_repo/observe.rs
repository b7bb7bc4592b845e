//! Every read: the IdlRepo itself, its Jobs with their pods and events, its Secrets, and, when it is time, the source.

use super::plan;
use super::run::{self, ObservedRun, RunDetails};
use super::validate::ValidatedSpec;
use crate::context::Context;
use crate::source::NotAsked;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoStatus, Reason};
use heddle_crds::metadata;
use heddle_git_remote::{Credentials, GitError, GitErrorKind, Remote, RemoteUrl, Resolved};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams, ObjectMeta};
use kube::{Api, ResourceExt};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many Jobs, pods or events of one IdlRepo are read at most. Pruning keeps it at a handful.
const LIST_LIMIT: u32 = 500;

/// The world around one IdlRepo.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// Its runs, oldest first.
    pub(crate) runs: Vec<ObservedRun>,
    pub(crate) secrets: ObservedSecrets,
    /// The answer of the source, if it was time to ask.
    pub(crate) check: Option<Check>,
}

/// The Secrets that a specification names.
#[derive(Clone, Debug)]
pub(crate) struct ObservedSecrets {
    /// A digest of which they are and of their versions.
    pub(crate) version: String,
    /// What keeps a run from delivering to the output.
    pub(crate) output_problem: Option<Problem>,
    source: Result<Credentials, Problem>,
}

/// What the source said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Check {
    Found {
        /// The full id.
        commit: String,
        /// The branch or tag that led there, if one did.
        reference: Option<String>,
    },
    Failed(Problem),
}

/// Something that people have to know of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// Why the world could not be observed. The source's failures are not among them: they are observations.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObserveError {
    #[error("failed to read the IdlRepo")]
    GetIdlRepo(#[source] kube::Error),
    #[error("failed to list {what}")]
    List {
        what: &'static str,
        #[source]
        source: kube::Error,
    },
    /// Not a failure, but nothing can be decided before the source has answered.
    #[error("failed to ask the source: {0}")]
    Ask(NotAsked),
    #[error("failed to read Secret {name}")]
    GetSecret {
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// An object as it is stored.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    IdlRepo(Box<IdlRepo>),
    /// It does not have the shape of an IdlRepo: it is from before a change of the schema.
    Unreadable {
        metadata: Box<ObjectMeta>,
        /// Its status may be readable even so.
        status: Option<Box<IdlRepoStatus>>,
        error: String,
    },
}

/// The IdlRepo as it is now, not as a cache remembers it, so that nothing is decided twice. `None` if it is gone.
pub(crate) async fn stored(
    context: &Context,
    name: &str,
    namespace: &str,
) -> Result<Option<Stored>, ObserveError> {
    let api = Api::<DynamicObject>::namespaced_with(
        context.client.clone(),
        namespace,
        &ApiResource::erase::<IdlRepo>(&()),
    );
    let Some(object) = api.get_opt(name).await.map_err(ObserveError::GetIdlRepo)? else {
        return Ok(None);
    };
    let status = object
        .data
        .get("status")
        .and_then(|status| IdlRepoStatus::deserialize(status).ok());
    let metadata = object.metadata.clone();
    Ok(Some(match object.try_parse::<IdlRepo>() {
        Ok(idl_repo) => Stored::IdlRepo(Box::new(idl_repo)),
        Err(error) => Stored::Unreadable {
            metadata: Box::new(metadata),
            status: status.map(Box::new),
            error: error.to_string(),
        },
    }))
}

/// Everything else.
pub(crate) async fn observe(
    context: &Context,
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    now: Timestamp,
) -> Result<Observed, ObserveError> {
    let (secrets, runs) =
        futures::future::try_join(secrets(context, idl_repo, spec), runs(context, idl_repo)).await?;
    let check = match plan::check_is_due(idl_repo, spec, &secrets.version, now) {
        true => Some(check(context, spec, &secrets).await.map_err(ObserveError::Ask)?),
        false => None,
    };
    Ok(Observed { runs, secrets, check })
}

async fn runs(context: &Context, idl_repo: &IdlRepo) -> Result<Vec<ObservedRun>, ObserveError> {
    let namespace = idl_repo.namespace().unwrap_or_default();
    let api = Api::<Job>::namespaced(context.client.clone(), &namespace);
    let selector = format!(
        "{}={}",
        metadata::IDL_REPO,
        super::job::label_value(&idl_repo.name_any())
    );
    let jobs = list(&api, "Jobs", ListParams::default().labels(&selector)).await?;
    let mut runs = Vec::new();
    for job in jobs.iter().filter(|job| is_owned(job, idl_repo)) {
        let details = match end_is_on_record(job, idl_repo) {
            true => RunDetails::default(),
            false => details(context, job).await?,
        };
        runs.extend(ObservedRun::new(job, &details));
    }
    runs.sort_by_key(|run| (run.created_at, run.is_active(), run.attempt));
    Ok(runs)
}

fn is_owned(job: &Job, idl_repo: &IdlRepo) -> bool {
    job.owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == idl_repo.metadata.uid.as_ref())
}

fn end_is_on_record(job: &Job, idl_repo: &IdlRepo) -> bool {
    let last_run = idl_repo
        .status
        .as_ref()
        .and_then(|status| status.last_run.as_ref());
    run::is_finished(job)
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
        true => pod_refusals(context, job).await?,
        false => Vec::new(),
    };
    Ok(RunDetails { pods, pod_refusals })
}

async fn pod_refusals(context: &Context, job: &Job) -> Result<Vec<String>, ObserveError> {
    let namespace = job.namespace().unwrap_or_default();
    let events = Api::<Event>::namespaced(context.client.clone(), &namespace);
    let selector = format!(
        "regarding.uid={},reason=FailedCreate",
        job.uid().unwrap_or_default()
    );
    let mut events = list(&events, "events", ListParams::default().fields(&selector)).await?;
    events.sort_by_key(|event| event.creation_timestamp());
    Ok(events.into_iter().filter_map(|event| event.note).collect())
}

async fn list<K>(api: &Api<K>, what: &'static str, parameters: ListParams) -> Result<Vec<K>, ObserveError>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let listed = api.list(&parameters.limit(LIST_LIMIT)).await;
    Ok(listed
        .map_err(|source| ObserveError::List { what, source })?
        .items)
}

async fn secrets(
    context: &Context,
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
) -> Result<ObservedSecrets, ObserveError> {
    let namespace = idl_repo.namespace().unwrap_or_default();
    let api = Api::<Secret>::namespaced(context.client.clone(), &namespace);
    let (source, output) = futures::future::try_join(
        secret(&api, spec.source.secret.as_deref()),
        secret(&api, spec.output.secret.as_deref()),
    )
    .await?;
    Ok(ObservedSecrets {
        version: version_of(&[&source, &output]),
        output_problem: credentials("output", &spec.output.url, &output).err(),
        source: credentials("source", &spec.source.url, &source),
    })
}

/// A Secret that a specification may name.
enum Named {
    Nothing,
    Missing(String),
    Present(Box<Secret>),
}

async fn secret(api: &Api<Secret>, name: Option<&str>) -> Result<Named, ObserveError> {
    let Some(name) = name else {
        return Ok(Named::Nothing);
    };
    match api.get_opt(name).await {
        Ok(Some(secret)) => Ok(Named::Present(Box::new(secret))),
        Ok(None) => Ok(Named::Missing(name.to_owned())),
        Err(source) => Err(ObserveError::GetSecret {
            name: name.to_owned(),
            source,
        }),
    }
}

fn version_of(secrets: &[&Named]) -> String {
    let mut digest = Sha256::new();
    for secret in secrets {
        match secret {
            Named::Nothing => digest.update("none"),
            Named::Missing(name) => digest.update(format!("missing {name}")),
            Named::Present(secret) => digest.update(format!(
                "{} {}",
                secret.uid().unwrap_or_default(),
                secret.resource_version().unwrap_or_default()
            )),
        }
        digest.update("\n");
    }
    digest
        .finalize()
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            // Writing to a String has no way to fail.
            write!(text, "{byte:02x}").ok();
            text
        })
}

fn credentials(field: &str, url: &RemoteUrl, secret: &Named) -> Result<Credentials, Problem> {
    let secret = match secret {
        Named::Nothing => return Ok(Credentials::default()),
        Named::Missing(name) => {
            return Err(Problem {
                reason: Reason::SecretNotFound,
                message: format!(
                    "Secret {name}, which {field}.secretRef names, does not exist in this namespace."
                ),
            });
        }
        Named::Present(secret) => secret,
    };
    let data: BTreeMap<_, _> = secret
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.0.clone()))
        .collect();
    Credentials::from_secret(&data)
        .and_then(|credentials| {
            let credentials = credentials.from_origin(format!("Secret {}", secret.name_any()));
            Remote::new(url.clone())
                .with_credentials(credentials.clone())
                .check()?;
            Ok(credentials)
        })
        .map_err(|error| Problem {
            reason: reason(error.kind()),
            message: format!(
                "Secret {}, which {field}.secretRef names: {error}",
                secret.name_any()
            ),
        })
}

async fn check(
    context: &Context,
    spec: &ValidatedSpec,
    secrets: &ObservedSecrets,
) -> Result<Check, NotAsked> {
    let credentials = match &secrets.source {
        Ok(credentials) => credentials.clone(),
        Err(problem) => return Ok(Check::Failed(problem.clone())),
    };
    let remote = Remote::new(spec.source.url.clone()).with_credentials(credentials);
    let check = match context
        .source
        .resolve(remote, spec.source.selector.clone())
        .await?
    {
        Ok(Resolved { commit, reference }) => Check::Found {
            commit: commit.to_string(),
            reference,
        },
        Err(error) => Check::Failed(problem(&error)),
    };
    context.metrics.count_check(&check);
    Ok(check)
}

fn problem(error: &GitError) -> Problem {
    let mut message = heddle_telemetry::ErrorChain(error).to_string();
    heddle_crds::condition::truncate(&mut message, heddle_crds::condition::MESSAGE_LIMIT);
    Problem {
        reason: reason(error.kind()),
        message,
    }
}

fn reason(kind: GitErrorKind) -> Reason {
    match kind {
        GitErrorKind::HostUnknown => Reason::HostUnknown,
        GitErrorKind::ConnectionFailed | GitErrorKind::RedirectRefused => Reason::ConnectionFailed,
        GitErrorKind::Timeout | GitErrorKind::Cancelled => Reason::TimedOut,
        GitErrorKind::TlsNotTrusted => Reason::TlsNotTrusted,
        GitErrorKind::HostKeyNotTrusted => Reason::HostKeyNotTrusted,
        GitErrorKind::AuthenticationFailed => Reason::AuthenticationFailed,
        GitErrorKind::RepositoryNotFound => Reason::RepositoryNotFound,
        GitErrorKind::ReferenceNotFound | GitErrorKind::CommitNotFound => Reason::RefNotFound,
        GitErrorKind::AddressRefused => Reason::AddressRefused,
        GitErrorKind::LimitExceeded => Reason::LimitExceeded,
        GitErrorKind::Rejected => Reason::PushRejected,
        GitErrorKind::InvalidUrl => Reason::InvalidSpec,
        GitErrorKind::InvalidCredentials => Reason::SecretInvalid,
        _ => Reason::InternalError,
    }
}

#[cfg(test)]
impl ObservedSecrets {
    /// Secrets of this version without problems.
    pub(crate) fn for_tests(version: &str) -> Self {
        Self {
            version: version.into(),
            output_problem: None,
            source: Ok(Credentials::default()),
        }
    }
}
