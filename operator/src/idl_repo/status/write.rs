//! Writes a status, once, and only if it says something new.

use heddle_crds::IdlRepoStatus;
use heddle_crds::idl_repo::IdlRepo;
use heddle_crds::metadata::FIELD_MANAGER;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource};
use serde_json::json;

/// Why a status could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteStatusError {
    /// The object has changed since it was read; what was decided for it may be wrong.
    #[error("failed to write the status: the object has changed since it was read")]
    Outdated,
    #[error("failed to write the status")]
    Patch(#[source] kube::Error),
}

/// Writes `after` unless it is what is there. Only to the very version of the object that was read, so that a decision
/// made for a past state is never recorded for the present one. An object that is gone needs no status.
pub(crate) async fn write_if_changed(
    client: &Client,
    object: &ObjectMeta,
    before: Option<&IdlRepoStatus>,
    after: &IdlRepoStatus,
) -> Result<(), WriteStatusError> {
    if before == Some(after) {
        return Ok(());
    }
    let (name, namespace) = (
        object.name.as_deref().unwrap_or_default(),
        object.namespace.as_deref(),
    );
    // The answer holds the whole object, which need not be readable to have a status.
    let api = Api::<DeserializeGuard<IdlRepo>>::namespaced(client.clone(), namespace.unwrap_or_default());
    let patch = json!({
        "apiVersion": IdlRepo::api_version(&()),
        "kind": IdlRepo::kind(&()),
        "metadata": {
            "name": name,
            "namespace": namespace,
            "resourceVersion": object.resource_version,
        },
        "status": after,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(name, &parameters, &Patch::Apply(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Err(WriteStatusError::Outdated),
        Err(source) => Err(WriteStatusError::Patch(source)),
    }
}
