//! Descriptor sets in parts that fit a line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heddle_crds::publication::{CHUNK_BYTES, CHUNKS_LIMIT};
use serde::{Deserialize, Serialize};

/// The most bytes of a part before it is written as base64.
pub const PART_BYTES: usize = 512 * 1024;

/// The most bytes of a compressed set: what is ever published.
const COMPRESSED_BYTES_LIMIT: usize = CHUNK_BYTES * CHUNKS_LIMIT;

/// A part of a compressed descriptor set. Parts of one set follow each other.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescriptorsPart {
    /// The digest of the uncompressed set.
    pub digest: String,
    /// Bytes of the uncompressed set.
    pub bytes: u64,
    /// Which part it is, from 0.
    pub part: usize,
    /// How many there are.
    pub parts: usize,
    /// The bytes, as base64.
    pub data: String,
}

/// Cuts a set, compressed as it is published, in parts.
pub fn parts(digest: &str, bytes: u64, compressed: &[u8]) -> Vec<DescriptorsPart> {
    let chunks = compressed.chunks(PART_BYTES);
    let parts = chunks.len();
    chunks
        .enumerate()
        .map(|(part, chunk)| DescriptorsPart {
            digest: digest.to_owned(),
            bytes,
            part,
            parts,
            data: STANDARD.encode(chunk),
        })
        .collect()
}

/// Why parts do not make a set.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssemblyError {
    /// It is not the one after the last.
    #[error("failed to assemble a descriptor set: part {part} came instead of part {expected}")]
    Order {
        /// The one that came.
        part: usize,
        /// The one that should have.
        expected: usize,
    },
    /// It is no base64.
    #[error("failed to assemble a descriptor set: a part is not base64")]
    Decode,
    /// It is larger than anything that is ever published.
    #[error("failed to assemble a descriptor set: more than {COMPRESSED_BYTES_LIMIT} bytes")]
    Exceed,
}

/// Puts parts together.
#[derive(Debug, Default)]
pub struct Assembly {
    digest: String,
    next: usize,
    compressed: Vec<u8>,
}

impl Assembly {
    /// Adds a part. After the last one, all bytes of the compressed set. A first part begins anew.
    ///
    /// # Errors
    /// [`AssemblyError`]. Nothing of the set is kept then.
    pub fn add(&mut self, part: &DescriptorsPart) -> Result<Option<Vec<u8>>, AssemblyError> {
        if part.part == 0 {
            *self = Self {
                digest: part.digest.clone(),
                ..Self::default()
            };
        }
        let added = self.append(part);
        if added.is_err() || self.next == part.parts {
            let whole = std::mem::take(self);
            return added.map(|()| Some(whole.compressed));
        }
        Ok(None)
    }

    fn append(&mut self, part: &DescriptorsPart) -> Result<(), AssemblyError> {
        if part.part != self.next || part.digest != self.digest || part.part >= part.parts {
            return Err(AssemblyError::Order {
                part: part.part,
                expected: self.next,
            });
        }
        let bytes = STANDARD.decode(&part.data).map_err(|_| AssemblyError::Decode)?;
        if self.compressed.len() + bytes.len() > COMPRESSED_BYTES_LIMIT {
            return Err(AssemblyError::Exceed);
        }
        self.compressed.extend(bytes);
        self.next += 1;
        Ok(())
    }
}
