//! Every read: the IdlRepo itself, its Jobs with their pods and events, its Secrets, what is published of it, and, when
//! it is time, the source.

mod check;
mod publication;
mod runs;
mod secrets;

use crate::conditions;
use crate::context::Context;
use crate::source::Stopping;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoStatus, Reason};
use heddle_git_remote::GitErrorKind;
use kube::api::{ApiResource, DynamicObject, ObjectMeta};
use kube::{Api, ResourceExt};
use serde::Deserialize;

pub(crate) use super::run::ObservedRun;
pub(crate) use check::{Check, check};
pub(crate) use publication::{ObservedPublication, publication};
pub(crate) use runs::runs;
pub(crate) use secrets::{ObservedSecrets, secrets};

/// The world around one IdlRepo.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// Its runs, oldest first.
    pub(crate) runs: Vec<ObservedRun>,
    pub(crate) secrets: ObservedSecrets,
    pub(crate) publication: ObservedPublication,
    /// See [`crate::settings::JobDefaults::version`].
    pub(crate) settings_version: String,
    /// Whether it is time to ask the source, and it is not this object's turn.
    pub(crate) awaits_source: bool,
    /// The answer of the source, if it was time to ask.
    pub(crate) check: Option<Check>,
}

/// Something that people have to know of.
pub(crate) type Problem = conditions::Problem<Reason>;

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
    #[error("failed to read Secret {name}")]
    GetSecret {
        name: String,
        #[source]
        source: kube::Error,
    },
    /// Nothing can be decided without the answer.
    #[error("failed to ask the source")]
    Ask(#[from] Stopping),
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
    let kind = ApiResource::erase::<IdlRepo>(&());
    let api = Api::<DynamicObject>::namespaced_with(context.client.clone(), namespace, &kind);
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

/// Whether the IdlRepo is still the version that was read.
pub(crate) async fn is_current(context: &Context, idl_repo: &IdlRepo) -> Result<bool, ObserveError> {
    let namespace = idl_repo.namespace().unwrap_or_default();
    let api = Api::<IdlRepo>::namespaced(context.client.clone(), &namespace);
    let now = api
        .get_metadata_opt(&idl_repo.name_any())
        .await
        .map_err(ObserveError::GetIdlRepo)?;
    Ok(now.is_some_and(|now| now.metadata.resource_version == idl_repo.metadata.resource_version))
}

fn reason(kind: GitErrorKind) -> Reason {
    match kind {
        GitErrorKind::HostUnknown => Reason::HostUnknown,
        GitErrorKind::ConnectionFailed | GitErrorKind::RedirectRefused => Reason::ConnectionFailed,
        GitErrorKind::Timeout => Reason::TimedOut,
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
