//! The contract between who publishes the descriptor set of an IdlRepo and who reads it: names of the ConfigMaps, what
//! is in them, and how a reader knows that what it has read belongs together.
//!
//! The set is a serialised `google.protobuf.FileDescriptorSet` with all imports and without source information, as one
//! zstd frame. The ConfigMap `<name>-descriptors` is the index. A set that fits is in the index itself, under
//! [`SET_KEY`]. Another is cut in chunks, each in a ConfigMap of its own, called slot, under [`CHUNK_KEY`]; the index
//! names slots and digests in order.
//!
//! A writer fills slots that the index does not name, and then writes the index: a reader that has read the old index
//! still finds the old chunks. A reader checks the digest of each chunk and reads the index again when one does not
//! match, as the slot has been filled again since.

#[cfg(feature = "uncompress")]
mod uncompress;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[cfg(feature = "uncompress")]
pub use uncompress::{UncompressError, uncompress};

/// The most bytes of one chunk. A ConfigMap may hold 1 MiB of values and keys; the rest is for the index.
pub const CHUNK_BYTES: usize = 1000 * 1024;
/// The most chunks that a set is cut into.
pub const CHUNKS_LIMIT: usize = 8;
/// The most slots that one IdlRepo has: those that the index names, and as many to fill meanwhile.
pub const SLOTS_LIMIT: usize = 2 * CHUNKS_LIMIT;
/// The most bytes of a set before it is compressed. Readers allocate no more than that.
pub const SET_BYTES_LIMIT: usize = 256 * 1024 * 1024;
/// The key of the index in the ConfigMap's `data`.
pub const INDEX_KEY: &str = "index.json";
/// The key of a set that fits, in the index's `binaryData`.
pub const SET_KEY: &str = "descriptors.binpb.zst";
/// The key of a chunk in a slot's `binaryData`.
pub const CHUNK_KEY: &str = "chunk";
/// The value of [`Index::compression`].
pub const COMPRESSION: &str = "zstd";

/// What is published: the index, as JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// SHA-256 of the uncompressed set: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The full id of the source commit that it describes.
    pub source_commit: String,
    /// Bytes of the uncompressed set.
    pub bytes: u64,
    /// How it is compressed; always [`COMPRESSION`].
    pub compression: String,
    /// The chunks in order. None when the set is in the index itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Chunk>,
}

/// One chunk.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// The ConfigMap that it is in.
    pub config_map: String,
    /// SHA-256 of the chunk as it is stored: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// Why what was read is no set.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The index is no index, or one of a later version.
    #[error("failed to read the index of the descriptor set: {0}")]
    ParseIndex(String),
    /// A slot has been filled again, or somebody has changed it. Read the index again.
    #[error("failed to read the descriptor set: ConfigMap {0} does not hold the chunk that the index names")]
    MatchChunk(String),
    /// The set is not the one that the index names.
    #[error("failed to read the descriptor set: its digest is not the one of the index")]
    MatchSet,
    /// It is larger than anything that is ever published.
    #[error("failed to read the descriptor set: more than {SET_BYTES_LIMIT} bytes")]
    Exceed,
}

/// The name of the index.
pub fn index_name(idl_repo: &str) -> String {
    format!("{idl_repo}-descriptors")
}

/// The names of all slots that there can be, in the order in which they are made.
pub fn slot_names(idl_repo: &str) -> Vec<String> {
    (1..=SLOTS_LIMIT)
        .map(|number| format!("{}-{number}", index_name(idl_repo)))
        .collect()
}

/// How many slots are needed for sets of so many chunks: none for one that fits the index.
pub fn slots_for(chunks: usize) -> usize {
    if chunks > 1 { 2 * chunks } else { 0 }
}

/// `sha256:` and the SHA-256 of `bytes` in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// [`ReadError::ParseIndex`], and [`ReadError::Exceed`] for one that names more than is ever published.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let index: Self =
            serde_json::from_str(text).map_err(|error| ReadError::ParseIndex(error.to_string()))?;
        if index.compression != COMPRESSION {
            let text = format!("compression {:?} is not {COMPRESSION}", index.compression);
            return Err(ReadError::ParseIndex(text));
        }
        if index.bytes > SET_BYTES_LIMIT as u64 || index.chunks.len() > CHUNKS_LIMIT {
            return Err(ReadError::Exceed);
        }
        Ok(index)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Strings and numbers have no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// How many ConfigMaps hold the set.
    pub fn config_maps(&self) -> usize {
        self.chunks.len().max(1)
    }

    /// Whether the uncompressed `set` is the one that the index names.
    ///
    /// # Errors
    /// [`ReadError::MatchSet`].
    pub fn check(&self, set: &[u8]) -> Result<(), ReadError> {
        (digest(set) == self.digest)
            .then_some(())
            .ok_or(ReadError::MatchSet)
    }
}

impl Chunk {
    /// Whether `bytes` are this chunk.
    ///
    /// # Errors
    /// [`ReadError::MatchChunk`].
    pub fn check(&self, bytes: &[u8]) -> Result<(), ReadError> {
        let matches = digest(bytes) == self.digest;
        matches
            .then_some(())
            .ok_or_else(|| ReadError::MatchChunk(self.config_map.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        Index {
            digest: digest(b"set"),
            source_commit: "c".into(),
            bytes: 3,
            compression: COMPRESSION.into(),
            chunks: vec![Chunk {
                config_map: "shop-descriptors-1".into(),
                digest: digest(b"chunk"),
            }],
        }
    }

    #[test]
    fn a_torn_read_is_noticed() {
        let index = index();
        assert_eq!(index.check(b"set"), Ok(()));
        assert_eq!(index.check(b"other"), Err(ReadError::MatchSet));
        assert_eq!(index.chunks[0].check(b"chunk"), Ok(()));
        let error = index.chunks[0].check(b"newer").unwrap_err();
        assert!(error.to_string().contains("shop-descriptors-1"), "{error}");
    }

    #[test]
    fn an_index_is_read_as_it_was_written_and_nothing_else_is() {
        assert_eq!(Index::parse(&index().to_json()), Ok(index()));
        let other = Index {
            compression: "gzip".into(),
            ..index()
        };
        assert!(matches!(
            Index::parse(&other.to_json()),
            Err(ReadError::ParseIndex(_))
        ));
        let bomb = Index {
            bytes: u64::MAX,
            ..index()
        };
        assert_eq!(Index::parse(&bomb.to_json()), Err(ReadError::Exceed));
    }

    #[test]
    fn there_are_slots_for_the_old_set_and_the_new_one() {
        assert_eq!(slots_for(1), 0);
        assert_eq!(slots_for(CHUNKS_LIMIT), SLOTS_LIMIT);
        assert_eq!(slot_names("shop").len(), SLOTS_LIMIT);
        assert_eq!(slot_names("shop")[0], "shop-descriptors-1");
    }
}
