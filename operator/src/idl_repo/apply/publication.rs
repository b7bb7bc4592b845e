//! Makes the ConfigMaps that a run publishes to and the right to write to them, and takes both away.

use super::{ApplyError, owned};
use crate::context::Context;
use crate::descriptors::COMPONENT as DESCRIPTORS;
use crate::idl_repo::job::{COMPONENT, labels_of, service_account_name};
use crate::idl_repo::observe::Problem;
use crate::idl_repo::plan::Leftovers;
use heddle_crds::idl_repo::{IdlRepo, Reason};
use heddle_crds::publication::{index_name, slot_names};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};

/// Makes everything that a run needs to publish. What keeps something from being there, if people have to see to that.
///
/// The ConfigMaps are made here and empty, as the right to create objects cannot be bound to names.
pub(super) async fn apply(
    context: &Context,
    idl_repo: &IdlRepo,
    slots: usize,
) -> Result<Option<Problem>, ApplyError> {
    let names = config_map_names(idl_repo, slots);
    for name in &names {
        let config_map = config_map(idl_repo, name.clone());
        if let Some(problem) = owned::apply(context, idl_repo, &config_map).await? {
            return Ok(Some(unprepared(problem)));
        }
    }
    if let Some(problem) = owned::apply(context, idl_repo, &role(idl_repo, names)).await? {
        return Ok(Some(unprepared(problem)));
    }
    let binding = owned::apply(context, idl_repo, &role_binding(idl_repo)).await?;
    Ok(binding.map(unprepared))
}

/// What keeps an object of the publication from being there keeps the whole run from starting, so the way round it is
/// named too.
fn unprepared(problem: Problem) -> Problem {
    Problem {
        reason: Reason::PublicationUnprepared,
        message: format!(
            "{} Until then no run starts; with spec.publish.enabled false, runs deliver code without publishing.",
            problem.message
        ),
    }
}

/// Takes away what is left over: the right to write first, so that what is gone stays gone.
pub(super) async fn remove(
    context: &Context,
    idl_repo: &IdlRepo,
    leftovers: &Leftovers,
) -> Result<(), ApplyError> {
    if leftovers.rights {
        let name = service_account_name(idl_repo);
        owned::delete::<RoleBinding>(context, idl_repo, &name).await?;
        owned::delete::<Role>(context, idl_repo, &name).await?;
    }
    for name in &leftovers.config_maps {
        owned::delete::<ConfigMap>(context, idl_repo, name).await?;
    }
    Ok(())
}

fn config_map_names(idl_repo: &IdlRepo, slots: usize) -> Vec<String> {
    let name = idl_repo.name_any();
    let slots = slot_names(&name).into_iter().take(slots);
    std::iter::once(index_name(&name)).chain(slots).collect()
}

fn metadata(idl_repo: &IdlRepo, name: String, component: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: idl_repo.namespace(),
        labels: Some(labels_of(idl_repo, component)),
        owner_references: idl_repo.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn config_map(idl_repo: &IdlRepo, name: String) -> ConfigMap {
    ConfigMap {
        metadata: metadata(idl_repo, name, DESCRIPTORS),
        ..ConfigMap::default()
    }
}

/// The ConfigMaps of this IdlRepo and nothing else. Only those that the operator has made: one that is to come might be
/// somebody else's by then.
fn role(idl_repo: &IdlRepo, names: Vec<String>) -> Role {
    Role {
        metadata: metadata(idl_repo, service_account_name(idl_repo), COMPONENT),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["configmaps".into()]),
            resource_names: Some(names),
            verbs: ["get", "patch"].map(str::to_owned).into(),
            ..PolicyRule::default()
        }]),
    }
}

fn role_binding(idl_repo: &IdlRepo) -> RoleBinding {
    let account = service_account_name(idl_repo);
    RoleBinding {
        metadata: metadata(idl_repo, account.clone(), COMPONENT),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: account.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: account,
            namespace: idl_repo.namespace(),
            ..Subject::default()
        }]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_cannot_publish_is_told_the_object_and_how_to_go_on_without() {
        let problem = unprepared(Problem {
            reason: Reason::JobFailed,
            message: "ConfigMap shop-descriptors exists.".into(),
        });
        assert_eq!(problem.reason, Reason::PublicationUnprepared);
        for words in ["ConfigMap shop-descriptors", "spec.publish.enabled false"] {
            assert!(problem.message.contains(words), "{}", problem.message);
        }
    }

    #[test]
    fn a_run_may_read_and_patch_its_own_config_maps_and_do_nothing_else() {
        let mut idl_repo = IdlRepo::new(
            "shop",
            serde_json::from_value(json!({
                "source": { "url": "https://git.example/idl.git" },
                "generate": [{ "name": "rust", "plugin": "prost" }],
                "output": { "url": "https://git.example/generated.git" },
            }))
            .unwrap(),
        );
        idl_repo.metadata.namespace = Some("default".into());
        let rules = role(&idl_repo, config_map_names(&idl_repo, 2)).rules.unwrap();
        let [rule] = rules.as_slice() else {
            panic!("{rules:?}")
        };
        assert_eq!(rule.verbs, ["get", "patch"]);
        assert_eq!(rule.resources.as_deref().unwrap(), ["configmaps"]);
        assert_eq!(
            rule.resource_names.as_deref().unwrap(),
            ["shop-descriptors", "shop-descriptors-1", "shop-descriptors-2"]
        );
        let subjects = role_binding(&idl_repo).subjects.unwrap();
        assert_eq!(subjects[0].name, service_account_name(&idl_repo));
    }
}
