//! Publishes the descriptor set in the cluster, by the contract of [`heddle_crds::publication`].

mod read;

use crate::redact::Redactor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heddle_crds::codegen::{API_AUTHORITY, API_TOKEN};
use heddle_crds::idl_repo::{Published, Reason};
use heddle_crds::metadata;
use heddle_crds::publication::{
    CHUNK_BYTES, CHUNK_KEY, CHUNKS_LIMIT, COMPRESSION, Chunk, INDEX_KEY, Index, SET_BYTES_LIMIT, SET_KEY,
    digest, index_name, slot_names,
};
use heddle_git_remote::CommitId;
use heddle_telemetry::TraceParent;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use read::{ReadPublishedError, read};

/// Who owns what a run writes to the ConfigMaps.
const FIELD_MANAGER: &str = "heddle-codegen";
/// How hard zstd tries; more costs much time and saves little of descriptors.
const COMPRESSION_LEVEL: i32 = 12;
/// How often the index is read again after somebody has changed it meanwhile.
const TRIES: u32 = 4;
/// How long all of it may take: the code is delivered by then, and the run's own time may be over.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Where Kubernetes tells every container the address of its API.
const HOST_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";
const PORT_VARIABLE: &str = "KUBERNETES_SERVICE_PORT";

/// A descriptor set that is ready to be published.
#[derive(Clone, Debug)]
pub struct Package {
    digest: String,
    bytes: u64,
    commit: CommitId,
    /// The compressed set in chunks, at least one.
    chunks: Vec<Vec<u8>>,
}

/// Where it goes.
pub struct Publisher {
    api: Api<ConfigMap>,
    idl_repo: String,
}

/// Why a set is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is too large.
    #[error(
        "failed to publish the descriptor set: {found} {what}, and at most {allowed} can be published; narrow \
         spec.source.include, or set spec.publish.enabled to false"
    )]
    Exceed {
        /// How many there are.
        found: usize,
        /// How many there may be.
        allowed: usize,
        /// Of what.
        what: &'static str,
    },
    /// zstd failed.
    #[error("failed to compress the descriptor set")]
    Compress(#[source] std::io::Error),
    /// Nothing says where the API is.
    #[error("failed to find the API: {variable} is not set")]
    FindApi {
        /// What would say it.
        variable: &'static str,
    },
    /// The credentials for the API cannot be used.
    #[error("failed to use the credentials for the API in {}", folder.display())]
    Configure {
        /// Where they are.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// No client could be made of them.
    #[error("failed to make a client of the API")]
    Connect(#[source] kube::Error),
    /// The operator has to make more ConfigMaps first.
    #[error(
        "failed to publish {chunks} chunks: ConfigMap {missing} is not there, or this run has no right to it yet"
    )]
    Prepare {
        /// How many chunks there are.
        chunks: usize,
        /// The first that is missing.
        missing: String,
    },
    /// The API refused.
    #[error("failed to write the descriptor set to ConfigMap {name}")]
    Write {
        /// The ConfigMap.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// Others kept changing the index.
    #[error(
        "failed to write the descriptor set to ConfigMap {name}: others changed it during each of {TRIES} tries"
    )]
    Settle {
        /// The ConfigMap.
        name: String,
    },
    /// The API took too long.
    #[error("failed to publish the descriptor set within {} s", TIMEOUT.as_secs())]
    TimeOut,
}

impl PublishError {
    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Exceed { .. } => Reason::LimitExceeded,
            Self::Prepare { .. } => Reason::PublicationUnprepared,
            _ => Reason::PublicationFailed,
        }
    }
}

impl Package {
    /// Compresses and cuts a serialised set that describes `commit`.
    ///
    /// # Errors
    /// [`PublishError::Exceed`] and [`PublishError::Compress`].
    pub fn new(set: &[u8], commit: CommitId) -> Result<Self, PublishError> {
        let exceed = |found, allowed, what| PublishError::Exceed { found, allowed, what };
        if set.len() > SET_BYTES_LIMIT {
            return Err(exceed(set.len(), SET_BYTES_LIMIT, "bytes"));
        }
        let compressed = zstd::bulk::compress(set, COMPRESSION_LEVEL).map_err(PublishError::Compress)?;
        let chunks: Vec<_> = compressed.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect();
        if chunks.len() > CHUNKS_LIMIT {
            let (found, allowed) = (compressed.len(), CHUNKS_LIMIT * CHUNK_BYTES);
            return Err(exceed(found, allowed, "bytes after compression"));
        }
        Ok(Self {
            digest: digest(set),
            bytes: set.len() as u64,
            commit,
            chunks,
        })
    }

