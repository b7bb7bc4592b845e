//! Reads what is published of an IdlRepo: the metadata of its ConfigMaps, never the set itself.

use super::ObserveError;
use super::runs::{is_owned, list_metadata};
use crate::context::Context;
use crate::descriptors::COMPONENT as DESCRIPTORS;
use crate::idl_repo::job::label_value;
use heddle_crds::idl_repo::{IdlRepo, Published};
use heddle_crds::{metadata, publication};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use std::collections::BTreeSet;

/// What is published of an IdlRepo.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedPublication {
    /// The newest set, if there is one.
    pub(crate) published: Option<Published>,
    /// The ConfigMaps with its chunks, if it has any.
    pub(crate) named: Vec<String>,
    /// Those of them that are not there, or that nothing was written to since they were made.
    pub(crate) missing: Vec<String>,
    /// Every ConfigMap of the IdlRepo's publication.
    pub(crate) config_maps: BTreeSet<String>,
    /// See [`publication::slot_names`].
    pub(crate) slot_names: Vec<String>,
}

/// Reads the ConfigMaps.
pub(crate) async fn publication(
    context: &Context,
    idl_repo: &IdlRepo,
) -> Result<ObservedPublication, ObserveError> {
    let namespace = idl_repo.namespace().unwrap_or_default();
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &namespace);
    let selector = format!(
        "{}={},{}={DESCRIPTORS}",
        metadata::IDL_REPO,
        label_value(&idl_repo.name_any()),
        metadata::COMPONENT,
    );
    let mut config_maps = list_metadata(&api, "ConfigMaps", &selector).await?;
    config_maps.retain(|config_map| is_owned(config_map, idl_repo));
    Ok(ObservedPublication::new(&idl_repo.name_any(), &config_maps))
}

impl ObservedPublication {
    fn new(idl_repo: &str, found: &[PartialObjectMeta<ConfigMap>]) -> Self {
        let index_name = publication::index_name(idl_repo);
        let config_maps: BTreeSet<_> = found.iter().map(ResourceExt::name_any).collect();
        // One that was deleted is made anew before a run fills it, and stays empty if that run fails.
        let filled: BTreeSet<_> = found
            .iter()
            .filter(|config_map| config_map.annotations().contains_key(metadata::SOURCE_COMMIT))
            .map(ResourceExt::name_any)
            .collect();
        let index = found
            .iter()
            .find(|config_map| config_map.name_any() == index_name);
        let named: Vec<_> = index
            .and_then(|index| index.annotations().get(metadata::DESCRIPTORS_SLOTS))
            .map(|names| {
                names
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default();
        Self {
            published: index.and_then(published),
            missing: named
                .iter()
                .filter(|name| !filled.contains(*name))
                .cloned()
                .collect(),
            named,
            config_maps,
            slot_names: publication::slot_names(idl_repo),
        }
    }
}

/// `None` for an index that nothing was written to yet, or that somebody has damaged.
fn published(index: &PartialObjectMeta<ConfigMap>) -> Option<Published> {
    let annotation = |name: &str| index.annotations().get(name);
    Some(Published {
        digest: annotation(metadata::DESCRIPTORS_DIGEST)?.clone(),
        source_commit: annotation(metadata::SOURCE_COMMIT)?.clone(),
        config_map: index.name_any(),
        chunks: annotation(metadata::DESCRIPTORS_CHUNKS)?.parse().ok()?,
        bytes: annotation(metadata::DESCRIPTORS_BYTES)?.parse().ok()?,
    })
}

#[cfg(test)]
impl ObservedPublication {
    /// A set of this commit that fits the index.
    pub(crate) fn for_tests(commit: &str) -> Self {
        let published = Published {
            digest: "sha256:0".into(),
            source_commit: commit.into(),
            config_map: "shop-descriptors".into(),
            chunks: 1,
            bytes: 10,
        };
        Self {
            published: Some(published),
            config_maps: ["shop-descriptors".to_owned()].into(),
            slot_names: publication::slot_names("shop"),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config_map(name: &str, annotations: serde_json::Value) -> PartialObjectMeta<ConfigMap> {
        serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "annotations": annotations },
        }))
        .unwrap()
    }

    #[test]
    fn an_empty_index_is_no_publication_and_a_missing_chunk_is_named() {
        let empty = ObservedPublication::new("shop", &[config_map("shop-descriptors", json!({}))]);
        assert_eq!(empty.published, None);
        assert_eq!(empty.config_maps.len(), 1);

        let annotations = json!({
            "heddle.dev/descriptors-digest": "sha256:1",
            "heddle.dev/source-commit": "c0ffee",
            "heddle.dev/descriptors-chunks": "2",
            "heddle.dev/descriptors-bytes": "42",
            "heddle.dev/descriptors-slots": "shop-descriptors-1,shop-descriptors-2",
        });
        let found = [
            config_map("shop-descriptors", annotations),
            config_map("shop-descriptors-2", written()),
        ];
        let chunked = ObservedPublication::new("shop", &found);
        assert_eq!(chunked.published.unwrap().chunks, 2);
        assert_eq!(chunked.missing, ["shop-descriptors-1"]);
    }

    /// What a run leaves on a chunk.
    fn written() -> serde_json::Value {
        json!({ "heddle.dev/source-commit": "c0ffee" })
    }

    #[test]
    fn a_chunk_that_was_made_anew_and_not_filled_is_missing() {
        let index = json!({ "heddle.dev/descriptors-slots": "shop-descriptors-1,shop-descriptors-2" });
        let found = [
            config_map("shop-descriptors", index),
            config_map("shop-descriptors-1", json!({})),
            config_map("shop-descriptors-2", written()),
        ];
        let observed = ObservedPublication::new("shop", &found);
        assert_eq!(observed.missing, ["shop-descriptors-1"]);
        assert_eq!(observed.config_maps.len(), 3);
    }
}
