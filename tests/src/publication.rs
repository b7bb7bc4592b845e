//! Published descriptor sets, as a run would leave them.

use crate::namespace::TestNamespace;
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heddle_crds::publication::{
    CHUNK_KEY, COMPRESSION, Chunk, INDEX_KEY, Index, SET_KEY, digest, index_name, slot_names,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// The most bytes of a chunk, so that sets of tests have several.
const CHUNK_BYTES: usize = 700_000;

/// Publishes a set, given with what it is compressed, for an IdlRepo, which need not be there. The digest.
///
/// # Errors
/// Those of the API.
pub async fn publish(
    namespace: &TestNamespace,
    idl_repo: &str,
    set: &[u8],
    compressed: &[u8],
) -> Result<String> {
    let api = Api::<ConfigMap>::namespaced(namespace.client.clone(), &namespace.name);
    let is_one = compressed.len() <= CHUNK_BYTES;
    let mut chunks = Vec::new();
    for (name, chunk) in slot_names(idl_repo)
        .into_iter()
        .zip(compressed.chunks(CHUNK_BYTES))
    {
        if is_one {
            break;
        }
        apply(
            &api,
            &name,
            json!({ "binaryData": { CHUNK_KEY: STANDARD.encode(chunk) } }),
        )
        .await?;
        chunks.push(Chunk {
            config_map: name,
            digest: digest(chunk),
        });
    }
    let index = Index {
        digest: digest(set),
        source_commit: "c0ffee".into(),
        bytes: set.len() as u64,
        compression: COMPRESSION.into(),
        chunks,
    };
    let mut published = json!({
        "metadata": {
            "labels": { "app.kubernetes.io/component": "descriptors" },
            "annotations": { "heddle.dev/descriptors-digest": index.digest },
        },
        "data": { INDEX_KEY: index.to_json() },
    });
    if is_one {
        published["binaryData"] = json!({ SET_KEY: STANDARD.encode(compressed) });
    }
    apply(&api, &index_name(idl_repo), published).await?;
    Ok(index.digest)
}

async fn apply(api: &Api<ConfigMap>, name: &str, mut object: Value) -> Result<()> {
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("ConfigMap");
    object["metadata"]["name"] = json!(name);
    let parameters = PatchParams::apply("tests");
    api.patch(name, &parameters, &Patch::Apply(&object)).await?;
    Ok(())
}