    /// How many chunks it has.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    fn index(&self, slots: &[String]) -> Index {
        let chunk = |(name, bytes): (&String, &Vec<u8>)| Chunk {
            config_map: name.clone(),
            digest: digest(bytes),
        };
        Index {
            digest: self.digest.clone(),
            source_commit: self.commit.to_string(),
            bytes: self.bytes,
            compression: COMPRESSION.into(),
            chunks: slots.iter().zip(&self.chunks).map(chunk).collect(),
        }
    }
}

impl Publisher {
    /// Publishes for an IdlRepo with the credentials in `folder`.
    ///
    /// # Errors
    /// When those cannot be used.
    pub async fn in_cluster(folder: &Path, namespace: &str, idl_repo: &str) -> Result<Self, PublishError> {
        let kubeconfig = kubeconfig(folder, namespace)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.map_err(|source| PublishError::Configure {
            folder: folder.to_owned(),
            source,
        })?;
        config.connect_timeout = Some(TIMEOUT);
        config.read_timeout = Some(TIMEOUT);
        let client = Client::try_from(config).map_err(PublishError::Connect)?;
        Ok(Self {
            api: Api::namespaced(client, namespace),
            idl_repo: idl_repo.to_owned(),
        })
    }

    /// Writes the set: chunks first, and the index when all of them are there.
    ///
    /// # Errors
    /// When the API refuses or does not answer, or there are not enough ConfigMaps.
    pub async fn publish(&self, package: &Package) -> Result<Published, PublishError> {
        let written = tokio::time::timeout(TIMEOUT, self.write(package)).await;
        written.unwrap_or(Err(PublishError::TimeOut))
    }

    async fn write(&self, package: &Package) -> Result<Published, PublishError> {
        let name = index_name(&self.idl_repo);
        for _ in 0..TRIES {
            let index = self.api.get(&name).await;
            let index = index.map_err(|source| self.fail(&name, package, source))?;
            let slots = self.write_chunks(package, &index).await?;
            let written = self
                .patch(&name, &index_patch(package, &slots, index.resource_version()))
                .await;
            match written {
                Ok(()) => return Ok(published(package, name)),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(source) => return Err(self.fail(&name, package, source)),
            }
        }
        Err(PublishError::Settle { name })
    }

    /// Fills slots that nobody reads, and gives their names; none for a set that fits the index.
    async fn write_chunks(&self, package: &Package, index: &ConfigMap) -> Result<Vec<String>, PublishError> {
        if package.chunk_count() == 1 {
            return Ok(Vec::new());
        }
        let slots = self.choose_slots(package, index);
        for (name, chunk) in slots.iter().zip(&package.chunks) {
            let patch = json!({
                "metadata": { "annotations": { metadata::SOURCE_COMMIT: package.commit.to_string() } },
                "binaryData": { CHUNK_KEY: STANDARD.encode(chunk) },
            });
            let written = self.patch(name, &patch).await;
            written.map_err(|source| self.fail(name, package, source))?;
        }
        Ok(slots)
    }

    /// Slots that the index does not name: who has read it still finds in those that it names what it says.
    fn choose_slots(&self, package: &Package, index: &ConfigMap) -> Vec<String> {
        let data = index.data.as_ref().and_then(|data| data.get(INDEX_KEY));
        let named = data
            .and_then(|text| Index::parse(text).ok())
            .map(|index| index.chunks);
        let named = named.unwrap_or_default();
        let is_same = |(chunk, bytes): (&Chunk, &Vec<u8>)| chunk.check(bytes).is_ok();
        // The same set again, as after a comment has changed, or to replace a chunk that somebody has deleted.
        if named.len() == package.chunk_count() && named.iter().zip(&package.chunks).all(is_same) {
            return named.into_iter().map(|chunk| chunk.config_map).collect();
        }
        let mut free = slot_names(&self.idl_repo);
        free.retain(|name| named.iter().all(|chunk| chunk.config_map != *name));
        free.truncate(package.chunk_count());
        free
    }

    async fn patch(&self, name: &str, patch: &Value) -> Result<(), kube::Error> {
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        self.api
            .patch(name, &parameters, &Patch::Merge(patch))
            .await
            .map(drop)
    }

    /// That something is missing and that it may not be touched are the same here: the operator makes both at once.
    fn fail(&self, name: &str, package: &Package, source: kube::Error) -> PublishError {
        match source {
            kube::Error::Api(status) if [403, 404].contains(&status.code) => PublishError::Prepare {
                chunks: package.chunk_count(),
                missing: name.to_owned(),
            },
            source => PublishError::Write {
                name: name.to_owned(),
                source,
            },
        }
    }
}

fn published(package: &Package, config_map: String) -> Published {
    Published {
        digest: package.digest.clone(),
        source_commit: package.commit.to_string(),
        config_map,
        chunks: u32::try_from(package.chunk_count()).unwrap_or(u32::MAX),
        bytes: i64::try_from(package.bytes).unwrap_or(i64::MAX),
    }
}

