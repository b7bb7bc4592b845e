//! Reads what is published, as any program in the cluster can.

use heddle_crds::publication::{
    CHUNK_KEY, INDEX_KEY, Index, ReadError, SET_BYTES_LIMIT, SET_KEY, UncompressError, index_name, uncompress,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

/// How often the index is read again when chunks do not match it.
const TRIES: u32 = 5;

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub enum ReadPublishedError {
    /// The API refused.
    #[error("failed to read ConfigMap {name}")]
    Get {
        /// The ConfigMap.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// There is nothing in it.
    #[error("failed to find a descriptor set in ConfigMap {name}: nothing was published yet")]
    Find {
        /// The ConfigMap.
        name: String,
    },
    /// What is there is no set.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not compressed as it should be, or too large.
    #[error(transparent)]
    Uncompress(#[from] UncompressError),
}

/// The descriptor set that is published for an IdlRepo, serialised.
///
/// # Errors
/// When there is none, or what is there does not belong together even after several looks.
pub async fn read(client: Client, namespace: &str, idl_repo: &str) -> Result<Vec<u8>, ReadPublishedError> {
    let api = Api::<ConfigMap>::namespaced(client, namespace);
    let name = index_name(idl_repo);
    let mut tries = 0;
    loop {
        tries += 1;
        match read_once(&api, &name).await {
            // Somebody has published since the index was read.
            Err(ReadPublishedError::Read(ReadError::MatchChunk(_)) | ReadPublishedError::Find { .. })
                if tries < TRIES => {}
            result => return result,
        }
    }
}

async fn read_once(api: &Api<ConfigMap>, name: &str) -> Result<Vec<u8>, ReadPublishedError> {
    let config_map = get(api, name).await?;
    let text = config_map.data.as_ref().and_then(|data| data.get(INDEX_KEY));
    let find = || ReadPublishedError::Find {
        name: name.to_owned(),
    };
    let index = Index::parse(text.ok_or_else(find)?)?;
    let mut compressed = Vec::new();
    if index.chunks.is_empty() {
        compressed = value(&config_map, SET_KEY).ok_or_else(find)?;
    }
    for chunk in &index.chunks {
        // Slots that are no longer needed are deleted.
        let slot = match get(api, &chunk.config_map).await {
            Err(ReadPublishedError::Get {
                source: kube::Error::Api(status),
                ..
            }) if status.code == 404 => ConfigMap::default(),
            slot => slot?,
        };
        let bytes = value(&slot, CHUNK_KEY).unwrap_or_default();
        chunk.check(&bytes)?;
        compressed.extend(bytes);
    }
    let set = uncompress(&*compressed, SET_BYTES_LIMIT)?;
    index.check(&set)?;
    Ok(set)
}

async fn get(api: &Api<ConfigMap>, name: &str) -> Result<ConfigMap, ReadPublishedError> {
    let got = api.get(name).await;
    got.map_err(|source| ReadPublishedError::Get {
        name: name.to_owned(),
        source,
    })
}

fn value(config_map: &ConfigMap, key: &str) -> Option<Vec<u8>> {
    let data = config_map.binary_data.as_ref()?;
    data.get(key).map(|bytes| bytes.0.clone())
}
