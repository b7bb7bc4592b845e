//! Tells the API server which authorities sign the webhooks' certificate.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Why the API server has not been told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatchError {
    #[error("failed to read {kind} {name}")]
    Get {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to write the caBundle of {kind} {name}")]
    Patch {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// Puts the bundle into both configurations of that name, as far as they are there.
pub(super) async fn patch(client: &Client, name: &str, bundle: &str) -> Result<(), PatchError> {
    let mutating = |configuration: MutatingWebhookConfiguration| {
        let webhooks = configuration.webhooks.into_iter().flatten();
        webhooks
            .map(|webhook| (webhook.name, webhook.client_config.ca_bundle))
            .collect()
    };
    let validating = |configuration: ValidatingWebhookConfiguration| {
        let webhooks = configuration.webhooks.into_iter().flatten();
        webhooks
            .map(|webhook| (webhook.name, webhook.client_config.ca_bundle))
            .collect()
    };
    patch_kind(client, name, bundle, mutating).await?;
    patch_kind(client, name, bundle, validating).await
}

async fn patch_kind<K>(
    client: &Client,
    name: &str,
    bundle: &str,
    webhooks: impl Fn(K) -> Vec<(String, Option<ByteString>)>,
) -> Result<(), PatchError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let kind = || K::kind(&()).into_owned();
    let api = Api::<K>::all(client.clone());
    let found = api.get_opt(name).await.map_err(|source| PatchError::Get {
        kind: kind(),
        name: name.to_owned(),
        source,
    })?;
    let Some(found) = found else { return Ok(()) };
    let operations = operations(&webhooks(found), bundle);
    if operations.is_empty() {
        return Ok(());
    }
    let patch: Patch<()> = Patch::Json(serde_json::from_value(Value::Array(operations)).unwrap_or_default());
    let patched = api.patch(name, &PatchParams::default(), &patch).await;
    patched.map_err(|source| PatchError::Patch {
        kind: kind(),
        name: name.to_owned(),
        source,
    })?;
    tracing::info!(kind = kind(), name, "the API server is told whom to trust");
    Ok(())
}

/// JSON patch (RFC 6902). The name is tested, as a list may have another order by the time the patch arrives.
fn operations(webhooks: &[(String, Option<ByteString>)], bundle: &str) -> Vec<Value> {
    let bundle = ByteString(bundle.as_bytes().to_vec());
    let stale = webhooks
        .iter()
        .enumerate()
        .filter(|(_, (_, current))| current.as_ref() != Some(&bundle));
    stale
        .flat_map(|(index, (name, _))| {
            [
                json!({ "op": "test", "path": format!("/webhooks/{index}/name"), "value": name }),
                json!({ "op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": bundle }),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_stale_is_patched_and_by_its_name() {
        let bundle = Some(ByteString(b"new".to_vec()));
        let old = Some(ByteString(b"old".to_vec()));
        let webhooks = [("a".into(), bundle), ("b".into(), old), ("c".into(), None)];
        let operations = operations(&webhooks, "new");
        let paths: Vec<_> = operations
            .iter()
            .filter_map(|operation| operation["path"].as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "/webhooks/1/name",
                "/webhooks/1/clientConfig/caBundle",
                "/webhooks/2/name",
                "/webhooks/2/clientConfig/caBundle"
            ]
        );
        assert_eq!(operations[1]["value"], "bmV3");
    }
}