fn index_patch(package: &Package, slots: &[String], version: Option<String>) -> Value {
    let index = package.index(slots);
    let mut annotations = BTreeMap::from([
        (metadata::DESCRIPTORS_DIGEST.to_owned(), index.digest.clone()),
        (metadata::SOURCE_COMMIT.to_owned(), index.source_commit.clone()),
        (
            metadata::DESCRIPTORS_CHUNKS.to_owned(),
            index.config_maps().to_string(),
        ),
        (metadata::DESCRIPTORS_BYTES.to_owned(), index.bytes.to_string()),
        (
            metadata::DESCRIPTORS_COMPRESSION.to_owned(),
            index.compression.clone(),
        ),
        (metadata::DESCRIPTORS_SLOTS.to_owned(), slots.join(",")),
    ]);
    if let Some(trace_parent) = TraceParent::current() {
        trace_parent.write_annotations(&mut annotations);
    }
    let inline = match (slots, package.chunks.as_slice()) {
        ([], [whole]) => json!(STANDARD.encode(whole)),
        _ => Value::Null,
    };
    json!({
        // Only if nobody has changed it since it was read.
        "metadata": { "resourceVersion": version, "annotations": annotations },
        "data": { INDEX_KEY: index.to_json() },
        "binaryData": { SET_KEY: inline },
    })
}

/// The token is read from its file for each request: the kubelet renews it.
fn kubeconfig(folder: &Path, namespace: &str) -> Result<Kubeconfig, PublishError> {
    const NAME: &str = "cluster";
    let variable = |variable| std::env::var(variable).map_err(|_| PublishError::FindApi { variable });
    let (host, port) = (variable(HOST_VARIABLE)?, variable(PORT_VARIABLE)?);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let path = |file: &str| folder.join(file).display().to_string();
    Ok(Kubeconfig {
        clusters: vec![NamedCluster {
            name: NAME.into(),
            cluster: Some(Cluster {
                server: Some(format!("https://{host}:{port}")),
                certificate_authority: Some(path(API_AUTHORITY)),
                ..Cluster::default()
            }),
            other: BTreeMap::default(),
        }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.into(),
            auth_info: Some(AuthInfo {
                token_file: Some(path(API_TOKEN)),
                ..AuthInfo::default()
            }),
            other: BTreeMap::default(),
        }],
        contexts: vec![NamedContext {
            name: NAME.into(),
            context: Some(Context {
                cluster: NAME.into(),
                user: Some(NAME.into()),
                namespace: Some(namespace.into()),
                ..Context::default()
            }),
            other: BTreeMap::default(),
        }],
        current_context: Some(NAME.into()),
        ..Kubeconfig::default()
    })
}

/// Masks the token for the API as well.
pub fn mask_token(redactor: &Redactor, folder: &Path) -> Redactor {
    let token = std::fs::read_to_string(folder.join(API_TOKEN)).unwrap_or_default();
    redactor.and(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> CommitId {
        "0123456789abcdef0123456789abcdef01234567".parse().unwrap()
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        use rand::{Rng, SeedableRng};
        let mut bytes = vec![0; length];
        rand::rngs::StdRng::seed_from_u64(1).fill(bytes.as_mut_slice());
        bytes
    }

    #[test]
    fn a_small_set_is_one_chunk_and_the_same_bytes_each_time() {
        let package = Package::new(b"set", commit()).unwrap();
        assert_eq!(package.chunk_count(), 1);
        assert_eq!(package.chunks, Package::new(b"set", commit()).unwrap().chunks);
        assert_eq!(package.index(&[]).config_maps(), 1);
        package.index(&[]).check(b"set").unwrap();
    }

    #[test]
    fn a_set_past_every_chunk_is_refused_with_what_to_do() {
        let package = Package::new(&noise(CHUNK_BYTES * 2), commit()).unwrap();
        assert_eq!(package.chunk_count(), 3);
        let error = Package::new(&noise(CHUNK_BYTES * CHUNKS_LIMIT + 1), commit()).unwrap_err();
        assert_eq!(error.reason(), Reason::LimitExceeded);
        assert!(error.to_string().contains("spec.publish.enabled"), "{error}");
    }

    #[test]
    fn the_index_is_written_only_over_the_one_that_was_read() {
        let patch = index_patch(
            &Package::new(b"set", commit()).unwrap(),
            &[],
            Some("7".to_owned()),
        );
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert!(patch["binaryData"][SET_KEY].is_string());
        let chunked = Package::new(&noise(CHUNK_BYTES * 2), commit()).unwrap();
        let slots = ["a", "b", "c"].map(str::to_owned);
        let patch = index_patch(&chunked, &slots, None);
        assert!(patch["binaryData"][SET_KEY].is_null(), "what was inline goes");
        assert_eq!(
            patch["metadata"]["annotations"][metadata::DESCRIPTORS_SLOTS],
            "a,b,c"
        );
    }
}
