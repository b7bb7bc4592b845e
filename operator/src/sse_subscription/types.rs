//! The message types that data is transcoded to: what an IdlRepo has published, compiled. Subscriptions by the same IdlRepo
//! share them.

use crate::conditions;
use crate::descriptors::{DescriptorsCache, FetchError, Published, StoredIndex, Unavailable};
use heddle_crds::publication::{ReadError, UncompressError, uncompress};
use heddle_crds::sse_subscription::{Reason, Transcoding};
use heddle_crds::transcoding::Descriptors;
use heddle_dynamic_protobuf::Schema;
use heddle_telemetry::ErrorChain;
use kube::Client;
use std::sync::Arc;

/// The most bytes of a descriptor set: the operator holds many at the same time, and takes several times as much for each.
const SET_BYTES_LIMIT: usize = 16 << 20;

type Problem = conditions::Problem<Reason>;

/// What an IdlRepo has published.
#[derive(Debug)]
pub(crate) struct Types {
    /// The digest of the set and the commit that it describes.
    pub(crate) descriptors: Descriptors,
    pub(crate) schema: Schema,
}

/// Why a set is of no use. It tells of the set's own elements and nothing else.
#[derive(Debug, thiserror::Error)]
enum UnusableSet {
    #[error(transparent)]
    Uncompress(#[from] UncompressError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("failed to use the descriptor set: {0}")]
    Compile(#[from] heddle_dynamic_protobuf::SchemaErrors),
    #[error("failed to use the descriptor set: compiling it panicked, which is logged with its place")]
    Panic,
}

/// The sets that subscriptions go by, and what is wrong with those that are of no use.
pub(crate) type TypesCache = DescriptorsCache<Result<Arc<Types>, Unavailable>>;

/// The types that `transcoding` needs. `index` is what the watch has seen of them, which may not be all there is.
pub(crate) async fn read(
    cache: &TypesCache,
    client: &Client,
    namespace: &str,
    transcoding: &Transcoding,
    index: Option<&StoredIndex>,
) -> Result<Result<Arc<Types>, Problem>, FetchError> {
    let idl_repo = &transcoding.idl_repo_ref.name;
    let make = async |published| {
        cache.retain(|_, _, types| is_in_use(types));
        compiled(idl_repo, published).await
    };
    let types = cache.read(client, namespace, idl_repo, index, make).await?;
    Ok(match types.flatten() {
        Ok(types) => with_message(types, transcoding),
        Err(unavailable) => Err(unavailable.problem(Reason::IdlRepoNotFound, Reason::DescriptorsUnavailable)),
    })
}

/// Whether anybody but the cache has them.
fn is_in_use(types: &Result<Arc<Types>, Unavailable>) -> bool {
    types.as_ref().is_ok_and(|types| Arc::strong_count(types) > 1)
}

fn with_message(types: Arc<Types>, transcoding: &Transcoding) -> Result<Arc<Types>, Problem> {
    let Transcoding {
        idl_repo_ref,
        message,
        ..
    } = transcoding;
    match types.schema.message(message) {
        Some(_) => Ok(types),
        None => Err(Problem {
            reason: Reason::MessageTypeNotFound,
            message: format!(
                "What IdlRepo {} has published of commit {} has no message type {message}, which spec.transcoding.message \
                 names.",
                idl_repo_ref.name, types.descriptors.source_revision
            ),
        }),
    }
}

/// Compiling a large set takes longer than others should have to wait.
async fn compiled(idl_repo: &str, published: Published) -> Result<Arc<Types>, Unavailable> {
    let compiled = tokio::task::spawn_blocking(move || compile(&published));
    let compiled = compiled.await.unwrap_or(Err(UnusableSet::Panic));
    compiled.map(Arc::new).map_err(|error| Unavailable::Unreadable {
        idl_repo: idl_repo.to_owned(),
        why: ErrorChain(&error).to_string(),
    })
}

fn compile(published: &Published) -> Result<Types, UnusableSet> {
    let set = uncompress(&*published.compressed, SET_BYTES_LIMIT)?;
    published.index.check(&set)?;
    Ok(Types {
        descriptors: Descriptors {
            digest: published.index.digest.clone(),
            source_revision: published.index.source_commit.clone(),
        },
        schema: Schema::from_descriptor_set(&set)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use heddle_crds::publication::{COMPRESSION, Index, digest};
    use heddle_crds::reference::IdlRepoReference;
    use prost::Message;

    /// As if published: the set of one file with these messages.
    fn published(messages: &str) -> Published {
        let file = protox::file::File::from_source(
            "shop.proto",
            &format!("syntax = \"proto3\"; package shop.v1; {messages}"),
        );
        let set = prost_types::FileDescriptorSet {
            file: vec![file.unwrap().file_descriptor_proto().clone()],
        };
        of_bytes(&set.encode_to_vec())
    }

    fn of_bytes(set: &[u8]) -> Published {
        Published {
            index: Index {
                digest: digest(set),
                source_commit: "c0ffee".into(),
                bytes: set.len() as u64,
                compression: COMPRESSION.into(),
                chunks: Vec::new(),
            },
            compressed: zstd::bulk::compress(set, 1).unwrap(),
        }
    }

    /// What an IdlRepo that has these messages in package `shop.v1` has published.
    pub(crate) fn types(messages: &str) -> Arc<Types> {
        Arc::new(compile(&published(messages)).unwrap())
    }

    #[test]
    fn a_set_that_is_torn_too_large_or_none_is_refused_with_the_reason() {
        let mut torn = published("message Order {}");
        torn.index.digest = digest(b"another");
        assert!(matches!(compile(&torn), Err(UnusableSet::Read(_))));
        let large = vec![0; SET_BYTES_LIMIT + 1];
        assert!(matches!(
            compile(&of_bytes(&large)),
            Err(UnusableSet::Uncompress(UncompressError::Exceed { .. }))
        ));
        assert!(matches!(
            compile(&of_bytes(b"\xff")),
            Err(UnusableSet::Compile(_))
        ));
        let mut plain = published("message Order {}");
        plain.compressed = b"nothing".to_vec();
        assert!(matches!(
            compile(&plain),
            Err(UnusableSet::Uncompress(UncompressError::Read(_)))
        ));
    }

    #[test]
    fn a_message_that_is_not_in_the_set_is_named_with_the_commit() {
        let transcoding = |message: &str| Transcoding {
            idl_repo_ref: IdlRepoReference { name: "shop".into() },
            message: message.into(),
            unknown_fields: heddle_crds::transcoding::UnknownFields::Ignore,
        };
        let types = types("message Order {}");
        assert!(with_message(Arc::clone(&types), &transcoding("shop.v1.Order")).is_ok());
        let problem = with_message(types, &transcoding("shop.v1.Gone")).unwrap_err();
        assert_eq!(problem.reason, Reason::MessageTypeNotFound);
        assert!(
            problem.message.contains("c0ffee") && problem.message.contains("shop.v1.Gone"),
            "{}",
            problem.message
        );
    }

    #[test]
    fn what_nobody_goes_by_any_more_is_forgotten() {
        let cache = TypesCache::default();
        let used = types("message Order {}");
        cache.keep("a", "shop", "1".into(), Ok(Arc::clone(&used)));
        cache.keep("b", "shop", "1".into(), Ok(types("message Order {}")));
        cache.retain(|_, _, types| is_in_use(types));
        assert!(cache.known("a", "shop", "1").is_some());
        assert!(cache.known("a", "shop", "2").is_none());
        assert!(cache.known("b", "shop", "1").is_none());
    }
}
