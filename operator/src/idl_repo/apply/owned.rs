//! Makes and takes away objects that belong to an IdlRepo, and touches none that is somebody else's.

use super::{ApplyError, is_refusal, refusal};
use crate::context::Context;
use crate::idl_repo::observe::Problem;
use heddle_crds::idl_repo::{IdlRepo, Reason};
use heddle_crds::metadata::FIELD_MANAGER;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// A kind of object that IdlRepos own.
pub(super) trait Owned:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl<K> Owned for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
{
}

/// Makes the object or brings it up to date. What keeps it from being there, if people have to see to that.
pub(super) async fn apply<K: Owned>(
    context: &Context,
    idl_repo: &IdlRepo,
    object: &K,
) -> Result<Option<Problem>, ApplyError> {
    let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
    match apply_own(&api(context, idl_repo), idl_repo, object).await {
        Ok(Ownership::Own) => Ok(None),
        Ok(Ownership::Foreign) => Ok(Some(Problem {
            reason: Reason::JobFailed,
            message: format!(
                "{kind} {name} exists and is not controlled by this IdlRepo, and Heddle takes nothing over. \
                 Delete or rename it."
            ),
        })),
        Err(kube::Error::Api(status)) if is_refusal(&status) => Ok(Some(refusal(&kind, object, &status))),
        Err(source) => Err(ApplyError::ApplyOwned { kind, name, source }),
    }
}

/// Deletes the object if it is the IdlRepo's.
pub(super) async fn delete<K: Owned>(
    context: &Context,
    idl_repo: &IdlRepo,
    name: &str,
) -> Result<(), ApplyError> {
    let deleted = delete_own::<K>(&api(context, idl_repo), idl_repo, name).await;
    deleted.map_err(|source| ApplyError::DeleteOwned {
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        source,
    })
}

enum Ownership {
    Own,
    Foreign,
}

fn api<K: Owned>(context: &Context, idl_repo: &IdlRepo) -> Api<K> {
    Api::namespaced(context.client.clone(), &idl_repo.namespace().unwrap_or_default())
}

/// What is there. A patch that changes nothing answers with that: the right to read is not needed otherwise.
async fn existing<K: Owned>(api: &Api<K>, name: &str) -> Result<Option<K>, kube::Error> {
    let nothing = Patch::Merge(json!({}));
    match api.patch(name, &PatchParams::default(), &nothing).await {
        Ok(existing) => Ok(Some(existing)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

async fn apply_own<K: Owned>(api: &Api<K>, idl_repo: &IdlRepo, object: &K) -> Result<Ownership, kube::Error> {
    let name = object.name_any();
    match existing(api, &name).await? {
        Some(existing) if is_controlled_by(&existing, idl_repo) => {
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            api.patch(&name, &parameters, &Patch::Apply(object)).await?;
        }
        Some(_) => return Ok(Ownership::Foreign),
        None => {
            let parameters = PostParams {
                field_manager: Some(FIELD_MANAGER.into()),
                ..PostParams::default()
            };
            api.create(&parameters, object).await?;
        }
    }
    Ok(Ownership::Own)
}

async fn delete_own<K: Owned>(api: &Api<K>, idl_repo: &IdlRepo, name: &str) -> Result<(), kube::Error> {
    let Some(existing) = existing(api, name).await? else {
        return Ok(());
    };
    if !is_controlled_by(&existing, idl_repo) {
        return Ok(());
    }
    let parameters = DeleteParams::background().preconditions(Preconditions {
        uid: existing.uid(),
        resource_version: None,
    });
    match api.delete(name, &parameters).await {
        // Gone, or replaced by somebody else's, since.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
        deleted => deleted.map(drop),
    }
}

fn is_controlled_by(object: &impl ResourceExt, idl_repo: &IdlRepo) -> bool {
    object
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && Some(&owner.uid) == idl_repo.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idl_repo::job;
    use k8s_openapi::api::core::v1::ServiceAccount;

    #[test]
    fn an_account_without_a_controller_or_with_another_is_somebody_else_s() {
        let idl_repo = |uid: &str| -> IdlRepo {
            let mut object = IdlRepo::new(
                "shop",
                serde_json::from_value(json!({
                    "source": { "url": "https://git.example/idl.git" },
                    "generate": [{ "name": "rust", "plugin": "prost" }],
                    "output": { "url": "https://git.example/generated.git" },
                }))
                .unwrap(),
            );
            object.metadata.uid = Some(uid.into());
            object
        };
        let (own, other) = (idl_repo("u1"), idl_repo("u2"));
        assert!(is_controlled_by(&job::service_account(&own), &own));
        assert!(!is_controlled_by(&job::service_account(&other), &own));
        let mut merely_owned = job::service_account(&own);
        merely_owned.owner_references_mut()[0].controller = None;
        assert!(!is_controlled_by(&merely_owned, &own));
        assert!(!is_controlled_by(&ServiceAccount::default(), &own));
    }
}
