//! Makes the account that an IdlRepo's Jobs run as, and takes none over that is somebody else's.

use super::{ApplyError, is_refusal, problem};
use crate::context::Context;
use crate::idl_repo::job;
use crate::idl_repo::observe::Problem;
use heddle_crds::idl_repo::{IdlRepo, Reason};
use heddle_crds::metadata::FIELD_MANAGER;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

/// Makes the account or brings it up to date. What keeps it from being there, if people have to see to that.
pub(super) async fn apply(context: &Context, idl_repo: &IdlRepo) -> Result<Option<Problem>, ApplyError> {
    let account = job::service_account(idl_repo);
    let name = account.name_any();
    match apply_own(context, idl_repo, &account).await {
        Ok(Ownership::Own) => Ok(None),
        Ok(Ownership::Foreign) => Ok(Some(Problem {
            reason: Reason::JobFailed,
            message: format!(
                "Service account {name} exists and is not controlled by this IdlRepo, and Heddle takes nothing over. \
                 Delete or rename it."
            ),
        })),
        Err(kube::Error::Api(status)) if is_refusal(&status) => {
            Ok(Some(problem("service account", &account, &status)))
        }
        Err(source) => Err(ApplyError::ApplyServiceAccount { name, source }),
    }
}

enum Ownership {
    Own,
    Foreign,
}

async fn apply_own(
    context: &Context,
    idl_repo: &IdlRepo,
    account: &ServiceAccount,
) -> Result<Ownership, kube::Error> {
    let namespace = idl_repo.namespace().unwrap_or_default();
    let accounts = Api::<ServiceAccount>::namespaced(context.client.clone(), &namespace);
    let name = account.name_any();
    // A patch that changes nothing answers with what is there: the right to read accounts is not needed otherwise.
    let nothing = Patch::Merge(json!({}));
    match accounts.patch(&name, &PatchParams::default(), &nothing).await {
        Ok(existing) if is_controlled_by(&existing, idl_repo) => {
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            accounts.patch(&name, &parameters, &Patch::Apply(account)).await?;
        }
        Ok(_) => return Ok(Ownership::Foreign),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let parameters = PostParams {
                field_manager: Some(FIELD_MANAGER.into()),
                ..PostParams::default()
            };
            accounts.create(&parameters, account).await?;
        }
        Err(error) => return Err(error),
    }
    Ok(Ownership::Own)
}

fn is_controlled_by(account: &ServiceAccount, idl_repo: &IdlRepo) -> bool {
    account
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && Some(&owner.uid) == idl_repo.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

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
